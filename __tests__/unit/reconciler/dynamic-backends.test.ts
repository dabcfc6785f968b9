import { describe, expect, test } from "@jest/globals";
import { A, a, B, b, C, c, hostsMap, World } from "../../support/reconciler-world.ts";

/** A process that makes backends at run time and serves `web` from `a`, file and all written. */
async function dynamicWorld(): Promise<World> {
  const world = new World({ template: "timeout client 60s # named" });
  world.haproxy.dynamicBackends = true;
  await world.start();
  await world.publish({ web: [a] });
  await world.advance(2_000);
  world.asked();
  return world;
}

const hosts = (world: World) => (world.haproxy.mapOf(hostsMap) ?? []).map(({ key }) => key).sort();

describe("a backend that is new", () => {
  test("is made, filled, published and led to at run time, and then written down", async () => {
    const world = await dynamicWorld();
    const pid = world.haproxy.pid;
    await world.publish({ web: [a], api: [b, c] });
    await world.advance(0);
    expect(world.asked()).toEqual([
      `apply add api, add api/${B} weight 1, add api/${C} weight 1, publish api, map hosts.map +api.service.local api`,
    ]);
    await world.advance(2_000);
    expect(world.asked()).toEqual(["validate", "write config", "write map hosts.map"]);
    expect(world.haproxy.pid).toBe(pid);
    expect(world.fileServers()).toEqual({ api: { [B]: 1, [C]: 1 }, web: { [A]: 1 } });
    expect(world.haproxy.violations).toEqual([]);
  });

  test("is adopted by the next operator without a reload, and loaded by a process that is started again", async () => {
    const world = await dynamicWorld();
    await world.publish({ web: [a], api: [b] });
    await world.advance(2_000);
    await world.stop();
    world.asked();
    await world.startAgain({ accepted: world.store.accepted });
    await world.publish({ web: [a], api: [b] });
    await world.advance(2_000);
    expect(world.asked().filter((entry) => /reload|apply|start/.test(entry))).toEqual([]);
    world.haproxy.kill();
    await world.advance(2_000);
    expect(world.runningServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
    expect(world.asked().filter((entry) => /reload|apply/.test(entry))).toEqual([]);
  });

  test("that says something of its own takes a reload", async () => {
    const world = await dynamicWorld();
    await world.publish({ web: [a], api: [{ ...b, meta: { line: "balance leastconn" } }] });
    await world.advance(2_000);
    expect(world.asked()).toContain("reload");
    expect(world.runningServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
  });

  test("comes at run time also while a change of structure is refused", async () => {
    const world = await dynamicWorld();
    world.haproxy.failValidation(/leastconn/);
    await world.publish({ web: [a], bad: [{ ...b, meta: { line: "balance leastconn" } }], ws: [c] });
    await world.advance(2_000);
    expect(world.haproxy.serving("ws")).toEqual({ [C]: 1 });
    expect(hosts(world)).toEqual(expect.arrayContaining(["web.service.local", "ws.service.local"]));
    expect(world.fileServers()).toMatchObject({ web: { [A]: 1 }, ws: { [C]: 1 } });
    expect(world.haproxy.violations).toEqual([]);
  });

  test.each(["add-backend", "publish-backend"] as const)(
    "whose %s is refused is not led to; a reload settles it",
    async (kind) => {
      const world = await dynamicWorld();
      world.haproxy.refuseNext(kind, 10);
      await world.publish({ web: [a], api: [b] });
      await world.advance(10_000);
      expect(world.asked()).toContain("reload");
      expect(world.runningServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
      expect(hosts(world)).toEqual(["api.service.local", "web.service.local"]);
      expect(world.haproxy.violations).toEqual([]);
      await world.advance(60_000);
      expect(world.reconciler.status().haproxy.believed).toBe(true);
    },
  );

  test("that an operator made and did not write down before it was killed is settled by a reload", async () => {
    const world = await dynamicWorld();
    const file = world.store.config;
    await world.publish({ web: [a], api: [b] });
    await world.stop();
    world.store.config = file;
    await world.startAgain({ accepted: world.store.accepted });
    await world.publish({ web: [a], api: [b] });
    await world.advance(10_000);
    expect(world.asked()).toContain("reload");
    expect(world.runningServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
    expect(world.fileServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
  });
});

test("a backend that another worker does not have is made again, also one without servers", async () => {
  const world = await dynamicWorld();
  await world.publish({ web: [a], api: [] });
  world.haproxy.replaceWorker();
  await world.advance(10_000);
  expect(world.runningServers()).toEqual({ api: {}, web: { [A]: 1 } });
  expect(hosts(world)).toEqual(["api.service.local", "web.service.local"]);
  expect(world.haproxy.violations).toEqual([]);
});

describe("a backend that goes", () => {
  async function withTwo(): Promise<World> {
    const world = await dynamicWorld();
    await world.publish({ web: [a], api: [b, c] });
    await world.advance(2_000);
    world.asked();
    return world;
  }

  test("is led to no more, unpublished, emptied, and deleted when it is empty", async () => {
    const world = await withTwo();
    const pid = world.haproxy.pid;
    world.haproxy.busy.add(`api/${B}`);
    await world.publish({ web: [a] }, ["api"]);
    await world.advance(0);
    expect(world.asked()).toEqual([
      `apply map hosts.map -api.service.local, unpublish api, retire api/${B}, retire api/${C}`,
    ]);
    await world.advance(5_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1 } });
    expect(world.haproxy.backends()).toEqual(["api", "web"]);
    expect(world.asked().filter((entry) => entry.startsWith("delete backend"))).toEqual([]);
    world.haproxy.busy.clear();
    await world.advance(5_000);
    expect(world.haproxy.backends()).toEqual(["web"]);
    expect(world.eventsOf("backend-deleted").map(({ data }) => data["backend"])).toEqual(["api"]);
    expect(world.haproxy.pid).toBe(pid);
    world.asked();
    await world.advance(20_000);
    expect(world.asked()).toEqual([]);
  });

  test("and comes back before it is gone is filled and published again", async () => {
    const world = await withTwo();
    world.haproxy.busy.add(`api/${B}`);
    await world.publish({ web: [a] }, ["api"]);
    await world.advance(5_000);
    world.asked();
    await world.publish({ web: [a], api: [b, c] });
    await world.advance(0);
    expect(world.asked()).toEqual([
      `apply revive api/${B}, add api/${C} weight 1, publish api, map hosts.map +api.service.local api`,
    ]);
    await world.advance(10_000);
    expect(world.asked().filter((entry) => /delete|reload/.test(entry))).toEqual([]);
    expect(world.runningServers()).toEqual({ api: { [B]: 1, [C]: 1 }, web: { [A]: 1 } });
  });

  test("that HAProxy will not delete stays unpublished, which is said once, and can come back", async () => {
    const world = await withTwo();
    world.haproxy.undeletableBackends.add("api");
    await world.publish({ web: [a] }, ["api"]);
    await world.advance(60_000);
    expect(world.asked().filter((entry) => entry === "delete backend api")).toHaveLength(1);
    expect(world.eventsOf("operation-refused")).toHaveLength(1);
    await world.publish({ web: [a], api: [b] });
    await world.advance(2_000);
    expect(world.runningServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
    expect(world.asked()).not.toContain("reload");
  });

  test("stays led to by nobody where its map could not be changed, and all is tried again", async () => {
    const world = await withTwo();
    world.haproxy.refuseNext("edit-map", 1);
    await world.publish({ web: [a] }, ["api"]);
    await world.advance(10_000);
    expect(hosts(world)).toEqual(["web.service.local"]);
    expect(world.haproxy.backends()).toEqual(["web"]);
  });
});
