import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type ConsulAgent, startConsul } from "../support/consul-agent.ts";
import { freePort } from "../support/free-port.ts";
import { OptionsScene } from "../support/options-scene.ts";
import { eventually } from "../support/sluice.ts";
import { ask, bodies, serversRunning, statusNow } from "../support/system.ts";
import { registration, type WebInstance } from "../support/web-instance.ts";

/**
 * Where the instances of a service are reached: another of their addresses, another zone, another datacenter, the answer
 * of a prepared query. Two datacenters that are joined by their servers, an operator in the first.
 */

jest.setTimeout(240_000);

let scene: OptionsScene;
let dc2: ConsulAgent;

const own = (datacenter: string, wanPort: number) => ({
  extraArgs: ["-datacenter", datacenter, "-node", `node-${datacenter}`, "-serf-wan-port", String(wanPort)],
});

beforeAll(async () => {
  const [near, far] = [await freePort(), await freePort()];
  scene = await OptionsScene.begin(
    async () => ({
      services: { queries: "by-query", zone: "a", zoneMeta: "rack" },
      guard: { window: "1s", holdFor: "1s" },
      resync: "5s",
    }),
    own("dc1", near),
  );
  dc2 = await startConsul(own("dc2", far));
  scene.scene.defer(() => dc2.stop());
  await dc2.put(`/v1/agent/join/127.0.0.1:${near}?wan=1`);
  await eventually("the datacenters know each other", async () => (await datacenters()).join() === "dc1,dc2", 60_000);

  const moved = await scene.start("moved");
  const plain = await scene.start("plain");
  await scene.consul.register({
    ...registration("moved", plain, { Tags: ["haproxy.address=lan"] }),
    TaggedAddresses: { lan: { Address: "127.0.0.1", Port: moved.port } },
  });
  await scene.add("pair", ["haproxy.failover=dc2"], { name: "pair-here" });
  await join("pair", "pair-there");
  await scene.add("vanishing", ["haproxy.failover=dc2"], { name: "vanishing-here" });
  await join("vanishing", "vanishing-there");
  await scene.add("alone", ["haproxy.enable=true"], { name: "alone-here" });
  await join("alone", "alone-there");
  await zone("zoned", "zoned-near", "a");
  await zone("zoned", "zoned-far", "b");
  await join("queried", "queried-there");
  const query = { Name: "by-query", Service: { Service: "queried", Failover: { Datacenters: ["dc2"] } } };
  expect((await scene.consul.fetch("POST", "/v1/query", query)).status).toBe(200);
  await scene.run();
  // A query is answered behind the first configuration, and its backend takes a reload.
  await becomes("by-query", "queried-there");
  await eventually(
    "nothing is left to do",
    async () => (await statusNow(scene.home)).reconciler.fileLagMs === undefined,
  );
});
afterAll(() => scene?.end());

async function datacenters(): Promise<readonly string[]> {
  return ((await scene.consul.get("/v1/catalog/datacenters")) as readonly string[]).toSorted();
}

/** An instance of the second datacenter. */
async function join(service: string, name: string): Promise<WebInstance> {
  const instance = await scene.scene.instance(name);
  await dc2.register(registration(service, instance));
  return instance;
}

/** An instance on a node of its own, with that zone. */
async function zone(service: string, name: string, rack: string): Promise<WebInstance> {
  const instance = await scene.scene.instance(name);
  await scene.consul.put("/v1/catalog/register", {
    Node: `node-${name}`,
    Address: "127.0.0.1",
    NodeMeta: { rack },
    Service: { Service: service, ID: name, Address: "127.0.0.1", Port: instance.port, Tags: ["haproxy.enable=true"] },
    Checks: [{ Node: `node-${name}`, CheckID: `c-${name}`, Name: "c", Status: "passing", ServiceID: name }],
  });
  return instance;
}

const body = async (service: string) => {
  const { status, body: text } = await ask(scene.home.httpPort, { host: `${service}.service.local` });
  return status === 200 ? text : String(status);
};
const becomes = (service: string, text: string, timeoutMs = 30_000) =>
  eventually(`${service} is ${text}`, async () => (await body(service)) === text, timeoutMs);
const served = async (service: string) => (await bodies(scene.home, `${service}.service.local`, 8)).join();

test("haproxy.address", async () => {
  await becomes("moved", "moved");
  const plain = scene.instance("plain");
  await scene.withoutReload(async () => {
    await scene.join("moved", ["haproxy.enable=true"], plain);
    await becomes("moved", "plain");
    expect(await served("moved")).toBe("plain");
  });
});

describe("haproxy.failover", () => {
  test("another datacenter stands by, and serves where none here can", async () => {
    await eventually("both are servers", async () => (await servers("pair")) === 2);
    expect(await served("pair")).toBe("pair-here");
    await scene.withoutReload(async () => {
      // HAProxy's own check finds it dead; Consul knows nothing of it.
      await scene.instance("pair-here").stop();
      await becomes("pair", "pair-there");
    });
    // Nobody asked for another datacenter of this one.
    expect(await servers("alone")).toBe(1);
  });

  test("it serves on where none is left in the catalog here, and stands by again when one is back", async () => {
    await eventually("both are servers", async () => (await servers("vanishing")) === 2);
    await scene.withoutReload(async () => {
      await scene.remove("vanishing-here");
      await becomes("vanishing", "vanishing-there");
      await sleep(2_000);
      expect(await served("vanishing")).toBe("vanishing-there");
      // What changes there is followed, though nothing is listed here.
      await join("vanishing", "vanishing-there-2");
      await eventually(
        "both there serve",
        async () => (await served("vanishing")) === "vanishing-there,vanishing-there-2",
      );
      await scene.join("vanishing", ["haproxy.failover=dc2"], scene.instance("vanishing-here"));
      await becomes("vanishing", "vanishing-here");
      expect(await served("vanishing")).toBe("vanishing-here");
    });
  });
});

test("instances of another zone serve only where none of this one can", async () => {
  await becomes("zoned", "zoned-near");
  expect(await served("zoned")).toBe("zoned-near");
  await scene.withoutReload(async () => {
    await scene.consul.put("/v1/catalog/deregister", { Node: "node-zoned-near", ServiceID: "zoned-near" });
    await becomes("zoned", "zoned-far");
    await zone("zoned", "zoned-near-2", "a");
    await becomes("zoned", "zoned-near-2");
    expect(await served("zoned")).toBe("zoned-near-2");
  });
});

test("a prepared query is a service of its name, with the instances of whatever datacenter it finds", async () => {
  await becomes("by-query", "queried-there");
  expect((await serversRunning(scene.home)).filter((line) => line.startsWith("by-query/"))).toHaveLength(1);
});

test("1 → 0 → 1: the routes stay, and the fallback page answers meanwhile", async () => {
  await scene.add("shop", ["haproxy.host=shop.example.com", "haproxy.path=/api"], { name: "shop-1" });
  const shop = (path: string) => ask(scene.home.httpPort, { host: "shop.example.com", path });
  await eventually("the shop answers", async () => (await shop("/api/x")).status === 200, 30_000);
  await scene.withoutReload(async () => {
    await scene.remove("shop-1");
    await eventually("the shop has none", async () => (await shop("/api/x")).status === 503, 30_000);
    expect((await shop("/other")).status).toBe(404);
    // Long enough for the catalog to have let go of the name.
    await sleep(3_000);
    expect((await shop("/api/x")).status).toBe(503);
    await scene.join("shop", ["haproxy.host=shop.example.com", "haproxy.path=/api"], scene.instance("shop-1"));
    await eventually("the shop answers again", async () => (await shop("/api/x")).status === 200, 30_000);
  });
});

test("a restart while another datacenter serves takes no server away, and goes on following it", async () => {
  await scene.remove("vanishing-here");
  await becomes("vanishing", "vanishing-there");
  await eventually("it is written down", async () => {
    const { services } = JSON.parse(await readFile(path.join(scene.home.state, "snapshot.json"), "utf8"));
    const one = services.find(({ key }: { key: { name: string } }) => key.name === "vanishing");
    return one?.instances.length === 0 && one.elsewhere?.length === 2;
  });
  const load = scene.scene.load({
    port: scene.home.httpPort,
    keepAlive: 2,
    oneShot: 2,
    headers: { host: "vanishing.service.local" },
    pauseMs: 5,
  });
  await scene.restart();
  await eventually("Consul is heard", async () => (await statusNow(scene.home)).catalog.waitingFor.length === 0);
  await join("vanishing", "vanishing-there-3");
  await eventually("the third serves", async () => (await served("vanishing")).endsWith("vanishing-there-3"));
  expect((await load.stop()).failures).toEqual([]);
  expect(scene.reloads()).toBe(0);
  await scene.join("vanishing", ["haproxy.failover=dc2"], scene.instance("vanishing-here"));
  await becomes("vanishing", "vanishing-here");
});

test("a datacenter that dies costs the failover only, and is said", async () => {
  expect((await statusNow(scene.home)).catalog.datacenters).toEqual([
    { datacenter: "dc2", services: expect.any(Number) },
  ]);
  await dc2.stop();
  await eventually(
    "it is said",
    async () => (await statusNow(scene.home)).catalog.datacenters[0]?.reason !== undefined,
    120_000,
  );
  expect(await body("alone")).toBe("alone-here");
  // What it said last still stands by.
  expect(await servers("vanishing")).toBe(4);
});

async function servers(service: string): Promise<number> {
  return (await serversRunning(scene.home)).filter((line) => line.startsWith(`${service}/`)).length;
}
