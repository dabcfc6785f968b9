import { beforeEach, expect, test } from "@jest/globals";
import { GrowingRetry } from "../../../src/reconciler/growing-retry.ts";
import { ManualClock } from "../../support/manual-clock.ts";

let clock: ManualClock;
let due: number[];
let retry: GrowingRetry;

beforeEach(() => {
  clock = new ManualClock();
  due = [];
  retry = new GrowingRetry(clock, () => due.push(clock.now() / 1_000));
});

test("the waits double from 10 s up to 10 min", async () => {
  retry = new GrowingRetry(clock, () => {
    due.push(clock.now() / 1_000);
    retry.failed();
  });
  retry.failed();
  await clock.advance(2_500_000);
  expect(due).toEqual([10, 30, 70, 150, 310, 630, 1_230, 1_830, 2_430]);
});

test("where they must not grow they do not", async () => {
  retry.failed(false);
  await clock.advance(10_000);
  retry.failed(false);
  await clock.advance(10_000);
  expect(due).toEqual([10, 20]);
});

test("a failure while it waits is one more, and waits anew", async () => {
  retry.failed();
  await clock.advance(5_000);
  retry.failed();
  await clock.advance(60_000);
  expect(due).toEqual([25]);
});

test("a success ends the wait, and the next failure is a first one", async () => {
  retry.failed();
  await clock.advance(10_000);
  retry.failed();
  retry.reset();
  expect(clock.pending).toBe(0);
  await clock.advance(1_000);
  retry.failed();
  await clock.advance(20_000);
  expect(due).toEqual([10, 21]);
});

test("a failure long after the last one is a first one; one that came soon after the wait is not", async () => {
  retry.failed();
  await clock.advance(10_000 + 50_000);
  retry.failed();
  await clock.advance(20_000 + 61_000);
  retry.failed();
  await clock.advance(10_000);
  expect(due).toEqual([10, 80, 151]);
});
