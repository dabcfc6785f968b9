import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { type ConsulCluster, type ConsulServer, startConsulCluster } from "../support/consul-cluster.ts";
import { ConsulWorld } from "../support/consul-world.ts";
import { expectEnough } from "../support/fault-report.ts";
import { Scene } from "../support/system.ts";

jest.setTimeout(180_000);

let scene: Scene;
let cluster: ConsulCluster;
let leader: ConsulServer;
let follower: ConsulServer;
let third: ConsulServer;
let world: ConsulWorld;

beforeEach(async () => {
  scene = new Scene();
  cluster = await startConsulCluster();
  scene.defer(() => cluster.stop());
  const leads = await cluster.leader();
  const [one, other] = cluster.servers.filter((server) => server !== leads);
  if (leads === undefined || one === undefined || other === undefined) throw new Error("three servers and a leader");
  [leader, follower, third] = [leads, one, other];
  // The operator asks a server that is to stay.
  world = await ConsulWorld.begin(scene, follower, follower.address);
});
afterEach(() => scene.end());

/** Whoever leads, but the one that did; and how long that took. */
async function nextLeader(from: number): Promise<number> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const now = await cluster.leader();
    if (now !== undefined && now !== leader) return Math.round(performance.now() - from);
    if (performance.now() > deadline) throw new Error("no other leader");
    await sleep(20);
  }
}

test.each([
  ["killed", "SIGKILL"],
  ["frozen", "SIGSTOP"],
] as const)(
  "the leader %s: all is served on, and what registers is served soon after the next is elected",
  async (how, signal) => {
    world.load();
    await sleep(500);
    const from = performance.now();
    process.kill(leader.pid, signal);
    // It is taken down by its own agent, and written to the catalog once there is someone to write it.
    const joining = world.join(follower, "web", "web-late").then(() => Math.round(performance.now() - from));
    const electedMs = await nextLeader(from);
    const servedMs = await world.servedBy("web-late", from, 60_000);
    const joinedMs = await joining;
    const second = performance.now();
    await world.join(follower, "web", "web-later");
    const laterMs = await world.servedBy("web-later", second);
    await world.fresh(60_000);
    const freshMs = Math.round(performance.now() - from);
    const report = await world.end(
      `the leader of three is ${how}`,
      `another leads after ${electedMs} ms`,
      `what registered meanwhile taken after ${joinedMs} ms and served after ${servedMs} ms, what registered then after ${laterMs} ms`,
      `all fresh after ${freshMs} ms`,
    );
    expect(report.failures).toEqual([]);
    expect(laterMs).toBeLessThan(3_000);
    expectEnough(report);
  },
);

test("two of three frozen, so that nobody leads for 8 s: said since when, and all is served on", async () => {
  world.load();
  await sleep(500);
  process.kill(leader.pid, "SIGSTOP");
  process.kill(third.pid, "SIGSTOP");
  await world.outage(/Consul has had no leader since/, 60_000);
  await sleep(8_000);
  process.kill(leader.pid, "SIGCONT");
  process.kill(third.pid, "SIGCONT");
  const from = performance.now();
  await world.fresh(60_000);
  const freshMs = Math.round(performance.now() - from);
  const at = performance.now();
  await world.join(follower, "web", "web-late");
  const servedMs = await world.servedBy("web-late", at, 60_000);
  const report = await world.end(
    "nobody leads for 8 s",
    `all fresh ${freshMs} ms after the others are back`,
    `new instance served after ${servedMs} ms`,
  );
  expect(report.failures).toEqual([]);
  expectEnough(report);
});
