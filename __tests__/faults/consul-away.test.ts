import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { ConsulWorld } from "../support/consul-world.ts";
import { expectEnough } from "../support/fault-report.ts";
import { Scene } from "../support/system.ts";

jest.setTimeout(180_000);

const awayMs = 20_000;

let scene: Scene;

beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test("killed for 20 s and back with nothing in it: all is served on, and what registers is served within a second", async () => {
  const consul = await scene.consul();
  const world = await ConsulWorld.begin(scene, consul, consul.address);
  world.load();
  const killedAt = Date.now();
  await consul.stop();
  const { since } = await world.outage(/Consul has not answered since .*(ECONNREFUSED|ECONNRESET)/);
  expect(Math.abs(Date.parse(since) - killedAt)).toBeLessThan(5_000);
  await sleep(awayMs);

  const second = await scene.consul({ httpPort: consul.httpPort });
  await world.catalogSays("Consul is heard", ({ outage: over }) => over === undefined);
  // The first to register, while nothing else is there yet.
  await world.join(second, "web", "web-new");
  const servedMs = await world.servedBy("web-new", performance.now());
  await world.registerAgain(second);
  await world.fresh();
  const report = await world.end("Consul killed 20 s, back empty", `new instance served after ${servedMs} ms`);
  expect(report.failures).toEqual([]);
  expect(servedMs).toBeLessThan(1_000);
  expectEnough(report);
});

test("frozen for 20 s: stale within seconds, and heard within a second when it thaws", async () => {
  const consul = await scene.consul();
  const world = await ConsulWorld.begin(scene, consul, consul.address);
  world.load();
  const thaw = () => process.kill(consul.pid, "SIGCONT");
  scene.defer(async () => void thaw());
  process.kill(consul.pid, "SIGSTOP");
  const frozenAt = performance.now();
  await world.outage(/Consul has not answered since .*no answer within/);
  const noticedMs = Math.round(performance.now() - frozenAt);
  await sleep(Math.max(0, awayMs - noticedMs));

  const late = scene.instance("web-late");
  thaw();
  const thawedAt = performance.now();
  await world.fresh();
  const freshMs = Math.round(performance.now() - thawedAt);
  const { name, port } = await late;
  await consul.register({
    Name: "web",
    ID: name,
    Address: "127.0.0.1",
    Port: port,
    Tags: ["haproxy.enable=true"],
    Check: { TTL: "24h", Status: "passing" },
  });
  const servedMs = await world.servedBy(name, performance.now());
  const report = await world.end(
    "Consul frozen 20 s",
    `noticed after ${noticedMs} ms`,
    `fresh ${freshMs} ms after the thaw`,
    `new instance served after ${servedMs} ms`,
  );
  expect(report.failures).toEqual([]);
  expect(noticedMs).toBeLessThan(8_000);
  expect(freshMs).toBeLessThan(1_500);
  expect(servedMs).toBeLessThan(1_000);
  expectEnough(report);
});
