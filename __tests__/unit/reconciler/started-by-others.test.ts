import { afterEach, beforeEach, expect, test } from "@jest/globals";
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
