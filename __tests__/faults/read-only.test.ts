import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
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

test("endpoints go on at run time, the file stays as it was, and catches up by itself", async () => {
  const load = world.load();
  const file = await liveConfig(world.home);
  disk.readOnly();
  await changed();
  const endpoints = world.node.servers();
  // One that leaves is no longer known to be leaving by whoever reads the file.
  const serving = async () => (await serversRunning(world.home)).filter((text) => !text.endsWith(" maint"));
  await eventually("the process follows", async () => same(await serving(), endpoints));
  const fresh = await scene.instance("fresh-1");
  await world.node.change({ join: [["fresh", fresh]] });
  await world.sluice.logged(({ level, msg }) => level === "error" && msg.includes("the file system is read-only"));
  expect((await statusNow(world.home)).reconciler.fileLagMs).toBeGreaterThan(0);
  expect(await liveConfig(world.home)).toBe(file);

  disk.writable();
  const writableAt = performance.now();
  await world.settled();
  const tookMs = Math.round(performance.now() - writableAt);
  const report = await load.stop();
  expect(failuresByKind(report)).toBe("");
  expect(countEvents(world.sluice, "process-down")).toBe(0);
  reportLoad("read-only directory", report, `settled ${tookMs} ms after it was writable`);
});

// Its sockets lie there, and none can be made on a read-only file system.
test("HAProxy killed meanwhile cannot come back before the directory is writable, which is said; then it does by itself", async () => {
  disk.readOnly();
  await changed();
  const from = world.sluice.lines().length;
  process.kill(await pidOf(world.home, "master"), "SIGKILL");
  await world.sluice.logged(({ event }) => event === "process-down", 15_000, from);
  const said = await world.sluice.logged(
    ({ level, msg }) => level === "error" && msg.includes("EROFS"),
    15_000,
    world.sluice.lines().findIndex(({ event }) => event === "process-down"),
  );
  expect((await statusNow(world.home)).reasons).toEqual(["HAProxy is not running"]);

  disk.writable();
  const writableAt = performance.now();
  await eventually("it serves again", async () => (await ask(world.home.httpPort, { host })).status === 200);
  const tookMs = Math.round(performance.now() - writableAt);
  await world.settled();
  process.stdout.write(
    `read-only directory, HAProxy killed: said "${said.msg}", back ${tookMs} ms after it was writable\n`,
  );
  expect(tookMs).toBeLessThan(8_000);
});

/** Of `web` one leaves, one joins, one gets another weight, all at once. */
async function changed(): Promise<void> {
  const joining = await scene.instance("web-5");
  await world.node.change({
    join: [["web", joining]],
    leave: world.web.slice(0, 1),
    weight: world.web.slice(2, 3).map((one) => [one, 7] as const),
  });
}

function same(found: readonly string[], wanted: readonly string[]): boolean {
  return found.join("\n") === wanted.join("\n");
}
