import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { askOperator } from "../../src/admin/client.ts";
import { expectEnough, printLoad } from "../support/fault-report.ts";
import type { LoadReport } from "../support/load.ts";
import { OutsideNode } from "../support/outside-node.ts";
import { eventually, sluiceCommand } from "../support/sluice.ts";
import { answers, countEvents, Scene, serversRunning, statusNow } from "../support/system.ts";
import type { WebInstance } from "../support/web-instance.ts";

jest.setTimeout(180_000);

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const services = ["api", "auth", "shop", "web"];

/** What several loads counted together. */
function sum(reports: readonly LoadReport[]): LoadReport {
  const total = (of: (one: LoadReport) => number) => reports.reduce((all, one) => all + of(one), 0);
  return {
    sent: total(({ sent }) => sent),
    statuses: {},
    failures: reports.flatMap(({ failures }) => failures),
    slowestMs: Math.max(...reports.map(({ slowestMs }) => slowestMs)),
    bodies: {},
    seconds: Math.max(...reports.map(({ seconds }) => seconds)),
  };
}

test("three quarters of four services vanish at once, all alive: held, until an operator says it is right", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const node = new OutsideNode(consul);
  const pools = new Map<string, readonly WebInstance[]>();
  for (const service of services) {
    const pool: WebInstance[] = [];
    for (const number of [1, 2, 3, 4]) pool.push(await scene.instance(`${service}-${number}`));
    await node.change({ join: pool.map((one) => [service, one] as const) });
    pools.set(service, pool);
  }
  const sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded");
  for (const service of services) await answers(home, `${service}.service.local`);
  await eventually("all serve", async () => (await serversRunning(home)).length === 16, 30_000);
  const before = sluice.lines().length;
  const loads = services.map((service) =>
    scene.load({ port: home.httpPort, keepAlive: 2, oneShot: 2, headers: { host: `${service}.service.local` } }),
  );

  const began = performance.now();
  const gone = [...pools.values()].flatMap((pool) => pool.slice(1));
  await node.change({ leave: gone });
  const holds = async () => (await statusNow(home)).reconciler.holds;
  await eventually("all that vanished are held", async () => (await holds()).length === 12, 30_000);
  await eventually("all serve again", async () => (await serversRunning(home)).length === 16, 30_000);
  const tookMs = Math.round(performance.now() - began);
  expect(new Set((await holds()).map(({ cause }) => cause))).toEqual(new Set(["mass"]));
  await sleep(3_000);

  const settings = ["--settings", home.settingsFile];
  const unknown = await sluiceCommand(["release", "nothing", ...settings]);
  expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining("only api/outside/api-2")]);
  const shown = await sluiceCommand(["status", ...settings]);
  expect(shown.out).toMatch(
    /^held: shop outside\/shop-3 at 127\.0\.0\.1:\d+ since \S+, until \S+ at the latest: more than half/m,
  );
  const one = await sluiceCommand(["release", "api/api-2", ...settings]);
  expect([one.code, one.out]).toEqual([0, "1 hold let go\n"]);
  await eventually("one is let go", async () => (await holds()).length === 11, 20_000);
  const all = await sluiceCommand(["release", "api", "--json", ...settings]);
  expect([all.code, JSON.parse(all.out)]).toEqual([0, { released: 2 }]);
  const socket = path.join(home.state, "sockets", "admin.sock");
  for (const service of services.slice(1)) {
    expect(await askOperator(socket, "/v1/release", "POST", { service })).toEqual({ released: 3 });
  }
  await eventually("nothing is held", async () => (await holds()).length === 0, 20_000);
  await eventually("four serve", async () => (await serversRunning(home)).length === 4, 20_000);
  await sleep(3_000);
  expect(await holds()).toEqual([]);

  const report = sum(await Promise.all(loads.map((load) => load.stop())));
  printLoad("12 of 16 instances of four services vanish", report, `all serve again ${tookMs} ms after`);
  expect(report.failures).toEqual([]);
  const released = sluice.lines().filter(({ event }, index) => index >= before && event === "released");
  expect(released.map((line) => line["why"])).toEqual(Array(12).fill("operator"));
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expectEnough(report);
});
