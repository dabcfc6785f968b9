import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { printLoad } from "../support/fault-report.ts";
import { FaultWorld } from "../support/fault-world.ts";
import type { KillOrder } from "../support/kill-points.ts";
import { haproxyRoles, pidOf } from "../support/running-haproxy.ts";
import { Scene, statusNow } from "../support/system.ts";

jest.setTimeout(120_000);

/** From the kill to the asking of the last request that failed. */
const mostGapMs = 1_000;

let scene: Scene;
let world: FaultWorld;

beforeEach(async () => {
  scene = new Scene();
  world = await FaultWorld.begin(scene, { reload: { minInterval: "100ms" } });
});
afterEach(() => scene.end());

for (const who of haproxyRoles) {
  describe(`HAProxy's ${who} killed`, () => {
    test("at rest", async () => {
      await changedAtRunTime();
      await world.settled();
      await backInTime(`${who} at rest`, async () => {
        process.kill(await pidOf(world.home, who), "SIGKILL");
        return Date.now();
      });
    });

    const orders: readonly Omit<KillOrder, "who">[] = [
      { point: "between-operations" },
      { point: "operations-done" },
      { point: "committed" },
    ];
    for (const order of orders) {
      test(`while servers change: ${order.point}`, () => orderedIn({ ...order, who }, changedAtRunTime));
    }

    const structural: readonly Omit<KillOrder, "who">[] = [
      { point: "candidate-written" },
      { point: "file-swapped" },
      // A structure that HAProxy ended over waits for 10 s before it is tried again, whoever ended it.
      ...[1, 20].map((afterMs) => ({ point: "reload-sent", afterMs }) as const),
      { point: "worker-up" },
      { point: "committed" },
    ];
    for (const { point, afterMs } of structural) {
      const after = afterMs === undefined ? "" : ` ${afterMs} ms ago`;
      test(`while the structure changes: ${point}${after}`, () =>
        orderedIn({ point, who, ...(afterMs !== undefined && { afterMs }) }, changedStructure));
    }

    test("while a server is leaving", () =>
      orderedIn({ point: "server-leaving", who }, async () => void (await world.busyOneLeaves())));
  });
}

function orderedIn(order: KillOrder, change: () => Promise<void>): Promise<void> {
  const title = `${order.who} ${order.point}${order.afterMs === undefined ? "" : ` +${order.afterMs} ms`}`;
  return backInTime(title, async () => {
    await world.order(order);
    await change();
    return world.killedAt();
  });
}

/**
 * Kills under load. Nothing may fail before, nor later than `mostGapMs` after; and all that was set is set again:
 * servers, weights, maps, who was let in.
 *
 * @param kill resolves with the wall-clock ms of the kill
 */
async function backInTime(title: string, kill: () => Promise<number>): Promise<void> {
  const startedAt = Date.now();
  const load = world.load();
  const killedAt = (await kill()) - startedAt;
  await world.settled();
  const settledMs = Date.now() - startedAt - killedAt;
  const report = await load.stop();
  const failedAfter = report.failures.map(({ atMs }) => atMs - killedAt);
  const gapMs = Math.max(0, ...failedAfter);
  printLoad(
    `killed HAProxy, ${title}`,
    report,
    `the last to fail was asked ${Math.round(gapMs)} ms after the kill`,
    `settled after ${Math.round(settledMs)} ms`,
  );
  // What was under way at the kill may have been asked a moment before.
  expect(failedAfter.filter((ms) => ms < -500)).toEqual([]);
  expect(gapMs).toBeLessThan(mostGapMs);
  expect((await statusNow(world.home)).reconciler.joining).toEqual([]);
  expect(await world.invalid()).toBe("");
}

/** Of `web` one leaves, one joins, one gets another weight, all at once. */
async function changedAtRunTime(): Promise<void> {
  const joining = await scene.instance("web-5");
  await world.node.change({
    join: [["web", joining]],
    leave: world.web.slice(0, 1),
    weight: world.web.slice(2, 3).map((one) => [one, 7] as const),
  });
}

/** A service that was not there, and of `web` one leaves and one joins, all at once. */
async function changedStructure(): Promise<void> {
  const [fresh, joining] = [await scene.instance("fresh-1"), await scene.instance("web-5")];
  await world.node.change({
    join: [
      ["fresh", fresh],
      ["web", joining],
    ],
    leave: world.web.slice(0, 1),
  });
}
