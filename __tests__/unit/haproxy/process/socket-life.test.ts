import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { lifeOf, listensHere, probeSocket } from "../../../../src/haproxy/process/socket-life.ts";
import { systemClock } from "../../../../src/support/clock.ts";

let directory: string;
let socket: string;
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-life-"));
  socket = path.join(directory, "runtime.sock");
});
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true });
});

const listen = (at = socket) =>
  new Promise<Server>((resolve) => {
    const server = createServer((connection) => connection.destroy());
    servers.push(server);
    server.listen(at, () => resolve(server));
  });
const close = (server: Server) =>
  new Promise((resolve) => servers.splice(servers.indexOf(server), 1)[0]?.close(resolve));

test("a life is told by the socket's file: the same while it is there, another when it is made anew", async () => {
  expect(lifeOf(socket)).toBeUndefined();
  const first = await listen();
  const life = lifeOf(socket);
  expect(life).toBeDefined();
  expect(lifeOf(socket)).toBe(life);
  await close(first);
  await listen();
  expect(lifeOf(socket)).not.toBe(life);
});

describe("whether somebody listens", () => {
  const probe = (at = socket) => probeSocket(at, 1_000, systemClock);

  test("nobody, where there is no file or nobody behind it", async () => {
    expect(await probe()).toBe("refuses");
    const server = await listen();
    expect(await probe()).toBe("accepts");
    await close(server);
    expect(await probe()).toBe("refuses");
  });

  test("not known, where it is no socket or the way to it is barred", async () => {
    writeFileSync(socket, "");
    // A file that is no socket refuses, as one whose process has ended does.
    expect(await probe()).toBe("refuses");
    expect(await probe(path.join(socket, "below"))).toBe("silent");
  });
});

describe("whether who listens is in our network namespace", () => {
  const line = (flags: string, name: string) => `0000000000000001: 00000002 00000000 ${flags} 0001 01 4711 ${name}`;
  const head = "Num       RefCount Protocol Flags    Type St Inode Path";

  test("by the kernel's table, under the name of before HAProxy renames it as well", async () => {
    expect(listensHere(socket)).toBe(false);
    await listen();
    expect(listensHere(socket)).toBe(true);
    expect(listensHere("/s", () => `${head}\n${line("00010000", "/s.14155.tmp")}\n`)).toBe(true);
  });

  test("not by a connection of ours, which has the name too, nor by another's", () => {
    for (const other of [
      line("00000000", "/s"),
      line("00010000", "/s2"),
      line("00010000", "/s.d/x"),
      line("00010000", "@/s"),
    ])
      expect(listensHere("/s", () => `${head}\n${other}\n`)).toBe(false);
  });

  test("not where the table cannot be read", () => {
    const unreadable = () => {
      throw new Error("EACCES");
    };
    expect(listensHere("/s", unreadable)).toBe(false);
  });
});
