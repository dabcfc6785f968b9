import { createSocket } from "node:dgram";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { preflightConfig } from "../../../../src/haproxy/process/preflight.ts";
import { type Rights, rightsOf } from "../../../../src/haproxy/process/rights.ts";
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

/** Nobody in particular, who may do nothing. */
const nobody: Rights = { uid: 65_534, gid: 65_534, openFiles: 4_096, has: () => false };
const root: Rights = { uid: 0, gid: 0, openFiles: Number.POSITIVE_INFINITY, has: () => true };
const preflight = (candidateText: string, runningText?: string, rights: Rights | undefined = nobody) =>
  preflightConfig({ candidateText, runningText, rights, signal: undefined });
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
          port: taken,
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
    expect(await preflight(frontend(bind), frontend(`:${taken - 5}-${taken + 5}`))).toEqual(fine);
    expect(await preflight(frontend(bind), frontend("127.0.0.1:1"))).toMatchObject({ ok: false });
  });

  test("any address beside one of ours: all others of this machine are tried, ours is not", async () => {
    const any = frontend(`:${taken}`);
    const ours = frontend(`127.0.0.1:${taken}`);
    expect(await preflight(any, ours)).toEqual({ ok: true, warnings: [] });
    const outside = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
    // Everywhere but in a container without a network.
    if (outside === undefined) return;
    const other = createServer();
    await new Promise<void>((resolve, reject) => {
      other.once("error", reject);
      other.listen(taken, outside, resolve);
    });
    try {
      expect(await preflight(any, ours)).toMatchObject({
        ok: false,
        problems: [{ line: 2, message: expect.stringMatching(`^bind :${taken}: ${outside}:${taken} is in use`) }],
      });
      expect(await preflight(any, frontend(`127.0.0.1:${taken},${outside}:${taken}`))).toEqual({
        ok: true,
        warnings: [],
      });
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });

  test("what this machine's peer listens on", async () => {
    const peers = `global\n  localpeer me\npeers p\n  peer me 127.0.0.1:${taken}\n  peer you 192.0.2.77:${taken}\n`;
    expect(await preflight(peers)).toEqual({
      ok: false,
      stage: "preflight",
      problems: [
        {
          line: 4,
          port: taken,
          message: expect.stringMatching(new RegExp(`^peer 127.0.0.1:${taken}: .*in use by another process`)),
        },
      ],
    });
    expect(await preflight(peers, peers)).toEqual({ ok: true, warnings: [] });
  });

  test("QUIC's are datagrams': a stream on the same port is no obstacle, another socket is", async () => {
    const held = createSocket("udp4");
    await new Promise<void>((resolve) => held.bind(0, "127.0.0.1", resolve));
    try {
      const { port } = held.address();
      const quic = frontend(`quic4@127.0.0.1:${port}`);
      expect(await preflight(quic)).toMatchObject({
        problems: [{ line: 2, message: expect.stringContaining(`ss -lunp "sport = :${port}"`) }],
      });
      expect(await preflight(quic, frontend(`127.0.0.1:${port}`))).toMatchObject({ ok: false });
      expect(await preflight(quic, quic)).toEqual({ ok: true, warnings: [] });
    } finally {
      await new Promise<void>((resolve) => held.close(resolve));
    }
    expect(await preflight(frontend(`127.0.0.1:${taken}`, `quic4@127.0.0.1:${taken}`))).toMatchObject({
      problems: [{ line: 2 }],
    });
    const free = frontend(`quic4@127.0.0.1:${taken}`);
    expect(await preflight(free)).toEqual({ ok: true, warnings: [] });
    expect(await preflight(free)).toEqual({ ok: true, warnings: [] });
    expect(await preflight(frontend("quic4@192.0.2.77:443"))).toMatchObject({
      problems: [{ message: expect.stringContaining("not an address of this machine") }],
    });
  });

  test("log forwarding takes datagrams by a line of its own", async () => {
    const held = createSocket("udp4");
    await new Promise<void>((resolve) => held.bind(0, "127.0.0.1", resolve));
    const forward = `log-forward l\n  dgram-bind 127.0.0.1:${held.address().port}\n`;
    try {
      expect(await preflight(forward)).toMatchObject({
        problems: [{ line: 2, message: expect.stringMatching(/^dgram-bind .* is in use by another process/) }],
      });
      expect(await preflight(forward, forward)).toEqual({ ok: true, warnings: [] });
    } finally {
      await new Promise<void>((resolve) => held.close(resolve));
    }
    expect(await preflight(forward)).toEqual({ ok: true, warnings: [] });
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
    expect(await preflight(text, undefined, root)).toEqual({
      ok: false,
      stage: "preflight",
      problems: [
        { line: 2, message: expect.stringContaining(`chroot ${directory}/none`) },
        { line: 3, message: expect.stringContaining(`no directory ${directory}/none`) },
        { line: 5, message: expect.stringContaining(`no directory ${directory}/gone`) },
      ],
    });
    const there = `global\n  chroot ${directory}\n  stats socket ${directory}/a.sock\n${frontend(`${directory}/b.sock`)}`;
    expect(await preflight(there, undefined, root)).toEqual({ ok: true, warnings: [] });
  });
});

describe("rights of the master", () => {
  const lines = ["chroot /", "user daemon", "gid 4711", "maxconn 3000", "ulimit-n 5000"];
  const asking = `global\n${lines.map((line) => `  ${line}\n`).join("")}`;

  test("what it may not do is said with its line, and is nothing to one that may", async () => {
    expect(await preflight(asking)).toEqual({
      ok: false,
      stage: "preflight",
      problems: [
        { line: 2, message: expect.stringMatching(/^chroot \/: .*CAP_SYS_CHROOT/) },
        { line: 3, message: expect.stringMatching(/^user daemon: .*CAP_SETUID/) },
        { line: 4, message: expect.stringMatching(/^gid 4711: .*CAP_SETGID/) },
        { line: 5, message: expect.stringMatching(/^maxconn 3000 needs 6000 open files, HAProxy may have 4096/) },
        { line: 6, message: expect.stringMatching(/^ulimit-n 5000 needs 5000 open files/) },
      ],
    });
    expect(await preflight(asking, undefined, root)).toEqual({ ok: true, warnings: [] });
  });

  test("what it is already it may be", async () => {
    const same = "global\n  uid 65534\n  gid 65534\n  user root\n  maxconn 2000\n";
    expect(await preflight(same)).toEqual({ ok: true, warnings: [] });
  });

  test("without strict limits HAProxy goes on with fewer files, as it was told", async () => {
    const text = "global\n  no strict-limits\n  maxconn 3000\n  ulimit-n 5000\n";
    expect(await preflight(text)).toEqual({ ok: true, warnings: [] });
  });

  test("are those of the process", () => {
    const own = rightsOf(process.pid);
    expect(own).toMatchObject({ uid: process.geteuid?.(), gid: process.getegid?.() });
    expect(own?.openFiles).toBeGreaterThan(100);
    expect(rightsOf(2 ** 30)).toBeUndefined();
  });
});

test("abort", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(preflightConfig({ candidateText: "", runningText: undefined, rights: nobody, signal })).rejects.toThrow(
    "enough",
  );
});
