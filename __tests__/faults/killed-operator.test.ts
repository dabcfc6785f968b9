import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import { FaultWorld } from "../support/fault-world.ts";
import type { KillOrder, KillPoint } from "../support/kill-points.ts";
import { eventually, workerPid } from "../support/sluice.ts";
import { answers, ask, countEvents, Scene, statusNow } from "../support/system.ts";
import type { WebInstance } from "../support/web-instance.ts";

jest.setTimeout(120_000);

let scene: Scene;
let world: FaultWorld;

beforeEach(async () => {
  scene = new Scene();
  // So soon that what is not written at once would not be on the disk yet.
  world = await FaultWorld.begin(scene, { reload: { minInterval: "100ms" } });
});
afterEach(() => scene.end());

describe("killed while servers change, which needs no reload", () => {
  const points: readonly KillPoint[] = [
    "between-operations",
    "server-half-added",
    "operations-done",
    "candidate-written",
    "validated",
    "committed",
  ];
  for (const point of points) {
    test(point, async () => {
      const worker = await workerPid(world.home);
      await killedAndBack({ point, who: "operator" }, endpoints);
      expect(await workerPid(world.home)).toBe(worker);
      expect(countEvents(world.sluice, "reloaded")).toBe(0);
    });
  }
});

describe("killed while the structure changes, which needs a reload", () => {
  const orders: readonly KillOrder[] = [
    { point: "candidate-written", who: "operator" },
    { point: "validated", who: "operator" },
    { point: "map-written", who: "operator" },
    { point: "file-swapped", who: "operator" },
    ...[1, 12, 40].map((afterMs) => ({ point: "reload-sent", who: "operator", afterMs }) as const),
    { point: "worker-up", who: "operator" },
    { point: "committed", who: "operator" },
  ];
  for (const order of orders) {
    const title = order.afterMs === undefined ? order.point : `${order.point}, ${order.afterMs} ms ago`;
    test(title, () => killedAndBack(order, structure));
  }
});

test("killed while a server is leaving that still has a request under way, which is answered", async () => {
  let answered: () => Promise<readonly string[]> = async () => [];
  await killedAndBack({ point: "server-leaving", who: "operator" }, async () => {
    answered = await world.busyOneLeaves();
  });
  expect(new Set(await answered())).toEqual(new Set(["slow-1", "slow-2"]));
});

test("operator, master and workers killed at once, the new file in place and not loaded: the successor starts HAProxy on it", async () => {
  await world.order({ point: "file-swapped", who: "all" });
  await structure();
  expect(await world.sluice.ended).toBe("SIGKILL");
  expect(await world.invalid()).toBe("");
  world.start();
  await world.settled();
});

test("killed a moment after a service came, which then vanishes from the catalog: it is held, then remembered", async () => {
  const fresh = await scene.instance("fresh-1");
  const host = "fresh.service.local";
  await world.node.change({ join: [["fresh", fresh]] });
  await answers(world.home, host);
  await world.sluice.end("SIGKILL");
  const load = scene.load({ port: world.home.httpPort, keepAlive: 1, oneShot: 1, headers: { host } });
  await world.node.change({ leave: [fresh] });

  world.start();
  await world.sluice.logged(({ event }) => event === "held");
  await eventually("it is at work", async () => (await statusNow(world.home)).reconciler.haproxy.believed);
  expect((await load.stop()).failures).toEqual([]);
  await fresh.stop();
  await world.sluice.logged(({ event }) => event === "released");
  world.remembered.add("fresh");
  await world.settled();
  expect((await ask(world.home.httpPort, { host })).status).toBe(503);
  expect(countEvents(world.sluice, "reloaded")).toBe(0);
});

/**
 * The change is made under load, the operator killed on the way; more changes while there is none; then the next one
 * starts. No request may have failed, and whatever HAProxy or anyone starts on meanwhile is valid.
 */
async function killedAndBack(order: KillOrder, change: () => Promise<void>): Promise<void> {
  const load = world.load();
  await world.order(order);
  await change();
  expect(await world.sluice.ended).toBe("SIGKILL");
  expect(await world.invalid()).toBe("");
  const late = await scene.instance("web-late");
  await world.node.change({ join: [["web", late]], leave: world.web.slice(1, 2) });
  expect((await ask(world.home.httpPort, { host: "web.service.local" })).status).toBe(200);

  world.start();
  const startedAt = performance.now();
  await world.settled();
  const tookMs = Math.round(performance.now() - startedAt);
  const report = await load.stop();
  const title = `killed operator, ${order.point}${order.afterMs === undefined ? "" : ` +${order.afterMs} ms`}`;
  expect(failuresByKind(report)).toBe("");
  reportLoad(title, report, `settled ${tookMs} ms after the next start`);
  expect(await world.invalid()).toBe("");
}

/** Of `web` one leaves, two join, one gets another weight, all at once. */
async function endpoints(): Promise<void> {
  const joining: WebInstance[] = [await scene.instance("web-5"), await scene.instance("web-6")];
  await world.node.change({
    join: joining.map((one) => ["web", one] as const),
    leave: world.web.slice(0, 1),
    weight: world.web.slice(2, 3).map((one) => [one, 7] as const),
  });
}

/** The same, and a service that was not there. */
async function structure(): Promise<void> {
  const fresh = [await scene.instance("fresh-1"), await scene.instance("fresh-2")];
  const joining = await scene.instance("web-5");
  await world.node.change({
    join: [...fresh.map((one) => ["fresh", one] as const), ["web", joining]],
    leave: world.web.slice(0, 1),
  });
}
