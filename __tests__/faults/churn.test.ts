import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { expectEnough, printLoad } from "../support/fault-report.ts";
import { eventually, workerPid } from "../support/sluice.ts";
import { answers, countEvents, Scene, serversInFile, serversRunning } from "../support/system.ts";
import type { WebInstance } from "../support/web-instance.ts";

jest.setTimeout(180_000);

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const changes = 30;
/** A drained process goes on answering for this long after it has left the catalog. */
const drainMs = 1_000;

test("30 joins and 30 leaves under load: no request fails, none waits long, HAProxy is not reloaded", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const pool: WebInstance[] = [];
  for (const name of ["web-a", "web-b", "web-c", "web-d"]) pool.push(await scene.join(consul, "web", name));
  const sluice = scene.run(home);
  // Traffic flows before it is said.
  await sluice.logged((line) => line.event === "reloaded");
  await answers(home, "web.service.local");
  await eventually("all four are in", async () => (await serversRunning(home)).length === 4);
  const worker = await workerPid(home);
  const before = sluice.lines().length;

  const load = scene.load({
    port: home.httpPort,
    keepAlive: 8,
    oneShot: 8,
    headers: { host: "web.service.local" },
  });
  const joined: WebInstance[] = [];
  const ends: Promise<void>[] = [];
  for (let count = 0; count < changes; count += 1) {
    const instance = await scene.join(consul, "web", `web-${count}`);
    joined.push(instance);
    pool.push(instance);
    await sleep(100);
    const leaving = pool.shift();
    if (leaving === undefined) throw new Error("the pool is empty");
    await consul.deregister(leaving.name);
    ends.push(sleep(drainMs).then(() => leaving.stop()));
    await sleep(100);
  }
  await Promise.all(ends);
  const names = pool.map(({ name, port }) => `web/${name}_127.0.0.1:${port} 127.0.0.1:${port} weight 1`).sort();
  await eventually("HAProxy has those that are left", async () => same(await serversRunning(home), names));
  await eventually("the file has them too", async () => same(await serversInFile(home), names));
  await sleep(500);
  const report = await load.stop();

  printLoad(`${changes} joins and ${changes} leaves`, report, `${countEvents(sluice, "reloaded", before)} reloads`);
  expect(report.failures).toEqual([]);
  expect(report.statuses).toEqual({ "200": report.sent });
  expect(report.slowestMs).toBeLessThan(4_000);
  // Every one of them took traffic while it was in.
  expect(joined.filter((instance) => instance.answered() === 0).map(({ name }) => name)).toEqual([]);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expect(countEvents(sluice, "operation-refused", before)).toBe(0);
  expect(await workerPid(home)).toBe(worker);
  expectEnough(report);
});

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
