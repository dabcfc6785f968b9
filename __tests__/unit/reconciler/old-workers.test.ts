import { afterEach, expect, test } from "@jest/globals";
import { a, c, World } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const template = (bound: string) => `timeout client 60s\nglobal\n  hard-stop-after ${bound}\ndefaults`;

/** A process that serves `web`, and was reloaded for another service; the worker before has connections left. */
async function reloaded(bound: string, connections: number, before = () => {}): Promise<number> {
  world = new World({ template: template(bound) });
  await world.start();
  await world.publish({ web: [a] });
  await world.advance(2_000);
  const pid = world.haproxy.pid ?? 0;
  world.haproxy.leftBehind = [{ pid, connections }];
  before();
  await world.publish({ web: [a], api: [c] });
  await world.advance(0);
  return pid;
}

const shown = () => world.reconciler.status().haproxy.oldWorkers;
const ended = () => world.eventsOf("worker-ended").map(({ severity, data }) => [severity, data["connections"]]);

test("a worker that was replaced is shown with its connections until it has ended", async () => {
  const pid = await reloaded("5m", 7);
  const since = new Date(world.clock.wall()).toISOString();
  expect(shown()).toEqual([{ pid, since, connections: 7 }]);
  await world.advance(30_000);
  world.haproxy.leftBehind = [{ pid, connections: 2 }];
  await world.advance(1_000);
  expect(shown()).toEqual([{ pid, since, connections: 2 }]);
  world.haproxy.leftBehind = [];
  await world.advance(1_000);
  expect(shown()).toEqual([]);
  expect(ended()).toEqual([["debug", 2]]);
});

test("connections that are cut when its time is over are said", async () => {
  const pid = await reloaded("4s", 3);
  await world.advance(4_100);
  expect(ended()).toEqual([]);
  world.haproxy.leftBehind = [];
  await world.advance(1_000);
  expect(ended()).toEqual([["warn", 3]]);
  expect(world.eventsOf("worker-ended")[0]?.message).toBe(
    `3 connections were cut at reload.hardStopAfter: worker ${pid}, which a reload replaced, has ended`,
  );
});

test("they are said also where it was seen with none of them left, just before it ended", async () => {
  const pid = await reloaded("4s", 3);
  await world.advance(4_000);
  world.haproxy.leftBehind = [{ pid, connections: 0 }];
  await world.advance(500);
  expect(shown().map(({ connections }) => connections)).toEqual([0]);
  world.haproxy.leftBehind = [];
  await world.advance(1_000);
  expect(ended()).toEqual([["warn", 3]]);
});

test("one whose connections ended by themselves has cut none, however late it ends", async () => {
  const pid = await reloaded("4s", 3);
  await world.advance(1_000);
  world.haproxy.leftBehind = [{ pid, connections: 0 }];
  await world.advance(3_500);
  world.haproxy.leftBehind = [];
  await world.advance(1_000);
  expect(ended()).toEqual([["debug", 0]]);
});

test("its time counts from the reload, also where what runs is read back late", async () => {
  let release = () => {};
  await reloaded("4s", 3, () => {
    const { reload } = world.haproxy;
    world.haproxy.reload = () => {
      release = world.haproxy.hold("observe");
      return reload.call(world.haproxy);
    };
  });
  await world.advance(2_000);
  release();
  await world.advance(2_200);
  world.haproxy.leftBehind = [];
  await world.advance(1_000);
  expect(ended()).toEqual([["warn", 3]]);
});

test("one that is found before its reload is over was replaced just now, not by the reload before", async () => {
  const pid = await reloaded("5m", 3);
  await world.advance(60_000);
  const second = world.haproxy.pid ?? 0;
  const release = world.haproxy.hold("reload");
  await world.publish({ web: [a], api: [c], other: [c] });
  world.haproxy.leftBehind = [
    { pid, connections: 3 },
    { pid: second, connections: 1 },
  ];
  const before = world.clock.wall();
  await world.advance(1_000);
  expect(Date.parse(shown().find((worker) => worker.pid === second)?.since ?? "")).toBeGreaterThanOrEqual(before);
  release();
  await world.advance(1_000);
});

test("an answer from before a reload does not make the time of the one it replaced forgotten", async () => {
  const pid = await reloaded("20s", 3);
  await world.advance(5_000);
  const second = world.haproxy.pid ?? 0;
  const { oldWorkers } = world.haproxy;
  let answer = () => {};
  world.haproxy.oldWorkers = () =>
    new Promise((resolve) => {
      answer = () => resolve([{ pid, connections: 3 }]);
    });
  await world.advance(2_000);
  await world.publish({ web: [a], api: [c], other: [c] });
  await world.advance(1_000);
  world.haproxy.oldWorkers = oldWorkers;
  world.haproxy.leftBehind = [{ pid: second, connections: 1 }];
  answer();
  await world.advance(19_000);
  expect(ended()).toEqual([["debug", 3]]);
  world.haproxy.leftBehind = [];
  await world.advance(2_000);
  expect(ended()).toEqual([
    ["debug", 3],
    ["warn", 1],
  ]);
});

test("its time is the one it was loaded with", async () => {
  const pid = await reloaded("4s", 3);
  const second = world.haproxy.pid ?? 0;
  await world.offer(template("1h"));
  world.haproxy.leftBehind = [
    { pid, connections: 3 },
    { pid: second, connections: 1 },
  ];
  await world.advance(4_600);
  world.haproxy.leftBehind = [{ pid: second, connections: 1 }];
  await world.advance(1_000);
  expect(ended()).toEqual([["warn", 3]]);
  expect(shown().map((worker) => worker.pid)).toEqual([second]);
});

test("without a reload nobody is asked, and with the process all of them are gone", async () => {
  await reloaded("5m", 7);
  const { oldWorkers } = world.haproxy;
  let asked = 0;
  world.haproxy.oldWorkers = () => {
    asked += 1;
    return oldWorkers.call(world.haproxy);
  };
  world.haproxy.leftBehind = [];
  world.haproxy.failStart = true;
  world.haproxy.kill();
  await world.advance(2_000);
  expect(shown()).toEqual([]);
  expect(ended()).toEqual([]);
  world.haproxy.mend();
  await world.advance(20_000);
  expect(world.reconciler.status().haproxy.up).toBe(true);
  asked = 0;
  await world.advance(120_000);
  expect(asked).toBe(0);
});
