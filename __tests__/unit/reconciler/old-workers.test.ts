import { afterEach, expect, test } from "@jest/globals";
import { a, c, World } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const template = (bound: string) => `timeout client 60s\nglobal\n  hard-stop-after ${bound}\ndefaults`;

/** A process that serves `web`, and was reloaded for another service; the worker before has connections left. */
async function reloaded(bound: string, connections: number): Promise<number> {
  world = new World({ template: template(bound) });
  await world.start();
  await world.publish({ web: [a] });
  await world.advance(2_000);
  const pid = world.haproxy.pid ?? 0;
  world.haproxy.leftBehind = [{ pid, connections }];
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
