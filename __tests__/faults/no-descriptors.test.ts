import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import { FaultWorld } from "../support/fault-world.ts";
import { pidOf } from "../support/running-haproxy.ts";
import { countEvents, Scene } from "../support/system.ts";

jest.setTimeout(120_000);

/** How many descriptors are left, one after the other: each number lets another step come to where there is none. */
const spares = [0, 1, 2, 3, 4, 6];
/** For so long each: longer than it takes to look whether HAProxy still runs. */
const eachMs = 1_500;

let scene: Scene;
let world: FaultWorld;

beforeEach(async () => {
  scene = new Scene();
  world = await FaultWorld.begin(scene, { reload: { minInterval: "100ms" } });
});
afterEach(() => scene.end());

for (const how of ["started", "adopted"] as const) {
  test(`an operator that can open nothing more leaves the HAProxy it ${how} alone, and catches up when it can`, async () => {
    if (how === "adopted") {
      await world.sluice.end("SIGKILL");
      world.start();
      await world.settled();
    }
    const master = await pidOf(world.home, "master");
    const load = world.load();
    const from = world.sluice.lines().length;
    const all = softLimit(world.sluice.pid);
    for (const spare of spares) {
      leave(world.sluice.pid, spare);
      await changed(spare);
      await sleep(eachMs);
    }
    const said = world.sluice.lines().slice(from);
    expect(said.some(({ level, msg }) => level === "error" && msg.includes("EMFILE"))).toBe(true);
    // What repeats is not shouted again and again.
    expect(said.filter(({ level }) => level === "error" || level === "warn").length).toBeLessThan(60);
    expect(world.sluice.process.exitCode).toBeNull();

    setSoftLimit(world.sluice.pid, all);
    const relievedAt = performance.now();
    await world.settled();
    const tookMs = Math.round(performance.now() - relievedAt);
    const report = await load.stop();
    expect(failuresByKind(report)).toBe("");
    expect(await pidOf(world.home, "master")).toBe(master);
    expect(countEvents(world.sluice, "process-down")).toBe(0);
    reportLoad(
      `no file descriptors for ${spares.length * eachMs} ms, HAProxy ${how}`,
      report,
      `settled ${tookMs} ms after there were`,
    );
  });
}

/** A service that was not there, one more instance of `web`, and another weight. */
async function changed(count: number): Promise<void> {
  const [fresh, joining] = [await scene.instance(`fresh-${count}-a`), await scene.instance(`web-more-${count}`)];
  await world.node.change({
    join: [
      [`fresh-${count}`, fresh],
      ["web", joining],
    ],
    weight: world.web.slice(0, 1).map((one) => [one, 2 + count] as const),
  });
}

function softLimit(pid: number): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"))?.[1]);
}

function setSoftLimit(pid: number, limit: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${limit}:`]);
}

/** Lets a process open so many files more, and none beyond. */
function leave(pid: number, spare: number): void {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let limit = 0;
  for (let unused = 0; unused <= spare; limit += 1) if (!open.has(limit)) unused += 1;
  setSoftLimit(pid, limit - 1);
}
