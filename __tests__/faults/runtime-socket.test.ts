import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import type { Load } from "../support/load.ts";
import { reloadByHand, reloadBySignal } from "../support/running-haproxy.ts";
import { eventually, runtimeCommand, type SluiceHome, socketCommand, workerPid } from "../support/sluice.ts";
import { proxySocket, type SocketFault, type SocketProxy } from "../support/socket-proxy.ts";
import { answers, countEvents, Scene, serversInFile, serversRunning, statusNow } from "../support/system.ts";
import { registration, type WebInstance } from "../support/web-instance.ts";

jest.setTimeout(180_000);

const headers = { host: "web.service.local" };

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test.each<readonly [SocketFault, number]>([
  ["cut", 1_500],
  ["swallow", 7_000],
  ["slow", 7_000],
  ["garbage", 1_500],
  ["refuse", 1_500],
])(
  "answers of the socket go wrong (%s): what came of a command is found out, nothing is assumed",
  async (fault, forMs) => {
    const world = await begin();
    const { home, sluice } = world;
    const proxy = await throughProxy(home);
    const load = await underLoad(home);
    const before = sluice.lines().length;
    proxy.fault = fault;
    const began = performance.now();
    for (let count = 0; performance.now() - began < forMs; count += 1) {
      await world.replaceOne(`new-${count}`);
      await sleep(forMs / 5);
    }
    proxy.fault = "none";
    const mendedAt = performance.now();
    await world.settled();
    const settledMs = Math.round(performance.now() - mendedAt);
    await sleep(500);
    const report = await load.stop();
    const reloads = countEvents(sluice, "reloaded", before);

    reportLoad(
      `socket: ${fault} for ${forMs} ms`,
      report,
      `as it should be ${settledMs} ms later`,
      `${reloads} reloads`,
    );
    expect(proxy.spoilt()).toBeGreaterThan(0);
    expect(failuresByKind(report)).toBe("");
    // A surprise is worth one at most.
    expect(reloads).toBeLessThanOrEqual(1);
  },
);

test("somebody else reloads again and again, by the master's socket and by a signal, while servers come and go", async () => {
  const world = await begin();
  const { home, sluice } = world;
  const load = await underLoad(home);
  const before = sluice.lines().length;
  const workers = new Set<number>();
  for (let count = 0; count < 10; count += 1) {
    await world.replaceOne(`new-${count}`);
    if (count % 2 === 0) await reloadByHand(home).catch(() => undefined);
    else await reloadBySignal(home);
    await world.replaceOne(`more-${count}`);
    await sleep(400);
    await eventually("a worker answers", async () => Boolean(workers.add(await workerPid(home))));
  }
  await world.settled();
  await sleep(500);
  const report = await load.stop();
  const own = countEvents(sluice, "reloaded", before);

  reportLoad(
    "20 changes around 10 reloads by somebody else",
    report,
    `${workers.size} workers, ${own} reloads of our own`,
  );
  expect(workers.size).toBeGreaterThanOrEqual(8);
  expect(failuresByKind(report)).toBe("");
});

test("somebody else adds the server that is to be added, and deletes the one that is to be deleted", async () => {
  const world = await begin();
  const { consul, home, sluice } = world;
  const load = await underLoad(home);
  const before = sluice.lines().length;
  const instance = await scene.instance("twin");
  const name = `twin_127.0.0.1:${instance.port}`;
  await runtimeCommand(home, `add server web/${name} 127.0.0.1:${instance.port} weight 7 check`);
  await consul.register(registration("web", instance));
  world.instances.push(instance);
  await world.settled();
  // Made ready, with its checks: they find it, or it would be up for ever.
  await eventually("it is checked", async () => (await checkResult(home, name)) === "6");

  const leaving = world.instances.shift();
  if (leaving === undefined) throw new Error("there is no instance");
  const server = `web/${leaving.name}_127.0.0.1:${leaving.port}`;
  await runtimeCommand(home, `set server ${server} state maint`);
  await eventually(
    "it can be deleted",
    async () => {
      await runtimeCommand(home, `shutdown sessions server ${server}`);
      return /deleted|No such/.test(await runtimeCommand(home, `del server ${server}`));
    },
    60_000,
  );
  await consul.deregister(leaving.name);
  await world.settled();
  const report = await load.stop();

  reportLoad(
    "servers added and deleted by somebody else first",
    report,
    `${countEvents(sluice, "reloaded", before)} reloads`,
  );
  expect(failuresByKind(report)).toBe("");
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
});

/** Four instances of `web`, and an operator that looks at everything each 2 s. */
async function begin() {
  const consul = await scene.consul();
  const home = await scene.home(consul.address, { resync: "2s" });
  const instances: WebInstance[] = [];
  for (let index = 0; index < 4; index += 1) instances.push(await scene.join(consul, "web", `web-${index}`));
  const sluice = scene.run(home);
  await answers(home, headers.host);
  const settled = () => settledOn(home, instances);
  await settled();
  const replaceOne = async (name: string) => {
    instances.push(await scene.join(consul, "web", name));
    const old = instances.shift();
    if (old === undefined) throw new Error("there is no instance");
    // It goes on answering until the test ends: as long as the socket is broken nobody can tell HAProxy.
    await consul.deregister(old.name);
  };
  return { consul, home, sluice, instances, settled, replaceOne };
}

async function underLoad(home: SluiceHome): Promise<Load> {
  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers });
  await sleep(500);
  return load;
}

/** Waits until process and file have these instances and no other, and the operator believes it. */
async function settledOn(home: SluiceHome, instances: readonly WebInstance[]): Promise<void> {
  const wanted = instances
    .map(({ name, port }) => `web/${name}_127.0.0.1:${port} 127.0.0.1:${port} weight 1`)
    .sort()
    .join("\n");
  await eventually(
    "HAProxy has what the catalog has",
    async () => (await serversRunning(home)).join("\n") === wanted,
    60_000,
  );
  await eventually("so does the file", async () => (await serversInFile(home)).join("\n") === wanted, 60_000);
  await eventually("and it is known", async () => (await statusNow(home)).reconciler.haproxy.believed, 60_000);
}

/**
 * Puts a proxy in the place of the runtime socket, and has the operator come through it. Not under load: what HAProxy
 * calls a session has an address for a name, which may be a client's a moment later.
 */
async function throughProxy(home: SluiceHome): Promise<SocketProxy> {
  const socket = path.join(home.state, "sockets", "runtime.sock");
  const proxy = await proxySocket(socket);
  scene.defer(() => proxy.stop());
  // Its connection of before, and whatever else is open there, is ended by HAProxy itself.
  const sessions = await socketCommand(`${socket}.behind`, "show sess");
  for (const [, id] of sessions.matchAll(/^(0x[0-9a-f]+): proto=unix_stream/gm)) {
    await socketCommand(`${socket}.behind`, `shutdown session ${id}`).catch(() => undefined);
  }
  await sleep(500);
  return proxy;
}

/** Of a server's last check: 6 is that of a connection that was accepted (management guide 9.3, srv_check_status). */
async function checkResult(home: SluiceHome, server: string): Promise<string | undefined> {
  const row = (await runtimeCommand(home, "show servers state web"))
    .split("\n")
    .find((one) => one.includes(` ${server} `));
  return row?.split(" ")[10];
}
