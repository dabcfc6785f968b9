import { afterEach, describe, expect, test } from "@jest/globals";
import { A, a, B, b, C, c, servingWorld, type World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

const deletions = () => world.asked().filter((entry) => entry.startsWith("delete"));

describe("leaving servers", () => {
  test("take nothing new at once and are deleted when they are free", async () => {
    await serving();
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    expect(world.haproxy.inMaintenance()).toEqual([`web/${A}`]);
    expect(world.reconciler.status().leaving).toEqual([{ server: `web/${A}`, since: expect.any(String) }]);
    await world.advance(5_000);
    const tries = deletions().length;
    expect(tries).toBeGreaterThan(1);
    expect(tries).toBeLessThan(20);
    expect(world.fileServers()).toEqual({ web: { [B]: 1 } });
    expect(world.store.state.leaving).toHaveLength(1);
    world.haproxy.busy.clear();
    await world.advance(1_500);
    expect(world.haproxy.inMaintenance()).toEqual([]);
    expect(world.reconciler.status().leaving).toEqual([]);
    expect(world.store.state.leaving).toEqual([]);
  });

  test("are not deleted while a request may still be about to try them again: HAProxy 2.6 ends by that", async () => {
    await serving();
    await world.publish({ web: [b] });
    await world.advance(2_400);
    expect(deletions()).toEqual([]);
    await world.advance(2_000);
    expect(deletions()).toEqual([`delete web/${A}`]);
    expect(world.reconciler.status().leaving).toEqual([]);
  });

  test("are deleted by force when their time is over", async () => {
    await serving({ settings: { haproxy: { drainTimeout: "10s" } } });
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    await world.advance(9_500);
    expect(deletions()).not.toContain(`delete web/${A} by force`);
    await world.advance(3_000);
    expect(deletions()).toContain(`delete web/${A} by force`);
    expect(world.haproxy.inMaintenance()).toEqual([]);
    expect(world.eventsOf("server-deleted").at(-1)?.message).toContain("drainTimeout");
  });

  for (const [direction, days] of [
    ["ahead", 2],
    ["back", -2],
  ] as const) {
    test(`get their full time, and no more, where the wall clock is set ${direction}`, async () => {
      await serving({ settings: { haproxy: { drainTimeout: "10s" } } });
      world.haproxy.busy.add(`web/${A}`);
      await world.publish({ web: [b] });
      await world.advance(3_000);
      world.clock.wallOffset += days * 86_400_000;
      await world.advance(6_000);
      expect(deletions()).not.toContain(`delete web/${A} by force`);
      await world.advance(3_000);
      expect(deletions()).toContain(`delete web/${A} by force`);
    });
  }

  test("that left before the operator was started again keep the time that has passed", async () => {
    await serving({ settings: { haproxy: { drainTimeout: "10s" } } });
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    await world.advance(6_000);
    await world.stop();
    await world.startAgain();
    await world.publish({ web: [b] });
    await world.advance(3_000);
    expect(deletions()).not.toContain(`delete web/${A} by force`);
    await world.advance(3_000);
    expect(deletions()).toContain(`delete web/${A} by force`);
  });

  test("that come back are made ready again", async () => {
    await serving();
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    await world.advance(3_000);
    world.asked();
    await world.publish({ web: [{ ...a, weights: { passing: 4, warning: 1 } }, b] });
    expect(world.asked()).toEqual([`apply revive web/${A}`]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 4, [B]: 1 });
    await world.advance(60_000);
    expect(deletions()).toEqual([]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 4, [B]: 1 });
  });

  test("are not put off by changes that follow each other without a pause", async () => {
    await serving();
    await world.publish({ web: [b] });
    for (let count = 0; count < 300; count += 1) {
      await world.publish({ web: [{ ...b, weights: { passing: 2 + (count % 2), warning: 1 } }] });
      await world.advance(10);
    }
    expect(world.haproxy.inMaintenance()).toEqual([]);
  });

  test("that HAProxy will not delete are said once, and cost no read-back each time", async () => {
    await serving();
    world.haproxy.undeletable.add(`web/${A}`);
    await world.publish({ web: [b] });
    await world.advance(5_000);
    world.journal.splice(0);
    await world.advance(20_000);
    expect(world.eventsOf("operation-refused")).toHaveLength(1);
    expect(world.journal.filter((entry) => entry.startsWith("observe"))).toEqual([]);
    world.haproxy.undeletable.clear();
    await world.advance(2_000);
    expect(world.haproxy.inMaintenance()).toEqual([]);
  });

  test("that somebody let in again are put in maintenance again", async () => {
    await serving();
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b, c] });
    await world.advance(1_000);
    world.haproxy.drift("web", A, { maintenance: false });
    await world.advance(4_000);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1, [C]: 1 });
    expect(world.haproxy.inMaintenance()).toEqual([`web/${A}`]);
  });

  test("do not wait for ever where the clock was set back", async () => {
    await serving({ settings: { resync: "5s", haproxy: { drainTimeout: "10s" } } });
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    world.clock.wallOffset -= 3_600_000;
    await world.advance(20_000);
    expect(world.haproxy.inMaintenance()).toEqual([]);
  });
});
