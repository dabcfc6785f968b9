import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { duration, durationWithin, formatDuration } from "../../../src/settings/duration.ts";

describe("a length of time", () => {
  test.each([
    ["250ms", 250],
    ["30s", 30_000],
    ["1.5m", 90_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
    [" 5s ", 5_000],
    ["1500", 1_500],
    [1_500, 1_500],
    ["0", 0],
    ["0.4ms", 0],
  ])("%p is %p ms", (written, ms) => {
    expect(duration.parse(written)).toBe(ms);
  });

  test.each(["", "s", "5 s", "-5s", "1e3", "5w", "5S", "0x10", "NaN", -1, Number.NaN, Number.POSITIVE_INFINITY])(
    "%p is none",
    (written) => {
      expect(duration.safeParse(written).success).toBe(false);
    },
  );

  test.each([true, null, {}, []])("%p is none, being of another type", (written) => {
    expect(duration.safeParse(written).success).toBe(false);
  });

  test("is never longer than a timer of Node can wait", () => {
    expect(duration.parse("24d")).toBeLessThan(2 ** 31);
    expect(duration.safeParse("25d").error?.issues[0]?.message).toContain("at most 24d");
  });

  test("keeps to its own bounds", () => {
    const bounded = durationWithin({ minMs: 1_000, maxMs: 600_000 });
    expect(bounded.parse("1s")).toBe(1_000);
    expect(bounded.parse("10m")).toBe(600_000);
    expect(bounded.safeParse("999ms").error?.issues[0]?.message).toContain("at least 1s");
    expect(bounded.safeParse("601s").error?.issues[0]?.message).toContain("at most 10m");
  });

  test("is written as a person writes it", () => {
    expect([0, 250, 1_000, 55_000, 60_000, 90_000, 86_400_000, 604_800_000].map(formatDuration)).toEqual([
      "0s",
      "250ms",
      "1s",
      "55s",
      "1m",
      "90s",
      "24h",
      "7d",
    ]);
  });

  test("is read back as it was written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 24 * 86_400_000 }), (ms) => {
        expect(duration.parse(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});
