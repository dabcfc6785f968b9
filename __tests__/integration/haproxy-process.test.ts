import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { hostname } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { HaproxyProcess } from "../../src/haproxy/process/haproxy-process.ts";
import { systemClock } from "../../src/support/clock.ts";
import { haproxyBinary } from "../support/binaries.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type HaproxyHome, haproxyHome, type NamedServer, namedServer } from "../support/haproxy-process.ts";
import { startLoad } from "../support/load.ts";
import type { ReloadKind } from "../support/reload-kind.ts";

let home: HaproxyHome;
let web: NamedServer;

async function begin(kind: ReloadKind): Promise<void> {
  home = await haproxyHome(kind);
  web = await namedServer("one");
  await home.write(serving());
}

afterEach(async () => {
  await home.remove();
  await web.close();
  expect(home.pids()).toEqual([]);
}, 30_000);

describe.each(["master", "sf"] as const)("haproxy.reload: %s", (kind) => {
  /** Of one HAProxy that serves. */
  const processes = kind === "sf" ? 1 : 2;
  beforeEach(() => begin(kind), 30_000);

  describe("start and adoption", () => {
    test("starts in a session of its own, with private files, and is serving when it says so", async () => {
      const haproxy = home.managed();
      expect(await haproxy.running()).toBe(false);
      const { adopted, worker } = await haproxy.adoptOrStart();
      expect(adopted).toBe(false);
      expect(await ask()).toBe("one");
      expect(await haproxy.running()).toBe(true);
      const pids = home.pids();
      expect(pids).toContain(worker.pid);
      const first = pids.find((pid) => pid !== worker.pid) ?? worker.pid;
      expect(sessionOf(first)).toBe(first);
      expect(pids.length).toBe(processes);
      for (const file of ["haproxy.log", "haproxy.pid", kind === "sf" ? "runtime.sock" : "master.sock"]) {
        expect(statSync(path.join(home.directory, file)).mode & 0o777).toBe(0o600);
      }
      expect(readFileSync(path.join(home.directory, "haproxy.pid"), "utf8")).toBe(`${first}\n`);
    }, 30_000);

    test("another operator adopts what runs and notices its end", async () => {
      const first = home.managed();
      const { worker } = await first.adoptOrStart();
      first.release();
      const second = home.managed();
      const exits: string[] = [];
      second.onExit((detail) => exits.push(detail));
      expect(await second.adoptOrStart()).toEqual({
        adopted: true,
        worker: expect.objectContaining({ pid: worker.pid }),
      });
      expect((await second.adoptOrStart()).adopted).toBe(true);
      await second.reload();
      expect(exits).toEqual([]);
      const victim = kind === "sf" ? await workerPid() : masterOf(home, await workerPid());
      process.kill(victim, "SIGKILL");
      await eventually(() => exits.length > 0, "the end to be noticed");
      expect(exits).toEqual([expect.stringContaining(`pid ${victim}`)]);
      const again = await second.adoptOrStart();
      expect(again.adopted).toBe(false);
      expect(await ask()).toBe("one");
    }, 30_000);

    test("HAProxy outlives an operator that is killed", async () => {
      const operator = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", operatorSource(kind)], {
        cwd: fileURLToPath(new URL("../..", import.meta.url)),
        stdio: ["ignore", "pipe", "inherit"],
        detached: true,
      });
      await once(operator.stdout, "data");
      const before = home.pids();
      expect(before.length).toBe(processes);
      // The whole process group, as Ctrl-C in a terminal would, and without any chance to clean up.
      process.kill(-(operator.pid ?? 0), "SIGKILL");
      await once(operator, "exit");
      expect(await ask()).toBe("one");
      expect(home.pids()).toEqual(before);
      expect((await home.managed().adoptOrStart()).adopted).toBe(true);
    }, 30_000);

    test("a configuration that cannot start is an error in HAProxy's own words", async () => {
      await home.write(`${serving()}\n  no-such-keyword`);
      await expect(home.managed().adoptOrStart()).rejects.toMatchObject({
        code: "ERR_HAPROXY_START",
        message: expect.stringMatching(/exit code 1.*line [0-9]+: unknown keyword 'no-such-keyword'/),
      });
      expect(home.pids()).toEqual([]);
      await home.write(serving());
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(home.port, "127.0.0.1", resolve));
      await expect(home.managed().adoptOrStart()).rejects.toMatchObject({
        code: "ERR_HAPROXY_START",
        message: expect.stringContaining("Address already in use"),
      });
      await new Promise((resolve) => other.close(resolve));
      expect((await home.managed().adoptOrStart()).adopted).toBe(false);
    }, 30_000);
  });

  describe("reload", () => {
    test("under load no request is lost, and a new worker answers", async () => {
      const haproxy = home.managed();
      const { worker } = await haproxy.adoptOrStart();
      const load = startLoad({ port: home.port, keepAlive: 2, oneShot: 2, pauseMs: 2 });
      await eventually(() => load.report().sent > 50, "load");
      const pids = new Set([worker.pid]);
      for (let round = 0; round < 3; round += 1) {
        const next = await haproxy.reload();
        expect(pids).not.toContain(next.pid);
        pids.add(next.pid);
        expect(next.stopping).toBe(false);
        expect(await workerPid()).toBe(next.pid);
        const sent = load.report().sent;
        await eventually(() => load.report().sent > sent + 50, "load goes on");
      }
      const { failures, statuses } = await load.stop();
      expect(failures).toEqual([]);
      expect(Object.keys(statuses)).toEqual(["200"]);
    }, 60_000);

    test("a file HAProxy refuses leaves the old worker, and the error has its words", async () => {
      const haproxy = home.managed();
      const { worker } = await haproxy.adoptOrStart();
      for (const _ of [1, 2]) {
        await home.write(`${serving()}\n  no-such-keyword`);
        await expect(haproxy.reload()).rejects.toMatchObject({
          code: "ERR_HAPROXY_RELOAD",
          message: expect.stringMatching(
            new RegExp(`worker ${worker.pid} goes on.*line [0-9]+: unknown keyword 'no-such-keyword'`),
          ),
        });
        expect(await workerPid()).toBe(worker.pid);
        expect(await ask()).toBe("one");
      }
      await home.write(serving());
      expect((await haproxy.reload()).pid).not.toBe(worker.pid);
      expect(await ask()).toBe("one");
    }, 60_000);

    test("a port that another process holds is told, and the old worker serves on", async () => {
      const haproxy = home.managed();
      const { worker } = await haproxy.adoptOrStart();
      const taken = await freePort();
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(taken, "127.0.0.1", resolve));
      const text = `${serving()}\nfrontend g\n  bind 127.0.0.1:${taken}`;
      const live = readFileSync(home.config, "utf8");
      expect(await haproxy.preflight(`${live}\nfrontend g\n  bind 127.0.0.1:${taken}\n`, live)).toMatchObject({
        ok: false,
        stage: "preflight",
        problems: [
          { line: live.split("\n").length + 2, message: expect.stringContaining("in use by another process") },
        ],
      });
      await home.write(text);
      await expect(haproxy.reload()).rejects.toMatchObject({
        code: "ERR_HAPROXY_RELOAD",
        message: expect.stringContaining("Address already in use"),
      });
      expect(await workerPid()).toBe(worker.pid);
      expect(await ask()).toBe("one");
      await new Promise((resolve) => other.close(resolve));
      expect((await haproxy.reload()).pid).not.toBe(worker.pid);
    }, 60_000);

    test.each([500, 900])(
      "a port that another process gives up %d ms after the reload costs no frontend",
      async (ms) => {
        const haproxy = home.managed();
        const { worker } = await haproxy.adoptOrStart();
        const taken = await freePort();
        const other = createServer();
        await new Promise<void>((resolve) => other.listen(taken, "127.0.0.1", resolve));
        await home.write(`${serving()}\nfrontend g\n  bind 127.0.0.1:${taken}`);
        setTimeout(() => other.close(), ms);
        expect((await haproxy.reload()).pid).not.toBe(worker.pid);
        expect(await ask()).toBe("one");
      },
      30_000,
    );

    test("from one address to any and back: our own is no obstacle", async () => {
      const haproxy = home.managed();
      const pids = new Set([(await haproxy.adoptOrStart()).worker.pid]);
      const one = readFileSync(home.config, "utf8");
      const any = one.replace(`bind 127.0.0.1:${home.port}`, `bind :${home.port}`);
      expect(any).not.toBe(one);
      for (const [from, to] of [
        [one, any],
        [any, one],
      ] as const) {
        expect(await haproxy.preflight(to, from)).toEqual({ ok: true, warnings: [] });
        writeFileSync(home.config, to);
        pids.add((await haproxy.reload()).pid);
        expect(await ask()).toBe("one");
      }
      expect(pids.size).toBe(3);
    }, 60_000);

    test("a peer's port that another process holds is told before it stops traffic", async () => {
      const haproxy = home.managed();
      const { worker } = await haproxy.adoptOrStart();
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
      const { port } = other.address() as AddressInfo;
      const live = readFileSync(home.config, "utf8");
      const text = `${live}\npeers p\n  peer ${hostname()} 127.0.0.1:${port}\n`;
      expect(await haproxy.preflight(text, live)).toMatchObject({
        problems: [
          { line: live.split("\n").length + 2, message: expect.stringContaining("in use by another process") },
        ],
      });
      writeFileSync(home.config, text);
      await expect(haproxy.reload()).rejects.toMatchObject({
        code: "ERR_HAPROXY_RELOAD",
        message: expect.stringContaining("Address already in use"),
      });
      expect(await workerPid()).toBe(worker.pid);
      await new Promise((resolve) => other.close(resolve));
      expect(await haproxy.preflight(text, live)).toEqual({ ok: true, warnings: [] });
      expect((await haproxy.reload()).pid).not.toBe(worker.pid);
      // Now it is ours.
      expect(await haproxy.preflight(`${text}# more\n`, text)).toEqual({ ok: true, warnings: [] });
    }, 60_000);

    test("a chroot that is missing is told, and HAProxy can be started again if it ended over it", async () => {
      const haproxy = home.managed();
      const exits: string[] = [];
      haproxy.onExit((detail) => exits.push(detail));
      const { worker } = await haproxy.adoptOrStart();
      await home.write(serving(), `  chroot ${home.directory}/nowhere`);
      await expect(haproxy.reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_RELOAD" });
      await home.write(serving());
      const { adopted } = await haproxy.adoptOrStart();
      // A master of 2.6 and 3.0 ends over it; newer ones go on, as does a process without one.
      if (!adopted) expect(exits).toEqual([expect.stringContaining("exit code")]);
      else expect(await workerPid()).toBe(worker.pid);
      expect(await ask()).toBe("one");
    }, 60_000);

    test("a reload that is aborted rejects with the signal's reason", async () => {
      const haproxy = home.managed();
      await haproxy.adoptOrStart();
      const reason = new Error("enough");
      await expect(haproxy.reload(AbortSignal.abort(reason))).rejects.toBe(reason);
      expect(await ask()).toBe("one");
    }, 30_000);
  });

  describe("death", () => {
    test.each(kind === "sf" ? (["worker"] as const) : (["master", "worker"] as const))(
      "of the %s by SIGKILL is noticed, and traffic is served again",
      async (victim) => {
        const haproxy = home.managed();
        const exits: string[] = [];
        haproxy.onExit((detail) => exits.push(detail));
        const { worker } = await haproxy.adoptOrStart();
        const lost = home.pids();
        process.kill(victim === "worker" ? worker.pid : masterOf(home, worker.pid), "SIGKILL");
        await eventually(() => exits.length > 0, "the end to be noticed");
        const { adopted, worker: next } = await haproxy.adoptOrStart();
        expect(adopted).toBe(false);
        expect(lost).not.toContain(next.pid);
        expect(await ask()).toBe("one");
        await eventually(() => !home.pids().some((pid) => lost.includes(pid)), "the old processes to be gone");
        expect(exits.length).toBe(1);
      },
      30_000,
    );

    test("of the worker after a reload that failed is noticed too", async () => {
      const haproxy = home.managed();
      const exits: string[] = [];
      haproxy.onExit((detail) => exits.push(detail));
      const { worker } = await haproxy.adoptOrStart();
      await home.write("nonsense");
      await expect(haproxy.reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_RELOAD" });
      await home.write(serving());
      process.kill(worker.pid, "SIGKILL");
      await eventually(() => exits.length > 0, "the end to be noticed");
      expect((await haproxy.adoptOrStart()).adopted).toBe(false);
      expect(await ask()).toBe("one");
    }, 30_000);
  });

  describe("stop", () => {
    test("ends all of HAProxy, also what was replaced and those with open connections, and calls no listener", async () => {
      const slow = await namedServer("slow", 60_000);
      await home.write(serving(slow.port));
      const haproxy = home.managed();
      const exits: string[] = [];
      haproxy.onExit((detail) => exits.push(detail));
      await haproxy.adoptOrStart();
      const hanging = ask().catch(() => "cut");
      await eventually(() => slow.openRequests() === 1, "a request under way");
      await haproxy.reload();
      expect(home.pids().length).toBe(processes + 1);
      await haproxy.stop();
      expect(home.pids()).toEqual([]);
      expect(existsSync(home.masterSocket)).toBe(false);
      expect(await hanging).not.toBe("slow");
      expect(exits).toEqual([]);
      await haproxy.stop();
      await slow.close();
    }, 30_000);

    test("after a reload that failed", async () => {
      const haproxy = home.managed();
      await haproxy.adoptOrStart();
      await home.write("nonsense");
      await expect(haproxy.reload()).rejects.toMatchObject({ code: "ERR_HAPROXY_RELOAD" });
      await haproxy.stop();
      expect(home.pids()).toEqual([]);
    }, 30_000);
  });

  test("an object that never started anything stops nothing", async () => {
    const haproxy = home.managed();
    await haproxy.stop();
    expect(await haproxy.running()).toBe(false);
  });
});

describe("a master", () => {
  beforeEach(() => begin("master"), 30_000);

  test("another HAProxy on our master socket is neither adopted nor touched", async () => {
    const config = path.join(home.directory, "other.cfg");
    writeFileSync(config, readFileSync(home.config));
    const other = spawn(haproxyBinary, ["-W", "-S", `${home.masterSocket},mode,600`, "-f", config], {
      stdio: "ignore",
    });
    const haproxy = home.managed();
    while (!(await haproxy.running())) await sleep(20);
    await expect(haproxy.adoptOrStart()).rejects.toMatchObject({
      code: "ERR_HAPROXY_START",
      message: expect.stringContaining(`process ${other.pid}`),
    });
    await haproxy.stop();
    expect(home.pids()).toContain(other.pid);
  }, 30_000);

  test("a master and a worker that hang are ended, both, before others are started", async () => {
    const first = home.managed();
    const { worker } = await first.adoptOrStart();
    first.release();
    const lost = home.pids();
    expect(lost.length).toBe(2);
    // They take connections and never answer. A worker that hangs does not notice the end of its master.
    process.kill(masterOf(home, worker.pid), "SIGSTOP");
    process.kill(worker.pid, "SIGSTOP");
    const { adopted, worker: next } = await home.managed().adoptOrStart();
    expect(adopted).toBe(false);
    expect(lost).not.toContain(next.pid);
    expect(home.pids().some((pid) => lost.includes(pid))).toBe(false);
    expect(await ask()).toBe("one");
  }, 60_000);
});

describe("a master that is silent while its worker serves", () => {
  beforeEach(() => begin("master"), 30_000);

  test("is waited for, and adopted once it answers", async () => {
    const { worker } = await home.managed().adoptOrStart();
    const master = masterOf(home, worker.pid);
    process.kill(master, "SIGSTOP");
    const adoption = hurried(10).adoptOrStart();
    await sleep(2_000);
    process.kill(master, "SIGCONT");
    expect(await adoption).toMatchObject({ adopted: true, worker: { pid: worker.pid } });
  }, 60_000);

  test("is never ended, and that it does not answer is an error at last", async () => {
    const { worker } = await home.managed().adoptOrStart();
    const before = home.pids();
    const master = masterOf(home, worker.pid);
    process.kill(master, "SIGSTOP");
    await expect(hurried(60).adoptOrStart()).rejects.toMatchObject({
      code: "ERR_HAPROXY_START",
      retryable: true,
      message: expect.stringContaining(`master ${master}`),
    });
    expect(home.pids()).toEqual(before);
    expect(await ask()).toBe("one");
    process.kill(master, "SIGCONT");
    expect((await home.managed().adoptOrStart()).worker.pid).toBe(worker.pid);
  }, 60_000);

  test("also where its socket and its pid file were removed; SIGUSR2 brings the socket back", async () => {
    const first = home.managed();
    const { worker } = await first.adoptOrStart();
    // Its socket is in its place only some ms after its worker serves.
    expect(await first.running()).toBe(true);
    const before = home.pids();
    const master = masterOf(home, worker.pid);
    for (const file of [home.masterSocket, path.join(home.directory, "haproxy.pid")]) rmSync(file);
    await expect(hurried(60).adoptOrStart()).rejects.toMatchObject({
      code: "ERR_HAPROXY_START",
      retryable: true,
      message: expect.stringContaining(`kill -USR2 ${master}`),
    });
    expect(home.pids()).toEqual(before);
    expect(await ask()).toBe("one");
    process.kill(master, "SIGUSR2");
    await eventually(() => existsSync(home.masterSocket), "the socket to be back");
    // The master answers on it only some ms later; with its pid file gone, nothing else tells of it until then.
    let answers = false;
    while (!answers) answers = await first.running();
    expect((await home.managed().adoptOrStart()).adopted).toBe(true);
  }, 60_000);

  test("abort ends the waiting, and touches nothing", async () => {
    const { worker } = await home.managed().adoptOrStart();
    const before = home.pids();
    const master = masterOf(home, worker.pid);
    process.kill(master, "SIGSTOP");
    const reason = new Error("enough");
    const abort = new AbortController();
    const adoption = hurried(10).adoptOrStart(abort.signal);
    setTimeout(() => abort.abort(reason), 1_500);
    await expect(adoption).rejects.toBe(reason);
    process.kill(master, "SIGCONT");
    expect(home.pids()).toEqual(before);
  }, 60_000);

  /** Time limits pass so many times faster for it; what is asked over a socket has as long as ever to answer. */
  function hurried(times: number): HaproxyProcess {
    return home.managed({ clock: { ...systemClock, now: () => systemClock.now() * times } });
  }
});

function serving(port = web.port): string {
  return `
frontend f
  bind 127.0.0.1:${home.port}
  default_backend b
backend b
  server one 127.0.0.1:${port}`;
}

/** Starts HAProxy as an operator does, says so, and goes on. */
function operatorSource(kind: ReloadKind): string {
  const [name, file] = kind === "sf" ? ["SingleProcess", "single-process"] : ["ManagedProcess", "managed-process"];
  const source = (file: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${file}`, import.meta.url)));
  return `
    import { ${name} } from ${source(`haproxy/process/${file}.ts`)};
    import { systemClock } from ${source("support/clock.ts")};
    import { silentLogger } from ${source("support/logger.ts")};
    const paths = ${JSON.stringify({ config: home.config, masterSocket: home.masterSocket, runtimeSocket: home.runtimeSocket, haproxyLog: home.haproxyLog })};
    const binary = process.env.SLUICE_HAPROXY ?? "haproxy";
    await new ${name}({ binary, paths, clock: systemClock, logger: silentLogger }).adoptOrStart();
    process.stdout.write("serving");
    setInterval(() => undefined, 1000);
  `;
}

async function ask(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${home.port}/`, { headers: { connection: "close" } });
  return response.status === 200 ? response.text() : String(response.status);
}

async function workerPid(): Promise<number> {
  const runtime = home.runtime();
  const { worker } = await runtime.observe([]);
  return worker.pid;
}

/** The parent of a worker. */
function masterOf({ pids }: HaproxyHome, worker: number): number {
  const master = Number(statOf(worker)[1]);
  expect(pids()).toContain(master);
  return master;
}

function sessionOf(pid: number): number {
  return Number(statOf(pid)[3]);
}

/** Fields of /proc/<pid>/stat from the state on: state, parent, group, session. */
function statOf(pid: number): readonly string[] {
  const stat = readFileSync(path.join("/proc", String(pid), "stat"), "latin1");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
