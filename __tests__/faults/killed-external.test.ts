import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { externalMode, superviseExternal } from "../support/external-haproxy.ts";
import { printLoad } from "../support/fault-report.ts";
import { eventually, liveConfig, masterPid, type SluiceHome, workerPid } from "../support/sluice.ts";
import { answers, countEvents, Scene, serversInFile, serversRunning } from "../support/system.ts";

jest.setTimeout(240_000);

const host = "web.service.local";
/** From the kill to the asking of the last request that failed: the supervisor waits for 100 ms, then HAProxy starts. */
const mostGapMs = 3_000;

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address, { haproxy: externalMode });
  for (const name of ["web-1", "web-2", "web-3"]) await scene.join(consul, "web", name);
});
afterEach(() => scene.end());

describe("a HAProxy that a supervisor starts again", () => {
  for (const who of ["worker", "master"] as const) {
    test(`its ${who} killed three times while servers come and go`, async () => {
      const sluice = scene.run(home);
      await eventually("there is a configuration", async () => (await liveConfig(home)) !== "", 60_000);
      const haproxy = await superviseExternal(scene, home);
      await answers(home, host, 60_000);
      await settled(3);
      const reloads = countEvents(sluice, "reloaded");
      const load = scene.load({ port: home.httpPort, keepAlive: 4, oneShot: 4, headers: { host }, pauseMs: 2 });
      const begun = performance.now();
      const kills: number[] = [];
      for (const round of [1, 2, 3]) {
        const before = sluice.lines().length;
        const joined = scene.join(consul, "web", `web-new-${round}`);
        const pid = await (who === "master" ? masterPid : workerPid)(home);
        kills.push(performance.now() - begun);
        process.kill(pid, "SIGKILL");
        await joined;
        await consul.deregister(round === 1 ? "web-1" : `web-new-${round - 1}`);
        await sluice.logged(({ event }) => event === "process-down", 30_000, before);
        await sluice.logged(({ event }) => event === "process-up", 30_000, before);
        await settled(3);
      }
      const report = await load.stop();
      const gaps = report.failures.map(({ atMs }) =>
        Math.min(...kills.map((at) => atMs - at).filter((ms) => ms > -500)),
      );
      printLoad(
        `external HAProxy, ${who} killed 3 times`,
        report,
        `longest gap ${Math.round(Math.max(0, ...gaps))} ms`,
      );
      expect(Math.max(0, ...gaps)).toBeLessThan(mostGapMs);
      expect(haproxy.starts()).toBe(4);
      expect(countEvents(sluice, "reloaded")).toBe(reloads);
      expect(sluice.process.exitCode).toBeNull();
    });
  }
});

/** Waits until process and file have so many servers of `web`, the same. */
async function settled(count: number): Promise<void> {
  await eventually(
    `process and file have ${count} servers`,
    async () => {
      const [running, written] = [await serversRunning(home), await serversInFile(home)];
      const joined = running.filter((server) => server.endsWith(" weight 1"));
      return joined.length === count && JSON.stringify(running) === JSON.stringify(written);
    },
    30_000,
  );
}
