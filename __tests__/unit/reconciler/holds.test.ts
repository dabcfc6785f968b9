import { afterEach, describe, expect, test } from "@jest/globals";
import { World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const a = { id: "a", port: 8001 };
const b = { id: "b", port: 8002 };
const c = { id: "c", port: 8003 };
const A = "a_10.0.0.1:8001";
const B = "b_10.0.0.1:8002";
const C = "c_10.0.0.1:8003";

/** A process that serves `web` from `a`, file and all written. */
async function serving(options?: WorldOptions): Promise<void> {
  world = new World(options);
  await world.start();
  await world.publish({ web: [a] });
  await world.advance(2_000);
  world.asked();
}

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
