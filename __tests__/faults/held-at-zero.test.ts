import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { expectEnough, printLoad } from "../support/fault-report.ts";
import { type InstanceProcess, startInstanceProcess } from "../support/instance-process.ts";
import { OutsideNode } from "../support/outside-node.ts";
import { servePool } from "../support/served-pool.ts";
import { eventually, type RunningSluice, type SluiceHome, workerPid } from "../support/sluice.ts";
import { answers, ask, countEvents, Scene, serversRunning, statusNow } from "../support/system.ts";
import { registration, type WebInstance } from "../support/web-instance.ts";

jest.setTimeout(180_000);

const host = "web.service.local";
let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let sluice: RunningSluice;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address);
});
afterEach(() => scene.end());

async function serving(count: number): Promise<void> {
  sluice = await servePool(scene, home, host, count);
}

const load = () => scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers: { host } });
const names = ["web-1", "web-2", "web-3", "web-4", "web-5"];

/** Waits until all of web serve again, and says how long that took; they are held then. */
async function allHeld(count: number): Promise<number> {
  const began = performance.now();
  await eventually("all that live serve again", async () => (await serversRunning(home)).length === count, 20_000);
  const took = performance.now() - began;
  const { reconciler } = await statusNow(home);
  expect(reconciler.holds).toHaveLength(count);
  expect(new Set(reconciler.holds.map(({ cause }) => cause))).toEqual(new Set(["zero"]));
  return Math.round(took);
}

test("all five deregistered one by one, all alive: all of them serve again, no request fails, no reload", async () => {
  const pool: WebInstance[] = [];
  for (const name of names) pool.push(await scene.join(consul, "web", name));
  await serving(5);
  const worker = await workerPid(home);
  const before = sluice.lines().length;
  const clients = load();
  for (const { name } of pool) {
    await consul.deregister(name);
    await sleep(400);
  }
  const tookMs = await allHeld(5);
  const answered = pool.map((instance) => instance.answered());
  await sleep(4_000);
  for (const [index, instance] of pool.entries()) expect(instance.answered()).toBeGreaterThan(answered[index] ?? 0);
  for (const instance of pool) await consul.register(registration("web", instance));
  await eventually("nothing is held", async () => (await statusNow(home)).reconciler.holds.length === 0, 20_000);
  await sleep(500);
  const report = await clients.stop();
  printLoad("five deregistered one by one while alive", report, `all serve again ${tookMs} ms after the last`);
  expect(report.failures).toEqual([]);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expect(await workerPid(home)).toBe(worker);
  expectEnough(report);
});

test("all five deregistered in one transaction, all alive: no request fails, no reload", async () => {
  const node = new OutsideNode(consul);
  const pool: WebInstance[] = [];
  for (const name of names) pool.push(await scene.instance(name));
  await node.change({ join: pool.map((one) => ["web", one] as const) });
  await serving(5);
  const worker = await workerPid(home);
  const before = sluice.lines().length;
  const clients = load();
  await sleep(500);
  await node.change({ leave: pool });
  await sluice.logged((line) => line.event === "held", 20_000, before);
  await allHeld(5);
  await sleep(4_000);
  await node.change({ join: pool.slice(0, 2).map((one) => ["web", one] as const) });
  await eventually("two are listed again", async () => (await statusNow(home)).reconciler.holds.length === 3, 20_000);
  // The others go when they end.
  for (const [at, instance] of pool.slice(2).entries()) {
    await instance.stop();
    await eventually("it is let go", async () => (await statusNow(home)).reconciler.holds.length === 2 - at, 20_000);
  }
  await eventually("two serve", async () => (await serversRunning(home)).length === 2, 20_000);
  const report = await clients.stop();
  printLoad("five deregistered in one transaction while alive", report);
  expect(report.failures).toEqual([]);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expect(await workerPid(home)).toBe(worker);
  expectEnough(report);
});

/** What is taken out ends a second after it has left the catalog. */
const endsAfterMs = 1_000;

async function leave(instances: readonly InstanceProcess[]): Promise<void> {
  await Promise.all(instances.map(({ name }) => consul.deregister(name)));
  await sleep(endsAfterMs);
  await Promise.all(instances.map((instance) => instance.kill()));
}

async function start(name: string): Promise<InstanceProcess> {
  const instance = await startInstanceProcess(name);
  scene.defer(() => instance.kill());
  await consul.register(registration("web", instance));
  return instance;
}

test("scaled 5 to 2 to 0 to 3: nothing is held at 2, no request fails but at 0, where 503 is said", async () => {
  const pool: InstanceProcess[] = [];
  for (const name of names) pool.push(await start(name));
  await serving(5);
  const before = sluice.lines().length;
  const clients = load();
  const began = performance.now();
  await sleep(500);

  await leave(pool.slice(2));
  await eventually("two serve", async () => (await serversRunning(home)).length === 2);
  await sleep(2_000);
  expect(countEvents(sluice, "held", before)).toBe(0);
  expect(clients.report().failures).toEqual([]);

  const zeroFrom = performance.now() - began;
  await leave(pool.slice(0, 2));
  await eventually("nothing is held", async () => (await statusNow(home)).reconciler.holds.length === 0, 20_000);
  const empty = await ask(home.httpPort, { host });
  expect([empty.status, empty.body.includes("Not available right now")]).toEqual([503, true]);
  const held = sluice.lines().filter(({ event }, index) => index >= before && event === "held");
  expect(held.every(({ msg }) => /web-[12]|no instance left/.test(msg))).toBe(true);

  const anew: InstanceProcess[] = [];
  for (const name of ["web-6", "web-7", "web-8"]) anew.push(await start(name));
  await answers(home, host);
  const zeroTo = performance.now() - began;
  await eventually("three serve", async () => (await serversRunning(home)).length === 3, 20_000);
  await sleep(1_500);
  const report = await clients.stop();
  const atZero = report.failures.filter(({ atMs }) => atMs >= zeroFrom && atMs <= zeroTo);
  printLoad("5 to 2 to 0 to 3", report, `${atZero.length} of them at 0`);
  expect(report.failures.filter((failure) => !atZero.includes(failure))).toEqual([]);
  // What was under way with a process that is killed, and can go to no other one: at most one request of each client.
  const cut = atZero.filter(({ what }) => what !== "503");
  expect(cut.filter(({ what }) => what !== "ECONNRESET")).toEqual([]);
  expect(cut.length).toBeLessThanOrEqual(16);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expectEnough(report);
});
