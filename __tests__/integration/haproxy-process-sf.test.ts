import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { HaproxyProcess } from "../../src/haproxy/process/haproxy-process.ts";
import { askWorkerInfo } from "../../src/haproxy/runtime/worker-info.ts";
import { systemClock } from "../../src/support/clock.ts";
import { haproxyBinary } from "../support/binaries.ts";
import { freePort } from "../support/free-port.ts";
import { type HaproxyHome, haproxyHome, type NamedServer, namedServer } from "../support/haproxy-process.ts";
import { startLoad } from "../support/load.ts";
import { eventually } from "../support/sluice.ts";

let home: HaproxyHome;
let web: NamedServer;
/** More of them, closed when the test ends. */
let others: NamedServer[];
let haproxy: HaproxyProcess;
let exits: string[];
/** What the operator does not start. */
let strangers: ChildProcess[];

beforeEach(async () => {
  strangers = [];
  others = [];
  home = await haproxyHome("sf");
  web = await namedServer("one");
  await home.write(serving());
  haproxy = home.managed();
  exits = [];
  haproxy.onExit((detail) => exits.push(detail));
}, 30_000);

afterEach(async () => {
  for (const stranger of strangers) stranger.kill("SIGKILL");
  await home.remove();
  await Promise.all([web, ...others].map((one) => one.close()));
  expect(home.pids()).toEqual([]);
}, 30_000);

test("40 reloads under load of 16 clients: no request fails, and each time the new process alone answers", async () => {
  await haproxy.adoptOrStart();
  const load = startLoad({ port: home.port, keepAlive: 8, oneShot: 8 });
  await eventually("load", () => load.report().sent > 200);
  const pids = new Set<number>();
  const tookMs: number[] = [];
  for (let round = 0; round < 40; round += 1) {
    const at = performance.now();
    const { pid } = await haproxy.reload();
    tookMs.push(performance.now() - at);
    pids.add(pid);
    // What is connected from here on is the new one's, each time.
    for (let count = 0; count < 5; count += 1) expect(await answering()).toBe(pid);
  }
  const { failures, sent } = await load.stop();
  tookMs.sort((a, b) => a - b);
  process.stdout.write(
    `sf: 40 reloads, ${sent} requests, ${failures.length} failed; a reload ${Math.round(tookMs[20] ?? 0)} ms in the median, ${Math.round(tookMs[39] ?? 0)} ms at most\n`,
  );
  expect(pids.size).toBe(40);
  expect(failures).toEqual([]);
  expect(exits).toEqual([]);
}, 120_000);

describe("a reload that fails", () => {
  test("leaves the old process its socket, whatever it failed on", async () => {
    const { worker } = await haproxy.adoptOrStart();
    const { ino } = statSync(home.runtimeSocket);
    const other = createServer();
    const taken = await freePort();
    await new Promise<void>((resolve) => other.listen(taken, "127.0.0.1", resolve));
    const bad: readonly (readonly [body: string, global?: string])[] = [
      [`${serving()}\n  no-such-keyword`],
      [`${serving()}\nfrontend g\n  bind 127.0.0.1:${taken}`],
      [`${serving()}\nfrontend g\n  bind ${home.directory}/nowhere/g.sock`],
      [serving(), `  chroot ${home.directory}/nowhere`],
    ];
    for (const [body, global] of bad) {
      await home.write(body, global);
      await expect(haproxy.reload()).rejects.toMatchObject({
        code: "ERR_HAPROXY_RELOAD",
        message: expect.stringContaining(`worker ${worker.pid} goes on`),
      });
      expect(statSync(home.runtimeSocket).ino).toBe(ino);
      expect(await answering()).toBe(worker.pid);
      expect(await ask()).toBe("one");
      expect(home.pids()).toEqual([worker.pid]);
      expect(await haproxy.oldWorkers()).toEqual([]);
    }
    await new Promise((resolve) => other.close(resolve));
    expect(exits).toEqual([]);
  }, 60_000);

  test("because there is nothing to reload", async () => {
    await expect(haproxy.reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_UNREACHABLE" });
    expect(home.pids()).toEqual([]);
  });
});

test("what was replaced is told of with its clients' connections, and hard-stop-after ends it", async () => {
  const slow = await namedServer("slow", 60_000);
  await home.write(serving(slow.port));
  const { worker } = await haproxy.adoptOrStart();
  const cut = [0, 1, 2].map(() => ask().catch(() => "cut"));
  await eventually("requests under way", () => slow.openRequests() === 3);
  await haproxy.reload();
  const at = performance.now();
  expect(await haproxy.oldWorkers()).toEqual([{ pid: worker.pid, connections: 3 }]);
  // So says an operator that has only just come.
  haproxy.release();
  const second = home.managed();
  await second.adoptOrStart();
  expect(await second.oldWorkers()).toEqual([{ pid: worker.pid, connections: 3 }]);
  expect(await Promise.all(cut)).not.toContain("slow");
  expect(performance.now() - at).toBeGreaterThan(2_000);
  await eventually("none to be left", async () => (await second.oldWorkers()).length === 0);
  await slow.close();
}, 60_000);

describe("what an earlier operator has left", () => {
  test("a reload under way is waited for", async () => {
    const { worker } = await haproxy.adoptOrStart();
    haproxy.release();
    const other = createServer();
    const taken = await freePort();
    await new Promise<void>((resolve) => other.listen(taken, "127.0.0.1", resolve));
    await home.write(`${serving()}\nfrontend g\n  bind 127.0.0.1:${taken}`);
    // It tries for two seconds; the port becomes free meanwhile.
    const next = stranger(["-x", home.runtimeSocket, "-sf", String(worker.pid), ...ownArguments()]);
    await eventually("both to run", () => home.pids().length === 2);
    const adoption = home.managed().adoptOrStart();
    setTimeout(() => other.close(), 700);
    expect(await adoption).toMatchObject({ adopted: true, worker: { pid: next.pid } });
    expect(await ask()).toBe("one");
  }, 60_000);

  test("a process that hangs is replaced and ended", async () => {
    const { worker } = await haproxy.adoptOrStart();
    haproxy.release();
    process.kill(worker.pid, "SIGSTOP");
    const { adopted, worker: next } = await home.managed().adoptOrStart();
    expect(adopted).toBe(false);
    expect(home.pids()).toEqual([next.pid]);
    expect(await ask()).toBe("one");
  }, 60_000);

  test("one whose socket was removed is replaced, and what it has under way is finished", async () => {
    const slow = await namedServer("slow", 8_000);
    await home.write(`${serving(slow.port)}\n`, "  hard-stop-after 20s");
    const { worker } = await haproxy.adoptOrStart();
    haproxy.release();
    const under = ask();
    await eventually("a request under way", () => slow.openRequests() === 1);
    rmSync(home.runtimeSocket);
    const second = home.managed();
    const { adopted, worker: next } = await second.adoptOrStart();
    expect(adopted).toBe(false);
    expect(next.pid).not.toBe(worker.pid);
    expect(await second.oldWorkers()).toEqual([{ pid: worker.pid, connections: 1 }]);
    expect(await under).toBe("slow");
    await slow.close();
  }, 60_000);

  test("of two that run, as somebody has reloaded by hand, the new one is adopted and the other one told of", async () => {
    const slow = await namedServer("slow", 60_000);
    await home.write(serving(slow.port));
    const { worker } = await haproxy.adoptOrStart();
    const under = ask().catch(() => "cut");
    await eventually("a request under way", () => slow.openRequests() === 1);
    const next = stranger(["-x", home.runtimeSocket, "-sf", String(worker.pid), ...ownArguments()]);
    await eventually("the new one to answer", async () => (await answering().catch(() => 0)) === next.pid);
    expect(await haproxy.adoptOrStart()).toMatchObject({ adopted: true, worker: { pid: next.pid } });
    expect(await haproxy.oldWorkers()).toEqual([{ pid: worker.pid, connections: 1 }]);
    await eventually("the old one to have ended", () => home.pids().length === 1);
    expect(await under).not.toBe("slow");
    expect(exits).toEqual([]);
    await haproxy.reload();
    await slow.close();
  }, 60_000);
});

describe("after a reload by somebody else, while the one before still finishes", () => {
  let first: number;
  let byHand: ChildProcess;
  beforeEach(async () => {
    const slow = await another("slow", 60_000);
    await home.write(`${serving(slow.port)}\n`, "  hard-stop-after 20s");
    first = (await haproxy.adoptOrStart()).worker.pid;
    void ask().catch(() => "cut");
    await eventually("a request under way", () => slow.openRequests() === 1);
    await home.write(serving((await another("two")).port));
    byHand = stranger(["-x", home.runtimeSocket, "-sf", String(first), ...ownArguments()]);
    await eventually("the new one to answer", async () => (await answering().catch(() => 0)) === byHand.pid);
  }, 30_000);

  test("a reload replaces the one that serves, and only the newest configuration is served", async () => {
    await home.write(serving((await another("three")).port));
    const { pid } = await haproxy.reload();
    const answers = new Set<string>();
    for (let count = 0; count < 60; count += 1) answers.add(await ask());
    expect([...answers]).toEqual(["three"]);
    await eventually("the one started by hand to have ended", () => byHand.exitCode !== null);
    expect(home.pids()).toEqual([first, pid]);
    expect(await haproxy.oldWorkers()).toEqual([{ pid: first, connections: 1 }]);
    expect(exits).toEqual([]);
    await haproxy.reload();
    expect(await haproxy.oldWorkers()).toEqual([{ pid: first, connections: 1 }]);
  }, 60_000);

  test("a reload that fails leaves the one that serves, and its end is told", async () => {
    await home.write(`${serving()}\n  no-such-keyword`);
    await expect(haproxy.reload()).rejects.toMatchObject({
      code: "ERR_HAPROXY_RELOAD",
      message: expect.stringContaining(`worker ${byHand.pid} goes on`),
    });
    expect(await ask()).toBe("two");
    expect(await haproxy.oldWorkers()).toEqual([{ pid: first, connections: 1 }]);
    byHand.kill("SIGKILL");
    await eventually("its end to be told", () => exits.length > 0);
    expect(exits).toEqual([expect.stringContaining(`pid ${byHand.pid}`)]);
  }, 60_000);
});

test("where the socket of one that runs was removed a reload brings it back", async () => {
  await haproxy.adoptOrStart();
  rmSync(home.runtimeSocket);
  const { pid } = await haproxy.reload();
  expect(await answering()).toBe(pid);
  expect(await ask()).toBe("one");
  await eventually("the old one to have ended", () => home.pids().length === 1);
}, 30_000);

test("one that hangs is replaced by a reload, and ended", async () => {
  const { worker } = await haproxy.adoptOrStart();
  process.kill(worker.pid, "SIGSTOP");
  const { pid } = await haproxy.reload();
  expect(home.pids()).toEqual([pid]);
  expect(await ask()).toBe("one");
  expect(exits).toEqual([]);
}, 60_000);

test("another HAProxy on our runtime socket is neither adopted nor touched", async () => {
  const config = path.join(home.directory, "other.cfg");
  writeFileSync(config, readFileSync(home.config));
  const other = stranger(["-f", config]);
  await eventually("it to answer", async () => (await answering().catch(() => 0)) === other.pid);
  await expect(haproxy.adoptOrStart()).rejects.toMatchObject({
    code: "ERR_HAPROXY_START",
    message: expect.stringContaining(`process ${other.pid}`),
  });
  await haproxy.stop();
  expect(other.exitCode).toBeNull();
  expect(await answering()).toBe(other.pid);
}, 30_000);

test("one that is killed while it is replaced: the new one serves, or another is started", async () => {
  for (const afterMs of [0, 5, 15, 30]) {
    const { worker } = await haproxy.adoptOrStart();
    const reload = haproxy.reload().then(
      () => "taken",
      () => "failed",
    );
    setTimeout(() => process.kill(worker.pid, "SIGKILL"), afterMs);
    const outcome = await reload;
    if (outcome === "failed") await eventually("its end to be told", () => exits.length > 0);
    else expect(exits).toEqual([]);
    exits.length = 0;
    await haproxy.adoptOrStart();
    expect(await ask()).toBe("one");
    await eventually("one to be left", () => home.pids().length === 1);
  }
}, 60_000);

describe("where the setting is changed", () => {
  test.each([
    ["master", "sf"],
    ["sf", "master"],
  ] as const)(
    "from %s to %s the other kind takes over, and no request fails",
    async (from, to) => {
      const first = home.managed({ kind: from });
      const { worker } = await first.adoptOrStart();
      const before = home.pids();
      // A master of 2.6 refuses connections for some ms after its worker serves.
      await eventually("it to answer", () => first.running());
      first.release();
      const load = startLoad({ port: home.port, keepAlive: 4, oneShot: 4 });
      await eventually("load", () => load.report().sent > 100);
      const second = home.managed({ kind: to });
      const ended: string[] = [];
      second.onExit((detail) => ended.push(detail));
      const { adopted, worker: next } = await second.adoptOrStart();
      expect(adopted).toBe(false);
      expect(next.pid).not.toBe(worker.pid);
      await eventually("those before to have ended", () => !home.pids().some((pid) => before.includes(pid)));
      expect(home.pids().length).toBe(to === "sf" ? 1 : 2);
      for (let round = 0; round < 2; round += 1) expect((await second.reload()).pid).not.toBe(next.pid);
      expect((await home.managed({ kind: to }).adoptOrStart()).adopted).toBe(true);
      const { failures, sent } = await load.stop();
      process.stdout.write(`from ${from} to ${to}: ${sent} requests, ${failures.length} failed\n`);
      expect(failures).toEqual([]);
      expect(ended).toEqual([]);
      await second.stop();
      expect(home.pids()).toEqual([]);
      expect(existsSync(home.runtimeSocket)).toBe(false);
    },
    60_000,
  );

  test.each(["stays", "was started again"])(
    "to a master: what still finishes is told of, and ended with it, if the operator %s",
    async (how) => {
      const slow = await another("slow", 60_000);
      await home.write(`${serving(slow.port)}\n`, "  hard-stop-after 20s");
      const { worker } = await haproxy.adoptOrStart();
      void ask().catch(() => "cut");
      await eventually("a request under way", () => slow.openRequests() === 1);
      haproxy.release();
      await home.write(serving());
      let second = home.managed({ kind: "master" });
      await second.adoptOrStart();
      if (how !== "stays") {
        second.release();
        second = home.managed({ kind: "master" });
        expect((await second.adoptOrStart()).adopted).toBe(true);
      }
      // A master of 2.6 refuses connections for some ms after its worker serves.
      const listed = async () => (await second.running()) && (await second.oldWorkers());
      const finishing = { pid: worker.pid, connections: 1 };
      await eventually("its master to answer", () => second.running());
      expect(await listed()).toEqual([finishing]);
      await second.reload();
      expect(await listed()).toContainEqual(finishing);
      await second.stop();
      expect(home.pids()).toEqual([]);
    },
    60_000,
  );

  test("also where the master hangs", async () => {
    const first = home.managed({ kind: "master" });
    const { worker } = await first.adoptOrStart();
    first.release();
    const master = home.pids().find((pid) => pid !== worker.pid) ?? 0;
    process.kill(master, "SIGSTOP");
    const { worker: next } = await haproxy.adoptOrStart();
    expect(home.pids()).toEqual([next.pid]);
    expect(await ask()).toBe("one");
  }, 60_000);
});

function serving(port = web.port): string {
  return `
frontend f
  bind 127.0.0.1:${home.port}
  default_backend b
backend b
  server one 127.0.0.1:${port}`;
}

async function another(name: string, delayMs?: number): Promise<NamedServer> {
  const server = await namedServer(name, delayMs);
  others.push(server);
  return server;
}

/** What marks a process as ours. */
function ownArguments(): readonly string[] {
  return ["-p", path.join(home.directory, "haproxy.pid"), "-f", home.config];
}

function stranger(args: readonly string[]): ChildProcess {
  const child = spawn(haproxyBinary, args, { stdio: "ignore" });
  strangers.push(child);
  void once(child, "exit");
  return child;
}

async function ask(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${home.port}/`, { headers: { connection: "close" } });
  return response.status === 200 ? response.text() : String(response.status);
}

async function answering(): Promise<number> {
  const { pid } = await askWorkerInfo({ path: home.runtimeSocket, clock: systemClock });
  return pid;
}
