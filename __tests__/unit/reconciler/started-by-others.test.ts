import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { A, a, B, b, C, c, servingWorld, World } from "../../support/reconciler-world.ts";

let world: World;
beforeEach(async () => {
  world = await servingWorld();
  world.haproxy.startedByOthers = true;
});
afterEach(() => world.stop());

const awaited = () => world.eventsOf("process-awaited").length;
const failed = () => world.eventsOf("reconcile-failed").length + world.eventsOf("reload-refused").length;

test("it is waited for, and said once; what came meanwhile is settled when it is there", async () => {
  world.haproxy.kill();
  await world.publish({ web: [a, b], api: [c] });
  await world.advance(60_000);
  expect(world.eventsOf("process-down")[0]?.message).toContain("waiting for whoever starts it");
  expect([awaited(), failed()]).toEqual([1, 0]);
  // What it has not run is not what it is to start on.
  expect(world.fileServers()).toEqual({ web: { [A]: 1 } });
  expect(world.asked()).not.toContain("start");

  world.haproxy.startByHand();
  await world.advance(2_000);
  expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 1 } });
  expect(world.asked().filter((entry) => entry === "reload")).toHaveLength(1);

  world.haproxy.kill();
  await world.advance(1_000);
  expect(awaited()).toBe(2);
});

test("a template that a person changes is put in place meanwhile, and is in force when it is there", async () => {
  world.haproxy.kill();
  await world.advance(100);
  await world.offer("timeout client 7s");
  await world.advance(1_000);
  expect(world.store.config).toContain("timeout client 7s");
  expect(world.told).toBeUndefined();
  world.haproxy.startByHand();
  await world.advance(1_000);
  expect(world.told).toBeDefined();
  expect(world.eventsOf("inputs-accepted")).toHaveLength(1);
  expect(world.asked()).not.toContain("reload");
  expect(failed()).toBe(0);
});

test("one that haproxy -c refuses is not, and the wait goes on", async () => {
  world.haproxy.kill();
  await world.advance(100);
  world.haproxy.failValidation(/client 7s/);
  await world.offer("timeout client 7s");
  await world.advance(1_000);
  expect(world.store.config).not.toContain("timeout client 7s");
  expect(world.eventsOf("inputs-refused")).toHaveLength(1);
  world.haproxy.startByHand();
  await world.advance(1_000);
  expect(world.reconciler.status().haproxy.up).toBe(true);
});

test("an operator that was started anew gives it ten seconds, then the file that is wanted", async () => {
  await world.stop();
  world.haproxy.vanish();
  await world.startAgain();
  await world.publish({ web: [a], api: [c] });
  await world.advance(9_000);
  expect(world.fileServers()).toEqual({ web: { [A]: 1 } });
  await world.advance(2_000);
  expect(world.fileServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1 } });
  expect([awaited(), failed()]).toEqual([1, 0]);
  world.haproxy.startByHand();
  await world.advance(1_000);
  expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1 } });
  expect(world.asked()).not.toContain("reload");
});

test("where there is no file yet, there is one as soon as the catalog has answered", async () => {
  await world.stop();
  world = new World();
  world.haproxy.startedByOthers = true;
  await world.start();
  await world.publish({ web: [a] });
  await world.advance(100);
  expect(world.fileServers()).toEqual({ web: { [A]: 1 } });
  expect([awaited(), failed()]).toEqual([1, 0]);
  world.haproxy.startByHand();
  await world.advance(1_000);
  expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
  expect(world.asked()).not.toContain("reload");
});

describe("the file it is to start on is one it has run, when it goes away", () => {
  const kept = { web: { [A]: 1 } };
  const wanted = { api: { [C]: 1 }, web: { [A]: 1 } };

  /** It stays away for a minute and comes back on `file`; what was wanted meanwhile comes by one reload. */
  async function comesBack(file: ReturnType<World["fileServers"]>): Promise<void> {
    await world.advance(60_000);
    expect(world.fileServers()).toEqual(file);
    expect([awaited(), failed()]).toEqual([1, 0]);
    world.asked();
    world.haproxy.startByHand();
    await world.advance(10_000);
    expect(world.asked().filter((entry) => entry === "reload")).toHaveLength(1);
  }

  test("with a structure that waits for the time of the next reload", async () => {
    await world.advance(5_000);
    await world.publish({ web: [a], api: [c] });
    await world.advance(300);
    await world.publish({ web: [a], api: [c], fresh: [b] });
    await world.advance(100);
    expect(world.fileServers()).toEqual(wanted);
    world.haproxy.kill();
    await comesBack(wanted);
    expect(world.runningServers()).toEqual({ ...wanted, fresh: { [B]: 1 } });
  });

  test.each(["validate", "preflight"] as const)("with a structure that is at its %s", async (step) => {
    const release = world.haproxy.hold(step);
    await world.publish({ web: [a], api: [c] });
    await world.advance(100);
    world.haproxy.kill();
    release();
    await comesBack(kept);
    expect(world.runningServers()).toEqual(wanted);
  });

  test("with a structure that is being written", async () => {
    const { writeConfig } = world.store;
    world.store.writeConfig = (text) => {
      world.store.writeConfig = writeConfig;
      world.haproxy.kill();
      return world.store.writeConfig(text);
    };
    await world.publish({ web: [a], api: [c] });
    await world.advance(60_000);
    expect(world.fileServers()).toEqual(kept);
    world.haproxy.startByHand();
    await world.advance(10_000);
    expect(world.runningServers()).toEqual(wanted);
  });

  test("with a structure that a pass asks for which it was there for", async () => {
    const release = world.haproxy.hold("answer");
    await world.publish({ web: [a, b], api: [c] });
    world.haproxy.kill();
    release();
    await comesBack(kept);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 1 } });
  });

  test("again and again, as soon as it is back", async () => {
    world.haproxy.kill();
    await world.publish({ web: [a], api: [c] });
    await world.advance(1_000);
    const { reconnect } = world.haproxy;
    for (let times = 0; times < 30; times += 1) {
      world.haproxy.reconnect = () => {
        world.haproxy.reconnect = reconnect;
        world.haproxy.kill();
        return world.haproxy.reconnect();
      };
      world.haproxy.startByHand();
      await world.advance(5_000);
      expect(world.haproxy.pid).toBeUndefined();
      expect(world.fileServers()).toEqual(kept);
    }
    world.haproxy.startByHand();
    await world.advance(10_000);
    expect(world.runningServers()).toEqual(wanted);
  });

  test("but with a person's change, which was being judged for a reload, that one is put in place", async () => {
    const release = world.haproxy.hold("validate");
    await world.offer("timeout client 7s");
    await world.advance(100);
    world.haproxy.kill();
    release();
    await world.advance(2_000);
    expect(world.store.config).toContain("timeout client 7s");
    world.haproxy.startByHand();
    await world.advance(1_000);
    expect(world.eventsOf("inputs-accepted")).toHaveLength(1);
    expect(world.asked()).not.toContain("reload");
    expect([awaited(), failed()]).toEqual([1, 0]);
  });
});

describe("it comes back on the old file while a person's change is judged", () => {
  let release: () => void;
  beforeEach(async () => {
    world.haproxy.kill();
    await world.advance(100);
    release = world.haproxy.hold("validate");
    await world.offer("timeout client 7s");
    await world.advance(50);
    world.haproxy.startByHand();
    world.asked();
  });

  test("and is reloaded: the change is in force when it runs it", async () => {
    release();
    await world.advance(1_000);
    expect(world.asked().filter((entry) => entry === "reload")).toHaveLength(1);
    expect(world.eventsOf("inputs-accepted")).toHaveLength(1);
    expect(world.eventsOf("reloaded")).toHaveLength(2);
    expect(world.reconciler.status().haproxy).toMatchObject({ up: true, believed: true });
    expect(failed()).toBe(0);
  });

  test("and does not take it: the old file is in place again and goes on", async () => {
    world.haproxy.failReload = true;
    release();
    await world.advance(1_000);
    expect(world.store.config).not.toContain("timeout client 7s");
    expect(world.eventsOf("inputs-accepted")).toEqual([]);
    expect(world.eventsOf("inputs-refused")[0]?.message).toContain("the new worker did not start");
    expect(world.reconciler.status().haproxy).toMatchObject({ up: true, believed: true });
    expect(failed()).toBe(0);
    // Endpoints go on meanwhile, and each further try waits its time.
    await world.publish({ web: [a, b] });
    expect(world.runningServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.asked().filter((entry) => entry === "reload")).toHaveLength(1);
    world.haproxy.mend();
    await world.advance(60_000);
    expect(world.store.config).toContain("timeout client 7s");
    expect(world.eventsOf("inputs-accepted")).toHaveLength(1);
  });
});
