import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import { loadOnTemplate } from "../support/served-pool.ts";
import { eventually, type LogLine, type RunningSluice, type SluiceHome } from "../support/sluice.ts";
import { answers, ask, countEvents, Scene, serversRunning, statusNow } from "../support/system.ts";

jest.setTimeout(180_000);

const headers = { host: "web.service.local" };
const reloads = 60;

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test(`${reloads} reloads under load: no request fails, on a connection of its own or on one that is kept`, async () => {
  const { home, sluice, template, load } = await begin({ minInterval: "50ms" });
  const before = sluice.lines().length;
  for (let edition = 1; edition <= reloads; edition += 1) {
    await template.writeEdition(edition);
    await eventually(`edition ${edition} is out`, async () => (await editionOf(home)) === edition, 30_000);
  }
  await sleep(500);
  const report = await load.stop();
  const done = countEvents(sluice, "reloaded", before);
  reportLoad(`${done} reloads`, report);
  expect(failuresByKind(report)).toBe("");
  expect(done).toBeGreaterThanOrEqual(reloads);
  // What was replaced does not stay for ever.
  await eventually("no old worker is left", async () => (await oldWorkers(home)).length === 0, 30_000);
  expect(sluice.lines().filter((line) => line.event === "worker-ended" && line.level === "warn")).toEqual([]);
});

test("a storm of new services makes one reload per interval, the first at once", async () => {
  const intervalMs = 2_000;
  const { consul, home, sluice, load } = await begin({ minInterval: `${intervalMs}ms` });
  // The reload that made the start is over for longer than the interval.
  await sleep(intervalMs);
  const before = sluice.lines().length;
  const started = Date.now();
  const services = 60;
  for (let count = 0; count < services; count += 1) {
    await scene.join(consul, `storm-${count}`, `storm-${count}`);
    await sleep(100);
  }
  const lastedMs = Date.now() - started;
  await answers(home, `storm-${services - 1}.service.local`, 30_000);
  await eventually("all are in", async () => (await serversRunning(home)).length === services + 4, 30_000);
  await sleep(500);
  const report = await load.stop();
  const wanted = timesOf(sluice, "reload-wanted", before);
  const done = timesOf(sluice, "reloaded", before);
  reportLoad(`${services} new services in ${lastedMs} ms`, report, `${done.length} reloads`);
  expect(failuresByKind(report)).toBe("");
  expect(done.length).toBeGreaterThan(1);
  expect(done.length).toBeLessThanOrEqual(Math.ceil(lastedMs / intervalMs) + 2);
  expect((wanted[0] ?? Number.NaN) - started).toBeLessThan(intervalMs / 2);
  // Between the end of one and the beginning of the next; the log's times are of whole ms.
  for (const [index, at] of wanted.slice(1).entries()) {
    expect(at - (done[index] ?? Number.NaN)).toBeGreaterThanOrEqual(intervalMs - 50);
  }
});

test("answers longer than the bound are cut at it, counted and said; shorter ones are not", async () => {
  const { home, sluice, template, load } = await begin({ minInterval: "50ms", hardStopAfter: "3s" });
  const long = await Promise.all([...Array(5)].map(() => streamed(home, 30_000)));
  const short = await Promise.all([...Array(5)].map(() => streamed(home, 1_500)));
  const before = sluice.lines().length;
  const at = performance.now();
  await template.writeEdition(1);
  await sluice.logged((line) => line.event === "reloaded", 30_000, before);
  const reloadedMs = performance.now() - at;
  await eventually("the old worker is shown with what it still has", async () =>
    (await oldWorkers(home)).some(({ connections = 0 }) => connections >= long.length),
  );
  const whole = await Promise.all(short.map(({ ended }) => ended));
  const cut = await Promise.all(long.map(({ ended }) => ended));
  const lastedMs = Math.min(...cut.map((end) => end.at)) - at;
  const line = await sluice.logged((one) => one.event === "worker-ended" && one.level === "warn", 15_000, before);
  await eventually("it is shown no more", async () => (await oldWorkers(home)).length === 0);
  const report = await load.stop();

  reportLoad(
    "a worker is ended at the bound of 3 s",
    report,
    `${cut.length} long answers cut ${Math.round(lastedMs)} ms after the change, reloaded at ${Math.round(reloadedMs)} ms`,
  );
  expect(failuresByKind(report)).toBe("");
  expect(whole.map(({ how }) => how)).toEqual(short.map(() => "whole"));
  expect(cut.map(({ how }) => how)).toEqual(long.map(() => "cut"));
  expect(lastedMs).toBeGreaterThan(2_900);
  expect(line["connections"]).toBe(long.length);
  expect(line.msg).toContain("5 connections were cut at reload.hardStopAfter");
});

const begin = (reload: Readonly<Record<string, unknown>>) => loadOnTemplate(scene, headers.host, () => ({ reload }));

async function editionOf(home: SluiceHome): Promise<number> {
  return Number((await ask(home.httpPort, headers)).headers["x-edition"]);
}

async function oldWorkers(home: SluiceHome) {
  return (await statusNow(home)).reconciler.haproxy.oldWorkers;
}

/** When these events were logged, ms since 1970. */
function timesOf(sluice: RunningSluice, event: string, from: number): readonly number[] {
  const times = sluice.lines().filter((line: LogLine, index) => index >= from && line.event === event);
  return times.map(({ time }) => Date.parse(String(time)));
}

/** Asks for an answer that takes so many ms; resolves when it has begun. */
function streamed(home: SluiceHome, ms: number): Promise<{ ended: Promise<{ how: "whole" | "cut"; at: number }> }> {
  return new Promise((resolve, reject) => {
    const path = `/stream?ms=${ms}`;
    const call = request({ host: "127.0.0.1", port: home.httpPort, path, agent: false, headers }, (response) => {
      const ended = new Promise<{ how: "whole" | "cut"; at: number }>((settle) => {
        response.on("end", () => settle({ how: "whole", at: performance.now() }));
        response.on("error", () => settle({ how: "cut", at: performance.now() }));
      });
      response.once("data", () => resolve({ ended }));
    });
    call.on("error", reject);
    scene.defer(async () => call.destroy());
    call.end();
  });
}
