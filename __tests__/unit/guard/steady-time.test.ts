import { expect, test } from "@jest/globals";
import { SteadyTime } from "../../../src/guard/steady-time.ts";

const start = 1_000_000_000;
const minute = 60_000;
const day = 24 * 60 * minute;

test("is the wall clock while that goes as time does, and while it is put right by little", () => {
  const time = new SteadyTime();
  expect(time.at(start, 0)).toBe(start);
  expect(time.at(start + 5_000, 5_000)).toBe(start + 5_000);
  expect(time.at(start + 3 * day, 3 * day)).toBe(start + 3 * day);
  expect(time.at(start + 3 * day + 30_000, 3 * day)).toBe(start + 3 * day + 30_000);
  expect(time.behindMs).toBe(0);
});

test("moves by a minute at most when the clock is set ahead by days, and then goes on as time does", () => {
  const time = new SteadyTime();
  time.at(start, 0);
  expect(time.at(start + 2 * day + 1_000, 1_000)).toBe(start + 1_000 + minute);
  for (let second = 2; second < 100; second += 1) {
    expect(time.at(start + 2 * day + second * 1_000, second * 1_000)).toBe(start + second * 1_000 + minute);
  }
  expect(time.behindMs).toBe(2 * day - minute);
});

test("is the wall clock again when that is set back, and follows it further back", () => {
  const time = new SteadyTime();
  time.at(start, 0);
  time.at(start + 2 * day, 0);
  expect(time.at(start, 0)).toBe(start);
  expect(time.at(start - day, 0)).toBe(start - day);
  expect(time.behindMs).toBe(0);
});
