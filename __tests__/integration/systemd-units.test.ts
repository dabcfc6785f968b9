import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { parse, stringify } from "yaml";
import { haproxyBinary } from "../support/binaries.ts";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { freePort } from "../support/free-port.ts";
import { startInstanceProcess } from "../support/instance-process.ts";
import { eventually, socketCommand } from "../support/sluice.ts";
import { ask, Scene } from "../support/system.ts";
import { type StartedUnit, SystemdHost } from "../support/systemd-host.ts";
import { UnitFile } from "../support/unit-file.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(300_000);

const units = fileURLToPath(new URL("../../docs/systemd/", import.meta.url));
const haproxyDropIn = path.join(units, "haproxy.service.d/sluice.conf");
const haproxyUnit = new UnitFile([haproxyDropIn]);
const sluiceUnit = new UnitFile([path.join(units, "sluice.service")]);
const host = "web.service.local";

let scene: Scene;
let consul: ConsulAgent;
let machine: SystemdHost;
let httpPort: number;
let statsPort: number;

describe("the commands of the unit files, by hand", () => {
  beforeAll(async () => {
    machine = await SystemdHost.install();
  });

  beforeEach(async () => {
    scene = new Scene();
    scene.defer(() => machine.reset());
    consul = await scene.consul();
    [httpPort, statsPort] = [await privilegedPort(), await freePort()];
    await machine.writeSettings(settings([httpPort]));
  });

  afterEach(() => scene.end());
  afterAll(() => machine.remove());

  test("HAProxy comes up first, on its own configuration, with the right to bind and no other", async () => {
    const haproxy = await startHaproxy();
    expect((await ask(httpPort, { host })).status).toBe(404);
    expect((await ask(statsPort, { path: "/haproxy_stats", auth: "admin:change-me" })).status).toBe(200);
    for (const pid of [haproxy.pid, await worker()])
      expect(rightsOf(pid)).toEqual(rights(machine.confines ? 0x400 : 0));

    const operator = machine.start(sluiceUnit);
    await join("web-1");
    await served(["web-1"]);
    expect(rightsOf(operator.pid)).toEqual(rights(0));
    expect(await machine.stop(sluiceUnit, operator)).toBe(0);
    expect(await machine.stop(haproxyUnit, haproxy)).toBe(0);
  });

  test("without the capability the port is refused: it is what lets HAProxy have it", async () => {
    const dropIn = machine.place("/etc/sluice/no-right.conf");
    writeFileSync(dropIn, "[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n");
    const haproxy = machine.start(new UnitFile([haproxyDropIn, dropIn]));
    const lowest = Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8"));
    if (httpPort >= lowest) await answering(haproxy);
    else {
      expect(await haproxy.ended).toBe(1);
      expect(haproxy.output()).toMatch(/cannot bind .*Permission denied/);
    }
  });

  test("each is stopped, started and reloaded alone, and no request fails", async () => {
    const haproxy = await startHaproxy();
    let operator = machine.start(sluiceUnit);
    await join("web-1");
    await join("web-2");
    await served(["web-1", "web-2"]);
    const first = await worker();
    const load = scene.load({ port: httpPort, keepAlive: 8, oneShot: 8, headers: { host }, pauseMs: 5 });

    expect(await machine.stop(sluiceUnit, operator)).toBe(0);
    operator = machine.start(sluiceUnit);
    await join("web-3");
    await served(["web-1", "web-2", "web-3"]);
    // Adopted as it was.
    expect(await worker()).toBe(first);

    const reload = machine.run(haproxyUnit, "Service.ExecReload", haproxy.pid);
    expect(reload.map(({ status }) => status)).toEqual([0, 0]);
    await eventually("another worker", async () => (await worker()) !== first, 20_000);
    await join("web-4");
    await served(["web-1", "web-2", "web-3", "web-4"]);

    const report = await load.stop();
    console.info(
      `systemd: ${report.sent} requests over a restart of the operator and a reload: ${report.failures.length} failed`,
    );
    expect(report.failures).toEqual([]);
    expect(await machine.stop(sluiceUnit, operator)).toBe(0);
    expect(await machine.stop(haproxyUnit, haproxy)).toBe(0);
  });

  test("the operator has HAProxy bind another port below 1024", async () => {
    const haproxy = await startHaproxy();
    const another = await privilegedPort();
    await machine.writeSettings(settings([httpPort, another]));
    const operator = machine.start(sluiceUnit);
    await join("web-1");
    await served(["web-1"]);
    await served(["web-1"], another);
    expect(haproxy.pid).toBeGreaterThan(0);
    expect(await machine.stop(sluiceUnit, operator)).toBe(0);
    expect(await machine.stop(haproxyUnit, haproxy)).toBe(0);
  });

  test("HAProxy that is stopped finishes what it has, and comes back with all servers while nobody else is there", async () => {
    const haproxy = await startHaproxy();
    const operator = machine.start(sluiceUnit);
    await join("web-1");
    await join("web-2");
    await served(["web-1", "web-2"]);
    const answer = await slowAnswer(2_000);
    const stopped = machine.stop(haproxyUnit, haproxy);
    expect(await answer.ended).toBe("complete");
    expect(await stopped).toBe(0);

    await machine.stop(sluiceUnit, operator);
    await consul.stop();
    const again = await startHaproxy();
    await served(["web-1", "web-2"]);
    // The master starts itself anew behind its worker's start: until it listens, a signal may be lost on it.
    await eventually("the master listens", async () =>
      /master/.test(await socketCommand(masterSocket(), "show proc;quit")),
    );
    expect(await machine.stop(haproxyUnit, again)).toBe(0);
  });

  test("who is killed is started again, and the other one goes on", async () => {
    const haproxy = await startHaproxy();
    const operator = machine.start(sluiceUnit);
    await join("web-1");
    await served(["web-1"]);
    process.kill(operator.pid, "SIGKILL");
    expect(await operator.ended).toBe("SIGKILL");
    const next = machine.start(sluiceUnit);
    await join("web-2");
    await served(["web-1", "web-2"]);

    const old = await worker();
    process.kill(haproxy.pid, "SIGKILL");
    await haproxy.ended;
    // What is left of a unit is killed by systemd (KillMode=mixed).
    await eventually("the worker is gone", () => killed(old), 20_000);
    const restarted = await startHaproxy();
    await served(["web-1", "web-2"]);
    await join("web-3");
    await served(["web-1", "web-2", "web-3"]);
    expect(await machine.stop(sluiceUnit, next)).toBe(0);
    expect(await machine.stop(haproxyUnit, restarted)).toBe(0);
  });
});

/** The settings that the documentation shows, with the ports and places of this test. */
function settings(ports: readonly number[]): string {
  const shown = parse(readFileSync(path.join(units, "sluice.yaml"), "utf8"));
  return stringify({
    ...shown,
    consul: { ...shown.consul, address: consul.address },
    haproxy: {
      ...shown.haproxy,
      directory: machine.place(shown.haproxy.directory),
      binary: haproxyBinary,
    },
    http: { ...shown.http, bind: ports.map((port) => `127.0.0.1:${port}`).join(",") },
    stats: { ...shown.stats, bind: `127.0.0.1:${statsPort}` },
  });
}

async function startHaproxy(): Promise<StartedUnit> {
  const haproxy = machine.start(haproxyUnit);
  await answering(haproxy);
  return haproxy;
}

async function answering(haproxy: StartedUnit): Promise<void> {
  await eventually("HAProxy answers", async () => (await ask(httpPort, { host })).status > 0, 30_000).catch(
    (thrown) => {
      throw new Error(`${thrown}\n${haproxy.output()}`);
    },
  );
}

async function join(name: string): Promise<void> {
  const instance = await startInstanceProcess(name);
  scene.defer(() => instance.kill());
  await consul.register(registration("web", instance));
}

/** Waits until just these answer. */
async function served(names: readonly string[], port = httpPort): Promise<void> {
  await eventually(
    `${names.join(", ")} answer`,
    async () => {
      const found = new Set<string>();
      for (let count = 0; count < 3 * names.length; count += 1) {
        const { status, body } = await ask(port, { host });
        if (status !== 200) return false;
        found.add(body);
      }
      return [...found].sort().join() === names.join();
    },
    40_000,
  );
}

/** An answer that has begun; and how it ends. */
async function slowAnswer(ms: number): Promise<{ readonly ended: Promise<string> }> {
  const request = get({ host: "127.0.0.1", port: httpPort, path: `/stream?ms=${ms}`, headers: { host }, agent: false });
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  const ended = new Promise<string>((resolve) => {
    answer.resume();
    answer.on("end", () => resolve("complete"));
    answer.on("error", (error) => resolve(error.message));
  });
  return { ended };
}

function masterSocket(): string {
  return machine.place("/var/lib/sluice/sockets/master.sock");
}

async function worker(): Promise<number> {
  const answer = await socketCommand(machine.place("/var/lib/sluice/sockets/runtime.sock"), "show info");
  return Number(/^Pid: (\d+)/m.exec(answer)?.[1]);
}

/** The user and the effective capabilities of a process (proc(5), `status`). */
function rightsOf(pid: number) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]),
    capabilities: Number.parseInt(/^CapEff:\s+(\w+)/m.exec(status)?.[1] ?? "", 16),
  };
}

function rights(capabilities: number) {
  return { uid: machine.uid, capabilities };
}

/** Sends SIGKILL, until there is nobody to get it. */
function killed(pid: number): boolean {
  try {
    process.kill(pid, "SIGKILL");
    return false;
  } catch {
    return true;
  }
}

/** A port of 127.0.0.1 that takes a right to bind, and that this process could have; where it has none, any port. */
async function privilegedPort(): Promise<number> {
  if (!machine.confines) return freePort();
  for (;;) {
    const port = 600 + Math.floor(Math.random() * 400);
    const server = createServer().listen(port, "127.0.0.1");
    const free = await Promise.race([
      once(server, "listening").then(() => true),
      once(server, "error").then(() => false),
    ]);
    server.close();
    if (free) return port;
  }
}
