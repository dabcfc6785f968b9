import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { haproxyRoles, pidOf, reloadByHand } from "../support/running-haproxy.ts";
import { eventually, liveConfig, type RunningSluice, type SluiceHome, workerPid } from "../support/sluice.ts";
import {
  answers,
  ask,
  bodies,
  countEvents,
  Scene,
  serversInFile,
  serversRunning,
  statusNow,
} from "../support/system.ts";
import type { WebInstance } from "../support/web-instance.ts";

jest.setTimeout(120_000);

const host = "web.service.local";

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let sluice: RunningSluice;
let instances: WebInstance[];

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address);
  instances = [];
  for (const name of ["web-1", "web-2", "web-3"]) instances.push(await scene.join(consul, "web", name));
  sluice = scene.run(home);
  // Traffic flows before it is said.
  await sluice.logged((line) => line.event === "reloaded");
  await answers(home, host);
  await settled(instances);
});
afterEach(() => scene.end());

test("kill -9 of the operator fails no request; its successor adopts HAProxy and catches up without a reload", async () => {
  const worker = await workerPid(home);
  const load = startLoad();
  expect(await sluice.end("SIGKILL")).toBe("SIGKILL");
  const joined = await scene.join(consul, "web", "web-4");
  await consul.deregister("web-1");
  await sleep(300);
  expect(joined.answered()).toBe(0);

  sluice = scene.run(home);
  const up = await sluice.logged((line) => line.event === "process-up");
  expect(up).toMatchObject({ adopted: true, worker });
  await settled([...instances.slice(1), joined]);
  expect(await bodies(home, host, 60)).toEqual(["web-2", "web-3", "web-4"]);
  const report = await load.stop();
  expect(report.failures).toEqual([]);
  expect(report.sent).toBeGreaterThan(100);
  expect(countEvents(sluice, "reloaded")).toBe(0);
  expect(await workerPid(home)).toBe(worker);
});

describe("kill -9 of HAProxy", () => {
  for (const who of haproxyRoles) {
    test(`of its ${who}: it serves again soon, with the same configuration and the catalog's servers`, async () => {
      // What was changed at run time must survive as well.
      const joined = await scene.join(consul, "web", "web-4");
      await consul.deregister("web-1");
      await settled([...instances.slice(1), joined]);
      const config = await liveConfig(home);
      const before = sluice.lines().length;
      const old = await workerPid(home);

      const killedAt = performance.now();
      process.kill(await pidOf(home, who), "SIGKILL");
      await eventually(
        "another worker serves",
        async () => (await workerPid(home)) !== old && (await ask(home.httpPort, { host })).status === 200,
      );
      const tookMs = Math.round(performance.now() - killedAt);
      process.stdout.write(`restart: HAProxy's ${who} killed, serving again after ${tookMs} ms\n`);
      expect(tookMs).toBeLessThan(3_000);

      await sluice.logged((line) => line.event === "process-down", 15_000, before);
      const up = await sluice.logged((line) => line.event === "process-up", 15_000, before);
      expect(up["adopted"]).toBe(false);
      await settled([...instances.slice(1), joined]);
      expect(await liveConfig(home)).toBe(config);
      expect(countEvents(sluice, "reloaded", before)).toBe(0);
      expect(await bodies(home, host, 60)).toEqual(["web-2", "web-3", "web-4"]);

      // And the operator is at work on the new process.
      await consul.deregister("web-2");
      await settled([instances[2] as WebInstance, joined]);
      expect(countEvents(sluice, "reloaded", before)).toBe(0);
    });
  }
});

test("HAProxy reloaded by somebody else's hand: settled, and what changed at that moment is not lost", async () => {
  const before = sluice.lines().length;
  const old = await workerPid(home);
  const load = startLoad();
  const joined = await scene.join(consul, "web", "web-4");
  await eventually("it takes traffic", () => joined.answered() > 0);
  // The file may not have it yet: the new worker then starts without it.
  // Some tens of ms after a start a master of 2.6 still refuses connections.
  await eventually("the master answers", async () => (await pidOf(home, "master")) > 0);
  await reloadByHand(home);
  await consul.deregister("web-1");
  await eventually("another worker answers", async () => (await workerPid(home)) !== old);
  await settled([...instances.slice(1), joined]);
  await eventually("the operator knows the worker", async () => {
    const { haproxy } = (await statusNow(home)).reconciler;
    return haproxy.worker === (await workerPid(home)) && haproxy.believed;
  });
  const report = await load.stop();
  expect(report.failures.filter(({ client }) => client === "one-shot")).toEqual([]);
  expect(report.failures).toEqual([]);
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
});

test("a second operator on the same directory says who holds it and ends with 1; the first goes on", async () => {
  const second = scene.run(home);
  expect(await second.ended).toBe(1);
  const { error } = second.lines().at(-1) as unknown as { error: { code: string; message: string } };
  expect(error.code).toBe("ERR_STATE_LOCKED");
  expect(error.message).toContain(`the operator with pid ${sluice.pid}`);
  expect(error.message).toContain(home.state);

  await consul.deregister("web-1");
  await settled(instances.slice(1));
  expect((await statusNow(home)).ready).toBe(true);
});

function startLoad() {
  return scene.load({ port: home.httpPort, keepAlive: 3, oneShot: 3, headers: { host }, pauseMs: 1 });
}

/** Waits until process and file have these instances and no others. */
async function settled(wanted: readonly WebInstance[]): Promise<void> {
  const names = wanted.map(({ name, port }) => `web/${name}_127.0.0.1:${port} 127.0.0.1:${port} weight 1`).sort();
  await eventually(`HAProxy has ${wanted.map(({ name }) => name).join(", ")}`, async () =>
    same(await serversRunning(home), names),
  );
  await eventually("the file says the same", async () => same(await serversInFile(home), names));
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
