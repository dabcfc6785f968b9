import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { startClientAgent } from "../support/consul-client-agent.ts";
import { expectEnough, printLoad } from "../support/fault-report.ts";
import { OutsideNode } from "../support/outside-node.ts";
import { servePool } from "../support/served-pool.ts";
import { eventually, type RunningSluice, type SluiceHome } from "../support/sluice.ts";
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

async function serving(count: number): Promise<number> {
  sluice = await servePool(scene, home, host, count);
  return sluice.lines().length;
}

async function startPool(): Promise<readonly WebInstance[]> {
  const pool: WebInstance[] = [];
  for (const name of ["web-1", "web-2", "web-3"]) pool.push(await scene.instance(name));
  return pool;
}

const load = () => scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers: { host } });
const holds = async () => (await statusNow(home)).reconciler.holds;
const heldNow = (count: number) =>
  eventually(`${count} are held`, async () => (await holds()).length === count, 60_000);

test("the agent of all instances is cut off from Consul: they are held while they answer, until it is back", async () => {
  const agent = await startClientAgent(consul, "node-b");
  scene.defer(() => agent.stop());
  const pool = await startPool();
  for (const instance of pool) await agent.register(registration("web", instance));
  const before = await serving(3);
  const clients = load();
  agent.freeze();
  await heldNow(3);
  expect((await holds()).map(({ instance, cause }) => `${instance} ${cause}`)).toEqual(
    pool.map(({ name }) => `node-b/${name} zero`),
  );
  await sleep(3_000);
  expect(await serversRunning(home)).toHaveLength(3);
  agent.thaw();
  await heldNow(0);
  const report = await clients.stop();
  printLoad("all nodes of a service cut off (serfHealth)", report);
  expect(report.failures).toEqual([]);
  const released = sluice.lines().filter(({ event }, index) => index >= before && event === "released");
  expect(released.map((line) => line["why"])).toEqual(["listed-again", "listed-again", "listed-again"]);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expectEnough(report);
});

/** A check of the node `outside` itself. */
const nodeCheck = (status: "passing" | "critical") =>
  consul.put("/v1/catalog/register", {
    Node: "outside",
    Address: "127.0.0.1",
    SkipNodeUpdate: true,
    Check: { Node: "outside", CheckID: "node-alive", Name: "node-alive", Status: status },
  });

test("the node check of all instances fails, and then one after the other ends: held while it answers", async () => {
  const pool = await startPool();
  await new OutsideNode(consul).change({ join: pool.map((one) => ["web", one] as const) });
  await nodeCheck("passing");
  const before = await serving(3);
  const clients = load();
  await nodeCheck("critical");
  await heldNow(3);
  await sleep(3_000);
  expect(await serversRunning(home)).toHaveLength(3);
  await pool[0]?.stop();
  await heldNow(2);
  await nodeCheck("passing");
  await heldNow(0);
  await sleep(500);
  const report = await clients.stop();
  printLoad("a node check of all instances critical", report);
  expect(report.failures).toEqual([]);
  const released = sluice.lines().filter(({ event }, index) => index >= before && event === "released");
  expect(released.map((line) => line["why"])).toEqual(["refused", "listed-again", "listed-again"]);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expectEnough(report);
});

test("their own checks are critical: believed at once, one after the other and all, nothing is held", async () => {
  const pool = await startPool();
  for (const instance of pool) await consul.register(registration("web", instance));
  const before = await serving(3);
  const tell = (instance: WebInstance, Status: "passing" | "critical") =>
    consul.put(`/v1/agent/check/update/check-${instance.name}`, { Status });
  const clients = load();
  for (const instance of pool.slice(1)) {
    await tell(instance, "critical");
    await sleep(300);
  }
  await eventually("one serves", async () => (await serversRunning(home)).length === 1, 20_000);
  await sleep(3_000);
  const report = await clients.stop();
  printLoad("two of three critical by their own checks", report);
  expect(report.failures).toEqual([]);
  await tell(pool[0] as WebInstance, "critical");
  await eventually("503", async () => (await ask(home.httpPort, { host })).status === 503, 20_000);
  expect(countEvents(sluice, "held", before)).toBe(0);
  for (const instance of pool) await tell(instance, "passing");
  await answers(home, host);
  expectEnough(report);
});
