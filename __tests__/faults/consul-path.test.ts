import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { ConsulWorld } from "../support/consul-world.ts";
import { expectEnough } from "../support/fault-report.ts";
import { Scene } from "../support/system.ts";
import { startTcpProxy, type TcpMode, type TcpProxy } from "../support/tcp-proxy.ts";

jest.setTimeout(180_000);

let scene: Scene;
let consul: ConsulAgent;
let proxy: TcpProxy;
let world: ConsulWorld;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  proxy = await startTcpProxy(consul.httpPort);
  scene.defer(() => proxy.stop());
  world = await ConsulWorld.begin(scene, consul, proxy.address);
});
afterEach(() => scene.end());

const broken: readonly (readonly [what: string, mode: TcpMode, ms: number, reason: RegExp])[] = [
  [
    "swallows all for 20 s, and what was open is dead for good",
    "black-hole",
    20_000,
    /has not answered since .*no answer/,
  ],
  ["refuses for 5 s", "refuse", 5_000, /ECONNREFUSED|ECONNRESET/],
  ["resets for 5 s", "reset", 5_000, /ECONNRESET/],
];

test.each(broken)(
  "a path that %s: what changed meanwhile is applied within a second",
  async (what, mode, ms, reason) => {
    world.load();
    await proxy.become(mode);
    const brokenAt = performance.now();
    await world.outage(reason);
    await world.join(consul, "web", "web-late");
    const gone = world.members.find(({ web }) => web.name === "web-4");
    await consul.deregister("web-4");
    await sleep(Math.max(0, ms - (performance.now() - brokenAt)));

    await proxy.become("pass");
    const healedAt = performance.now();
    const servedMs = await world.servedBy("web-late", healedAt);
    await world.fresh();
    const freshMs = Math.round(performance.now() - healedAt);
    const answered = gone?.web.answered();
    await sleep(300);
    expect(gone?.web.answered()).toBe(answered);
    const report = await world.end(
      `a path to Consul that ${what}`,
      `change applied ${servedMs} ms after healing, all fresh after ${freshMs} ms`,
    );
    expect(report.failures).toEqual([]);
    expect(servedMs).toBeLessThan(1_000);
    expect(freshMs).toBeLessThan(2_000);
    expectEnough(report);
  },
);

test("a path that is slow delays a change by what it is slow, and nothing is stale", async () => {
  world.load();
  await proxy.become("slow");
  await sleep(4_000);
  await world.join(consul, "web", "web-late");
  const servedMs = await world.servedBy("web-late", performance.now());
  const { stale, outage } = await world.catalogSays("there is a status", () => true);
  expect({ stale, outage }).toEqual({ stale: [], outage: undefined });
  const report = await world.end("a path to Consul that is slow", `change applied after ${servedMs} ms`);
  expect(report.failures).toEqual([]);
  expect(servedMs).toBeLessThan(2_000);
  expectEnough(report);
});
