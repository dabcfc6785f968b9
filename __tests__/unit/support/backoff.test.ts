import { expect, test } from "@jest/globals";
import { backoffMs } from "../../../src/support/backoff.ts";

const policy = { baseMs: 50, maxMs: 2_000 };

test("the upper bound doubles with each failure up to the greatest wait", () => {
  const almostOne = () => 0.5;
  expect([0, 1, 2, 3, 4, 5, 6, 7].map((attempt) => backoffMs(policy, attempt, almostOne))).toEqual([
    25, 50, 100, 200, 400, 800, 1000, 1000,
  ]);
});

test("full jitter: from 0 on", () => {
  expect(backoffMs(policy, 5, () => 0)).toBe(0);
});

test("a great many failures stay within bounds", () => {
  expect(backoffMs(policy, 1_000_000, () => 1)).toBe(2_000);
  expect(backoffMs({ baseMs: 1, maxMs: Number.POSITIVE_INFINITY }, 5_000, () => 1)).toBe(2 ** 30);
});

test("draws by itself where no source is given", () => {
  const drawn = Array.from({ length: 200 }, () => backoffMs(policy, 9));
  expect(drawn.every((ms) => ms >= 0 && ms < 2_000)).toBe(true);
  expect(new Set(drawn).size).toBeGreaterThan(1);
});
