import { afterEach, describe, expect, test } from "@jest/globals";
import { A, a, B, b, C, c, servingWorld, World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

describe("instances that vanish all at once", () => {
  test("are kept while they accept connections, and let go when they do not", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    await world.advance(2_000);
    world.asked();
    await world.publish({});
    await world.advance(20_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.asked()).toEqual([]);
    expect(world.reconciler.status().holds).toHaveLength(2);
    expect(world.eventsOf("held")).toHaveLength(2);
    world.refusedPorts.add(a.port);
    await world.advance(1_500);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    world.refusedPorts.add(b.port);
    await world.advance(1_500);
    expect(world.haproxy.serving("web")).toEqual({});
    expect(world.haproxy.backends()).toEqual(["web"]);
    expect(world.reconciler.status().holds).toEqual([]);
    expect(world.eventsOf("released")).toHaveLength(2);
    await world.advance(5_000);
    expect(world.clock.pending).toBe(1);
    expect(world.eventsOf("released").map(({ data }) => data["why"])).toEqual(["refused", "refused"]);
  });

  test("are let go when three questions in a row stay unanswered, not when one or two do", async () => {
    await serving();
    await world.publish({});
    for (let round = 0; round < 5; round += 1) {
      world.silentPorts.add(a.port);
      await world.advance(2_000);
      world.silentPorts.clear();
      await world.advance(1_000);
    }
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    world.silentPorts.add(a.port);
    await world.advance(3_000);
    expect(world.haproxy.serving("web")).toEqual({});
    expect(world.reconciler.status().holds).toEqual([]);
  });

  test("are let go when they have been held for long enough", async () => {
    await serving({ settings: { guard: { holdFor: "30s" } } });
    await world.publish({});
    await world.advance(29_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({});
  });

  test("are replaced by what the catalog lists again", async () => {
    await serving();
    await world.publish({});
    await world.publish({ web: [c] });
    await world.advance(2_000);
    world.refusedPorts.add(a.port);
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [C]: 1 });
    expect(world.reconciler.status().holds).toEqual([]);
  });
});

describe("what was lost a while before the fall", () => {
  const five = [8001, 8002, 8003, 8004, 8005].map((port) => ({ id: `w${port}`, port }));
  const serverOf = (port: number) => `w${port}_10.0.0.1:${port}`;

  test("is asked at once, and serves again where it lives", async () => {
    world = new World();
    await world.start();
    await world.publish({ web: five });
    await world.advance(2_000);
    await world.publish({ web: five.slice(0, 2) });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({ [serverOf(8001)]: 1, [serverOf(8002)]: 1 });
    world.refusedPorts.add(8004);
    world.asked();
    await world.publish({});
    expect(Object.keys(world.haproxy.serving("web") ?? {})).toEqual([8001, 8002, 8003, 8005].map(serverOf));
    expect(world.asked().filter((entry) => entry === "reload")).toEqual([]);
    expect(world.eventsOf("held")).toHaveLength(4);
    expect(world.catalog.rereads).toEqual([]);
  });

  test("one that does not answer in time is asked again", async () => {
    world = new World();
    await world.start();
    await world.publish({ web: five.slice(0, 2) });
    await world.advance(2_000);
    await world.publish({ web: five.slice(0, 1) });
    world.silentPorts.add(8002);
    await world.publish({});
    expect(Object.keys(world.haproxy.serving("web") ?? {})).toEqual([serverOf(8001)]);
    world.silentPorts.clear();
    await world.advance(1_000);
    expect(Object.keys(world.haproxy.serving("web") ?? {})).toEqual([serverOf(8001), serverOf(8002)]);
  });
});

describe("HAProxy's own checks", () => {
  test("let go of a held one that they find dead three times in a row, not of one that was down for a moment", async () => {
    await serving();
    await world.publish({});
    world.haproxy.drift("web", A, { down: true });
    await world.advance(2_000);
    world.haproxy.drift("web", A, { down: false });
    await world.advance(1_000);
    world.haproxy.drift("web", A, { down: true });
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({});
    expect(world.eventsOf("released").map(({ data }) => data["why"])).toEqual(["dead"]);
  });

  test("are not asked for when nothing is held, and their silence ends no hold", async () => {
    await serving();
    await world.advance(5_000);
    expect(world.journal.filter((entry) => entry === "observe web")).toEqual([]);
    await world.publish({});
    world.haproxy.vanish();
    await world.advance(10_000);
    expect(world.reconciler.status().holds).toHaveLength(1);
  });
});

describe("an operator's word", () => {
  test.each([
    ["the service", "web", 2],
    ["one instance by its id", "web/a", 1],
    ["one instance by node and id", "web/node-b/b", 1],
    ["another service", "api", 0],
    ["no instance of it", "web/c", 0],
  ])("lets go of %s", async (_, target, count) => {
    await serving();
    await world.publish({ web: [a, b] });
    await world.publish({});
    const held = ["web/node-a/a", "web/node-b/b"];
    expect(world.reconciler.release(target)).toEqual({ released: count, held });
    expect(world.reconciler.release(target)).toMatchObject({ released: 0 });
    await world.advance(5_000);
    expect(world.reconciler.status().holds).toHaveLength(2 - count);
    expect(world.eventsOf("released").map(({ data }) => data["why"])).toEqual(Array(count).fill("operator"));
    expect(Object.keys(world.haproxy.serving("web") ?? {})).toHaveLength(2 - count);
  });

  test("holds good for suspects whose answer is still to come", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    await world.publish({ web: [a] });
    world.silentPorts.add(b.port);
    await world.publish({});
    world.silentPorts.clear();
    expect(world.reconciler.release("web").released).toBe(1);
    await world.advance(5_000);
    expect(world.haproxy.serving("web")).toEqual({});
  });
});

describe("a loss that is hard to believe", () => {
  const cutOff = { health: "critical", nodeCritical: true } as const;

  test("by node health alone: held, said, and read anew once", async () => {
    await serving();
    await world.publish({ web: [{ ...a, ...cutOff }] });
    await world.advance(5_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    expect(world.catalog.rereads).toEqual(["dc1////web"]);
    const [held] = world.reconciler.status().holds;
    const since = new Date(world.clock.wall() - 5_000).toISOString();
    const until = new Date(world.clock.wall() - 5_000 + world.settings.guard.holdFor).toISOString();
    const place = { address: "10.0.0.1", port: 8001 };
    expect(held).toEqual({ service: "web", instance: "node-a/a", ...place, since, cause: "zero", until });
    expect(world.eventsOf("held").map(({ data }) => data)).toMatchObject([{ service: "web", cause: "zero", until }]);
    await world.publish({ web: [a] });
    expect(world.reconciler.status().holds).toEqual([]);
    expect(world.eventsOf("released").map(({ data }) => data["why"])).toEqual(["listed-again"]);
  });

  test("of more than half of the catalog, service after service: each is read anew", async () => {
    world = new World();
    await world.start();
    const of = (service: string, count: number) =>
      [...Array(count).keys()].map((at) => ({ id: `${service}${at}`, port: 9_000 + service.charCodeAt(0) * 10 + at }));
    await world.publish({ x: of("x", 4), y: of("y", 4) });
    await world.advance(2_000);
    await world.publish({ x: of("x", 1), y: of("y", 4) });
    expect(world.catalog.rereads).toEqual([]);
    await world.publish({ x: of("x", 1), y: of("y", 2) });
    await world.advance(3_000);
    expect(world.catalog.rereads).toEqual(["dc1////x", "dc1////y"]);
    expect(Object.keys(world.haproxy.serving("x") ?? {})).toHaveLength(4);
    expect(Object.keys(world.haproxy.serving("y") ?? {})).toHaveLength(4);
    expect(world.eventsOf("held").map(({ data }) => data["cause"])).toEqual(Array(5).fill("mass"));
  });

  test("is believed once it is known that the node left in good order", async () => {
    await serving();
    await world.publish({});
    expect(world.reconciler.status().holds).toHaveLength(1);
    await world.publish({}, [], ["node-a"]);
    expect(world.haproxy.serving("web")).toEqual({});
    expect(world.eventsOf("released").map(({ data }) => data["why"])).toEqual(["node-left"]);
  });
});

test("a wall clock that leaps ahead by days does not end a hold, and time goes on from there", async () => {
  await serving();
  await world.publish({});
  await world.advance(1_000);
  world.clock.wallOffset += 2 * 86_400_000;
  await world.advance(200_000);
  expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
  const [held] = world.reconciler.status().holds;
  expect(Date.parse(held?.until ?? "")).toBeGreaterThan(world.clock.wall());
  await world.advance(world.settings.guard.holdFor);
  expect(world.haproxy.serving("web")).toEqual({});
});

test("of many that are held, and let go, at once the first are said one by one, and how many more", async () => {
  world = new World();
  await world.start();
  await world.publish({ web: [...Array(25).keys()].map((at) => ({ id: `w${at}`, port: 9_000 + at })) });
  await world.advance(2_000);
  await world.publish({});
  expect(world.reconciler.status().holds).toHaveLength(25);
  expect(world.eventsOf("held").map(({ data }) => data["more"])).toEqual([...Array(20).fill(undefined), 5]);
  expect(world.reconciler.release("web").released).toBe(25);
  await world.advance(0);
  expect(world.eventsOf("released").map(({ data }) => data["more"])).toEqual([...Array(20).fill(undefined), 5]);
});

/** How many instances each service has in the last good snapshot on the disk. */
const kept = () => [...(world.store.accepted?.services.values() ?? [])].map(({ instances }) => instances.length);

test("what was accepted is kept on the disk, well behind the changes", async () => {
  await serving();
  expect(world.store.accepted).toEqual(world.reconciler.accepted);
  await world.publish({ web: [a, b] });
  await world.advance(900);
  expect(kept()).toEqual([1]);
  await world.advance(200);
  expect(kept()).toEqual([2]);
});
