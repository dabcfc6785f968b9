import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { runRegister, webApp } from "../support/register-command.ts";
import { eventually } from "../support/sluice.ts";
import { ask, Scene } from "../support/system.ts";

jest.setTimeout(180_000);

let scene: Scene;
let consul: ConsulAgent;
let agent: readonly string[];
beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  agent = ["--consul-address", consul.address];
});
afterEach(() => scene.end());

const settings = { services: { expose: "all" }, http: { defaultService: "web" } };

test("16 clients: no request fails while a wrapped instance comes and goes, three times", async () => {
  const home = await scene.home(consul.address, settings);
  await scene.join(consul, "web", "stays");
  scene.run(home);
  await eventually("it answers", async () => (await ask(home.httpPort)).body === "stays", 90_000);
  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8 });
  for (let round = 1; round <= 3; round += 1) {
    const { args, command } = await webApp(`goes-${round}`);
    const run = runRegister(scene, [...agent, ...args, "--drain", "2s", ...command]);
    await run.logged("registered");
    await eventually("it serves", () => (load.report().bodies[`goes-${round}`] ?? 0) > 50, 20_000);
    run.signal("SIGTERM");
    expect(await run.ended).toBe(0);
  }
  const report = await load.stop();
  expect(report.failures).toEqual([]);
  expect(report.sent).toBeGreaterThan(500);
});

test("the drain ends when the stats page has nothing left, not before", async () => {
  const home = await scene.home(consul.address, settings);
  await scene.join(consul, "web", "stays");
  scene.run(home);
  await eventually("it answers", async () => (await ask(home.httpPort)).body === "stays", 90_000);
  const { port, args, command } = await webApp("goes");
  const pages = `http://127.0.0.1:${home.statsPort}/haproxy_stats`;
  const run = runRegister(scene, [...agent, ...args, "--drain", "10m", "--haproxy", pages, ...command]);
  await run.logged("registered");
  await eventually("it serves", async () => (await ask(home.httpPort)).body === "goes", 20_000);
  const slow = [0, 1].map(() => ask(home.httpPort, { path: "/slow?ms=3000" }));
  // One of the two that were asked in turn is with it.
  await eventually("it has one", async () => {
    const csv = await ask(home.statsPort, { path: "/haproxy_stats;csv", auth: "admin:admin" });
    const row = csv.body.split("\n").find((line) => line.includes(`:${port},`)) ?? "";
    return row.split(",")[4] === "1";
  });
  const begun = performance.now();
  run.signal("SIGTERM");
  expect((await Promise.all(slow)).map(({ status, body }) => `${status} ${body}`).sort()).toEqual([
    "200 goes",
    "200 stays",
  ]);
  expect(await run.ended).toBe(0);
  expect(performance.now() - begun).toBeLessThan(30_000);
  expect(await run.logged("drained")).toMatchObject({ early: true });
});
