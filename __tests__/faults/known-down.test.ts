import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import { type InstanceProcess, startInstanceProcess } from "../support/instance-process.ts";
import { eventually, type RunningSluice, runtimeCommand, type SluiceHome } from "../support/sluice.ts";
import { answers, countEvents, Scene, serversRunning, statusNow } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(180_000);

const headers = { host: "web.service.local" };
/** What was first sent to where nobody answers takes longer than this (1,060 ms where down servers were not known). */
const stalledMs = 900;

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test("a server that HAProxy knows to be gone gets no request by a reload, and is in again when it is back", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const instances: InstanceProcess[] = [];
  for (let index = 0; index < 4; index += 1) {
    const one = await startInstanceProcess(`web-${index}`, index === 0 ? 1 : undefined);
    scene.defer(() => one.kill());
    instances.push(one);
    await consul.register(registration("web", one));
  }
  const sluice = scene.run(home);
  await answers(home, headers.host);
  await eventually("all are in", async () => (await serversRunning(home)).length === 4);
  const [lost] = instances;
  if (lost === undefined) throw new Error("there is no instance");
  const server = `web-0_127.0.0.1:${lost.port}`;
  await lost.vanish();
  await eventually("HAProxy's checks have found it", async () => (await isDown(home, server)) === true, 60_000);

  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers });
  await sleep(1_000);
  const picked: number[] = [];
  for (let count = 0; count < 3; count += 1) {
    await reloadFor(sluice, () => scene.join(consul, `other-${count}`, `other-${count}`));
    await eventually("it is said to wait", async () =>
      (await statusNow(home)).reconciler.joining.includes(`web/${server}`),
    );
    // The new worker takes it for up until it has asked it.
    await sleep(2_500);
    picked.push(await timesPicked(home, server));
  }
  const report = await load.stop();
  reportLoad(
    "three reloads while one of four hosts is gone",
    report,
    `${countEvents(sluice, "reloaded")} reloads in all`,
  );
  expect(failuresByKind(report)).toBe("");
  expect(picked).toEqual([0, 0, 0]);
  expect(report.slowestMs).toBeLessThan(stalledMs);
  expect(report.bodies["web-0"]).toBeUndefined();

  // The same place, and somebody listens there again.
  await lost.thaw();
  await eventually(
    "it serves again",
    async () => (await serversRunning(home)).every((one) => !one.endsWith("weight 0")),
    60_000,
  );
  await eventually("nobody waits", async () => (await statusNow(home)).reconciler.joining.length === 0);
});

async function reloadFor(sluice: RunningSluice, change: () => Promise<unknown>): Promise<void> {
  const before = sluice.lines().length;
  await change();
  await sluice.logged((line) => line.event === "reloaded", 30_000, before);
}

/** How often the worker has chosen this server for a request (management guide 9.1, column `lbtot`). */
async function timesPicked(home: SluiceHome, server: string): Promise<number> {
  const [head = "", ...rows] = (await runtimeCommand(home, "show stat web 4 -1")).split("\n");
  const row = rows.map((one) => one.split(",")).find((words) => words[1] === server);
  return Number(row?.[head.split(",").indexOf("lbtot")]);
}

/** Whether HAProxy's checks have found it dead (srv_op_state 0); undefined where there is no such server. */
async function isDown(home: SluiceHome, server: string): Promise<boolean | undefined> {
  const row = (await runtimeCommand(home, "show servers state web"))
    .split("\n")
    .find((one) => one.includes(` ${server} `));
  return row === undefined ? undefined : row.split(" ")[5] === "0";
}
