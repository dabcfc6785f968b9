import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { preflightConfig } from "../../../../src/haproxy/process/preflight.ts";
import { freePort } from "../../../support/free-port.ts";

let directory: string;
let holder: Server;
let taken: number;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-pre-"));
  holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  taken = (holder.address() as AddressInfo).port;
});

afterEach(async () => {
  await new Promise((resolve) => holder.close(resolve));
  await rm(directory, { recursive: true, force: true });
});

const preflight = (candidateText: string, runningText?: string) =>
  preflightConfig({ candidateText, runningText, mayBindLowPorts: false });
const frontend = (...binds: string[]) => `frontend f\n${binds.map((bind) => `  bind ${bind}\n`).join("")}`;

describe("addresses", () => {
  test("one another process holds is named with its line", async () => {
    const free = await freePort();
    expect(await preflight(frontend(`127.0.0.1:${free}`, `127.0.0.1:${taken}`))).toEqual({
      ok: false,
      stage: "preflight",
      problems: [
        {
          line: 3,
          message: expect.stringMatching(new RegExp(`^bind 127.0.0.1:${taken}: .*in use by another process`)),
        },
      ],
    });
  });

  test("any address conflicts with one that is held, and a range with a port in it", async () => {
    expect(await preflight(frontend(`:${taken}`))).toMatchObject({ problems: [{ line: 2 }] });
    const range = `127.0.0.1:${taken - 1}-${taken + 1}`;
    expect(await preflight(frontend(range))).toMatchObject({
      problems: [{ message: expect.stringContaining(`bind ${range}`) }],
    });
  });

  test("what we run ourselves is ours, also within any or a range", async () => {
    const bind = `127.0.0.1:${taken}`;
    const fine = { ok: true, warnings: [] };
    expect(await preflight(frontend(bind), frontend(bind))).toEqual(fine);
    expect(await preflight(frontend(`:${taken}`), frontend(bind))).toEqual(fine);
    expect(await preflight(frontend(bind), frontend(`:${taken - 5}-${taken + 5}`))).toEqual(fine);
    expect(await preflight(frontend(bind), frontend("127.0.0.1:1"))).toMatchObject({ ok: false });
  });

  test("a free one is let go again", async () => {
    const free = await freePort();
    const text = frontend(`127.0.0.1:${free}`, `:${free}`);
    expect(await preflight(text)).toEqual({ ok: true, warnings: [] });
    expect(await preflight(text)).toEqual({ ok: true, warnings: [] });
  });

  test("one this machine does not have, unless it may be taken", async () => {
    const port = await freePort();
    expect(await preflight(frontend(`192.0.2.77:${port}`))).toMatchObject({
      problems: [{ message: expect.stringContaining("not an address of this machine") }],
    });
    expect(await preflight(frontend(`192.0.2.77:${port} transparent`))).toEqual({ ok: true, warnings: [] });
  });
});

describe("files", () => {
  test("chroot and the directories of sockets", async () => {
    const text = `global\n  chroot ${directory}/none\n  stats socket ${directory}/none/a.sock\n${frontend(`${directory}/gone/b.sock`)}`;
    expect(await preflight(text)).toEqual({
      ok: false,
      stage: "preflight",
      problems: [
        { line: 2, message: expect.stringContaining(`chroot ${directory}/none`) },
        { line: 3, message: expect.stringContaining(`no directory ${directory}/none`) },
        { line: 5, message: expect.stringContaining(`no directory ${directory}/gone`) },
      ],
    });
    const there = `global\n  chroot ${directory}\n  stats socket ${directory}/a.sock\n${frontend(`${directory}/b.sock`)}`;
    expect(await preflight(there)).toEqual({ ok: true, warnings: [] });
  });
});

test("abort", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(
    preflightConfig({ candidateText: "", runningText: undefined, mayBindLowPorts: false, signal }),
  ).rejects.toThrow("enough");
});
