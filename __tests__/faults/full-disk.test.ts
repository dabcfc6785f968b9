import { readFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, printLoad, reportLoad } from "../support/fault-report.ts";
import { FaultWorld } from "../support/fault-world.ts";
import { pidOf } from "../support/running-haproxy.ts";
import { eventually, liveConfig } from "../support/sluice.ts";
import type { SmallDisk } from "../support/small-disk.ts";
import { ask, countEvents, Scene, serversRunning, statusNow } from "../support/system.ts";

jest.setTimeout(120_000);

const host = "web.service.local";

let scene: Scene;
let disk: SmallDisk;
let world: FaultWorld;

beforeEach(async () => {
  scene = new Scene();
  ({ disk, world } = await FaultWorld.beginOnSmallDisk(scene));
});
afterEach(() => scene.end());

test("endpoints go on at run time, the files stay as they were, and catch up by themselves", async () => {
  const load = world.load();
  const file = await liveConfig(world.home);
  const snapshot = await storedSnapshot();
  disk.fill();
  await follows(1);
  disk.fill();
  // What needs a reload has to wait; what does not goes on beside it.
  const fresh = await scene.instance("fresh-1");
  await world.node.change({ join: [["fresh", fresh]] });
  await follows(2);
  await world.sluice.logged(({ level, msg }) => level === "error" && msg.includes("the disk is full"));
  const status = await statusNow(world.home);
  expect(status.reconciler.fileLagMs).toBeGreaterThan(0);
  expect(status.events.some(({ message }) => message.includes("ENOSPC"))).toBe(true);
  expect(await liveConfig(world.home)).toBe(file);
  expect(await storedSnapshot()).toBe(snapshot);
  expect(await world.invalid()).toBe("");

  disk.free();
  const freeAt = performance.now();
  await world.settled();
  const tookMs = Math.round(performance.now() - freeAt);
  await eventually("the last good snapshot has all of it", async () => {
    const text = await storedSnapshot();
    return JSON.parse(text) !== undefined && text.includes("fresh-1") && text.includes("more-2");
  });
  const report = await load.stop();
  expect(failuresByKind(report)).toBe("");
  expect(countEvents(world.sluice, "process-down")).toBe(0);
  reportLoad("full disk", report, `settled ${tookMs} ms after there was space`);
});

test("HAProxy killed meanwhile is back within a second, with what was set at run time", async () => {
  disk.fill();
  await follows(1);
  disk.fill();
  const load = world.load();
  await eventually("requests are answered", () => load.report().sent > 500);
  const killedAt = performance.now();
  const before = load.report();
  process.kill(await pidOf(world.home, "master"), "SIGKILL");
  await eventually("it serves again", async () => (await ask(world.home.httpPort, { host })).status === 200);
  const backMs = Math.round(performance.now() - killedAt);
  expect(before.failures).toEqual([]);
  await eventually("with today's servers", async () => same(await serversRunning(world.home), world.node.servers()));
  disk.free();
  await world.settled();
  const report = await load.stop();
  printLoad("full disk, HAProxy killed", report, `serving again after ${backMs} ms`);
  expect(backMs).toBeLessThan(1_000);
});

test("an operator killed meanwhile comes back when there is space; traffic goes on until then", async () => {
  disk.fill();
  await follows(1);
  const load = world.load();
  await world.sluice.end("SIGKILL");
  disk.fill();
  const refused = world.start();
  expect(await refused.ended).not.toBe(0);
  expect(refused.errors() + refused.lines().map(({ msg }) => msg)).toContain("the disk is full");
  expect(await world.invalid()).toBe("");
  disk.free();
  world.start();
  await world.settled();
  const report = await load.stop();
  expect(failuresByKind(report)).toBe("");
  reportLoad("full disk, operator killed", report);
});

/** Of `web` one joins, and another weight is set: the process has both soon. */
async function follows(count: number): Promise<void> {
  const joining = await scene.instance(`more-${count}`);
  const servers = (await serversRunning(world.home)).filter((text) => text.startsWith("fresh/"));
  expect(servers).toEqual([]);
  await world.node.change({
    join: [["web", joining]],
    weight: world.web.slice(0, 1).map((one) => [one, 10 + count] as const),
  });
  const wanted = () => world.node.servers().filter((text) => !text.startsWith("fresh/"));
  await eventually("the process follows", async () => same(await serversRunning(world.home), wanted()));
  await eventually("the instance is asked", async () => {
    await ask(world.home.httpPort, { host });
    return joining.answered() > 0;
  });
}

function storedSnapshot(): Promise<string> {
  return readFile(path.join(world.home.state, "snapshot.json"), "utf8");
}

function same(found: readonly string[], wanted: readonly string[]): boolean {
  return found.join("\n") === wanted.join("\n");
}
