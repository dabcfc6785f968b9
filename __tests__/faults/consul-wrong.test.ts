import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { ConsulWorld } from "../support/consul-world.ts";
import { expectEnough } from "../support/fault-report.ts";
import { type HttpFault, type HttpProxy, startHttpProxy } from "../support/http-proxy.ts";
import { Scene } from "../support/system.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

jest.setTimeout(180_000);

const wrongMs = 3_000;

let scene: Scene;
let consul: ConsulAgent;
let proxy: HttpProxy;
let world: ConsulWorld;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
});
afterEach(() => scene.end());

describe("answers that are wrong", () => {
  beforeEach(async () => {
    proxy = await startHttpProxy(consul.httpPort);
    scene.defer(() => proxy.stop());
    world = await ConsulWorld.begin(scene, consul, proxy.address);
  });

  const faults: readonly (readonly [what: string, fault: HttpFault, reason: RegExp])[] = [
    ["500s", "500", /with 500: spoiled/],
    ["429s", "429", /with 429/],
    ["pages with 200", "html", /shape|not a list|not JSON|could not be read/],
    ["bodies that are cut in half", "cut", /middle of the answer/],
    ["bodies of 100 MB that are announced", "huge", /larger than|could not be read/],
    [
      "bodies of 100 MB that are not announced",
      "huge-chunked",
      /larger than|too many large|could not be read|no answer/,
    ],
  ];

  test.each(faults)(
    "%s: all is served on, and what changed meanwhile is applied within a second",
    async (what, fault, reason) => {
      world.load();
      proxy.become(fault);
      await world.allStale(reason);
      await world.join(consul, "web", "web-late");
      await consul.deregister("web-4");
      await sleep(wrongMs);
      const spoiled = proxy.spoiled();
      proxy.become("none");
      const rightAt = performance.now();
      const servedMs = await world.servedBy("web-late", rightAt);
      await world.fresh();
      const freshMs = Math.round(performance.now() - rightAt);
      const memory = await world.mostMemory();
      const report = await world.end(
        `Consul answers with ${what}`,
        `${spoiled} answers spoiled`,
        `change applied ${servedMs} ms after the first right answer, all fresh after ${freshMs} ms`,
        `operator's most memory ${memory} MiB`,
      );
      expect(report.failures).toEqual([]);
      expect(servedMs).toBeLessThan(1_000);
      expect(freshMs).toBeLessThan(2_000);
      expect(memory).toBeLessThan(600);
      expectEnough(report);
    },
  );
});

test("an agent whose connections are all taken turns every watch away for 4 s: all is served on, and heard within a second", async () => {
  const most = 30;
  consul = await scene.consul({ maxConnections: most });
  const path = await startTcpProxy(consul.httpPort);
  scene.defer(() => path.stop());
  world = await ConsulWorld.begin(scene, consul, path.address);
  world.load();
  // First nobody has one, so that others can take them all.
  await path.become("refuse");
  await world.join(consul, "web", "web-late");
  const taken = await takeConnections(consul.httpPort, most);
  scene.defer(async () => taken.end());
  await path.become("pass");
  await world.allStale(/limits.http_max_conns_per_client|ECONNREFUSED|429/);
  await sleep(4_000);
  expect(world.hasServed("web-late")).toBe(false);

  taken.end();
  const from = performance.now();
  const servedMs = await world.servedBy("web-late", from);
  await world.fresh();
  const freshMs = Math.round(performance.now() - from);
  const report = await world.end(
    "all connections of the agent are taken",
    `change applied ${servedMs} ms after they are free, all fresh after ${freshMs} ms`,
  );
  expect(report.failures).toEqual([]);
  expect(servedMs).toBeLessThan(1_000);
  expectEnough(report);
});

test("a catalog restored from an older snapshot: what joined since is served on, and a new instance within a second", async () => {
  world = await ConsulWorld.begin(scene, consul, consul.address);
  // The agent's first full synchronisation, up to three seconds after its server is up, would set the catalog right again.
  await sleep(4_000);
  const saved = await fetch(`${consul.address}/v1/snapshot`);
  const snapshot = new Uint8Array(await saved.arrayBuffer());
  // What the snapshot knows goes, and others come: restored, the catalog has the former and not the latter.
  for (const { web } of world.members.filter(({ service }) => service === "web").slice(1)) {
    await consul.deregister(web.name);
  }
  for (const name of ["web-5", "web-6", "web-7"]) await world.join(consul, "web", name);
  world.load();
  await world.servedBy("web-7", performance.now());
  const restored = await fetch(`${consul.address}/v1/snapshot`, { method: "PUT", body: snapshot });
  expect(restored.status).toBe(200);
  const restoredAt = performance.now();
  await world.catalogSays("web is held", ({ stale }) => stale.some(({ name }) => name === "web"));
  const late = await world.join(consul, "web", "web-late");
  const servedMs = await world.servedBy(late.name, performance.now());
  // All of them still serve that served before.
  const before = world.members.map(({ web }) => web.answered());
  await sleep(1_000);
  const resting = world.members.filter(({ service, web }, at) => service === "web" && web.answered() === before[at]);
  expect(resting.map(({ web }) => web.name)).toEqual([]);
  await world.registerAgain(consul);
  await world.fresh();
  const report = await world.end(
    "Consul restored from a snapshot",
    `new instance served after ${servedMs} ms`,
    `all registered again and fresh ${Math.round(performance.now() - restoredAt)} ms after the restore`,
  );
  expect(report.failures).toEqual([]);
  expect(servedMs).toBeLessThan(1_000);
  expectEnough(report);
});

/** Opens connections to a port until so many are held there, and keeps them. */
async function takeConnections(port: number, count: number): Promise<{ readonly end: () => void }> {
  const held = new Set<Socket>();
  while (held.size < count) {
    const socket = connect({ port, host: "127.0.0.1" });
    held.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => held.delete(socket));
    socket.resume();
    await sleep(10);
  }
  return {
    end: () => {
      for (const socket of held) socket.destroy();
    },
  };
}
