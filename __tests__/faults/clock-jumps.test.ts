import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import { FaultWorld } from "../support/fault-world.ts";
import { ask, countEvents, Scene } from "../support/system.ts";
import type { WebInstance } from "../support/web-instance.ts";

jest.setTimeout(120_000);

const dayMs = 86_400_000;
/** For so long a request is under way when the clock is set. */
const slowMs = 3_000;

let scene: Scene;
let world: FaultWorld;

beforeEach(async () => {
  scene = new Scene();
  world = await FaultWorld.begin(scene, { reload: { minInterval: "100ms" } });
});
afterEach(() => scene.end());

for (const [title, days] of [
  ["two days ahead, and back again", [2, 0]],
  ["two days back, and ahead again", [-2, 0]],
] as const) {
  test(`the wall clock is set ${title}: nothing held is let go, nothing remembered forgotten, nobody cut short`, async () => {
    const [held, gone] = [await scene.instance("held-1"), await scene.instance("gone-1")];
    const slow: WebInstance[] = [];
    for (const name of ["slow-1", "slow-2", "slow-3"]) slow.push(await scene.instance(name, slowMs));
    await world.node.change({
      join: [["kept", held], ["empty", gone], ...slow.map((one) => ["slow", one] as const)],
    });
    await world.settled();
    await gone.stop();
    await world.node.change({ leave: [held, gone] });
    await world.sluice.logged(({ event, msg }) => event === "held" && msg.includes("kept"));
    await world.sluice.logged(({ event, msg }) => event === "released" && msg.includes("empty"));

    const load = world.load();
    const from = world.sluice.lines().length;
    for (const [turn, ahead] of days.entries()) {
      // Several for each instance, so that some are under way at the one that leaves.
      const staying = slow.slice(turn);
      const under = [...staying, ...staying].map(() => ask(world.home.httpPort, { host: "slow.service.local" }));
      await sleep(200);
      await world.node.change({ leave: slow.slice(turn, turn + 1) });
      await sleep(200);
      await world.moveWallClock(ahead * dayMs);
      const joining = await scene.instance(`web-more-${turn}`);
      await world.node.change({ join: [["web", joining]] });
      // What is cut short may be answered by another one: it was asked again.
      expect(new Set((await Promise.all(under)).map(({ body }) => body))).toEqual(
        new Set(staying.map(({ name }) => name)),
      );
      expect(joining.answered()).toBeGreaterThan(0);
      expect(await ask(world.home.httpPort, { host: "kept.service.local" })).toMatchObject({ body: "held-1" });
      expect((await ask(world.home.httpPort, { host: "empty.service.local" })).status).toBe(503);
    }
    expect(countEvents(world.sluice, "reloaded", from)).toBe(0);
    expect(countEvents(world.sluice, "released", from)).toBe(0);

    // And what is timed goes on as ever: a hold ends as soon as nobody answers, a new service comes by a reload.
    await held.stop();
    await world.sluice.logged(({ event }) => event === "released", 15_000, from);
    await world.node.change({ join: [["fresh", await scene.instance("fresh-1")]] });
    for (const service of ["kept", "empty"]) world.remembered.add(service);
    await world.settled();
    const report = await load.stop();
    expect(failuresByKind(report)).toBe("");
    reportLoad(`wall clock set ${title}`, report);
  });
}
