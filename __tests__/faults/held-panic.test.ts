import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { expectEnough, printLoad } from "../support/fault-report.ts";
import { eventually, type RunningSluice, type SluiceHome } from "../support/sluice.ts";
import { answers, ask, countEvents, Scene, serversRunning, statusNow } from "../support/system.ts";
import type { WebInstance } from "../support/web-instance.ts";

jest.setTimeout(180_000);

const host = "web.service.local";
let scene: Scene;
let consul: ConsulAgent;
let sluice: RunningSluice;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
});
afterEach(() => scene.end());

async function begin(
  tags: readonly string[],
  settings: object = {},
): Promise<{ home: SluiceHome; pool: WebInstance[] }> {
  const home = await scene.home(consul.address, { services: settings });
  const pool: WebInstance[] = [];
  for (const name of ["web-1", "web-2", "web-3"]) {
    pool.push(await scene.join(consul, "web", name, { Tags: ["haproxy.enable=true", ...tags] }));
  }
  sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded");
  await answers(home, host);
  await eventually("all serve", async () => (await serversRunning(home)).length === 3, 20_000);
  return { home, pool };
}

const tell = (instance: WebInstance, Status: "passing" | "critical") =>
  consul.put(`/v1/agent/check/update/check-${instance.name}`, { Status });

test("panic serve: all critical by their own checks, and tried all the same; HAProxy's check still takes out the dead", async () => {
  const { home, pool } = await begin(["haproxy.panic=serve"]);
  const before = sluice.lines().length;
  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers: { host } });
  for (const instance of pool) {
    await tell(instance, "critical");
    await sleep(300);
  }
  await eventually("all serve", async () => (await serversRunning(home)).length === 3, 20_000);
  const answered = pool.map((instance) => instance.answered());
  await sleep(2_000);
  for (const [index, instance] of pool.entries()) expect(instance.answered()).toBeGreaterThan(answered[index] ?? 0);
  await pool[2]?.stop();
  await sleep(2_000);
  await tell(pool[0] as WebInstance, "passing");
  await eventually("one serves alone", async () => (await serversRunning(home)).length === 1, 20_000);
  await sleep(500);
  const report = await load.stop();
  printLoad("all critical by their own checks, panic serve", report);
  expect(report.failures).toEqual([]);
  expect((await statusNow(home)).reconciler.holds).toEqual([]);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expectEnough(report);
});

test("panic refuse by the service's own tag: 503, whatever the setting says, and back with the first that is well", async () => {
  const { home, pool } = await begin(["haproxy.panic=refuse"], { panic: "serve" });
  for (const instance of pool) await tell(instance, "critical");
  await eventually("503", async () => (await ask(home.httpPort, { host })).status === 503, 20_000);
  await sleep(1_000);
  expect((await ask(home.httpPort, { host })).status).toBe(503);
  await tell(pool[1] as WebInstance, "passing");
  await answers(home, host);
  expect((await ask(home.httpPort, { host })).body).toBe("web-2");
});

test("without a word of the service the setting decides, at once when it changes", async () => {
  const { home, pool } = await begin([]);
  for (const instance of pool) await tell(instance, "critical");
  await eventually("503", async () => (await ask(home.httpPort, { host })).status === 503, 20_000);
  await home.configure({ services: { panic: "serve" } });
  await answers(home, host);
  expect(await serversRunning(home)).toHaveLength(3);
});
