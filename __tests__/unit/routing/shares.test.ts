import { describe, expect, test } from "@jest/globals";
import { shareClaims, shareRows, stepsOf } from "../../../src/routing/shares.ts";

const each = (part: number, count = 1) => ({ count, share: { part, of: "each" as const } });
const together = (part: number, count = 1) => ({ count, share: { part, of: "together" as const } });
const rounded = (...claims: Parameters<typeof shareClaims>[0]) =>
  shareClaims(claims).map((share) => Math.round(share * 1_000) / 1_000);

describe("parts of a route", () => {
  test("without shares: by the number of instances", () => {
    expect(rounded({ count: 3 }, { count: 1 })).toEqual([0.75, 0.25]);
  });

  test("a fixed share is that of each instance, the rest goes evenly to the others", () => {
    expect(rounded(each(0.1, 2), { count: 3 }, { count: 1 })).toEqual([0.2, 0.6, 0.2]);
  });

  test("together: that of all of them, however many", () => {
    expect(rounded(together(0.05, 4), { count: 2 })).toEqual([0.05, 0.95]);
    expect(rounded(together(0), { count: 1 })).toEqual([0, 1]);
  });

  test("more than all is normalised down, the others get nothing", () => {
    expect(rounded(each(0.5, 3), each(0.5), { count: 1 })).toEqual([0.75, 0.25, 0]);
  });

  test("less than all is normalised up where nobody is left for the rest", () => {
    expect(rounded(each(0.1), each(0.3))).toEqual([0.25, 0.75]);
    expect(rounded(together(0.05, 7))).toEqual([1]);
  });

  test("sizes beyond all measure are parts like others", () => {
    expect(rounded(each(1e308, 2), each(1e308, 2))).toEqual([0.5, 0.5]);
    expect(rounded(each(1e-320), each(1e-320))).toEqual([0.5, 0.5]);
    expect(rounded(each(1e-320), each(1e308), { count: 1 })).toEqual([0, 1, 0]);
  });

  test("a share of nothing per instance is none, as Fabio has it; nobody with any is shared evenly", () => {
    expect(rounded(each(0), { count: 1 })).toEqual([0.5, 0.5]);
    expect(rounded(each(-1), each(0.2))).toEqual([0.8, 0.2]);
    expect(rounded(together(0, 1), together(0, 3))).toEqual([0.25, 0.75]);
  });
});

describe("rows", () => {
  test("are beginnings of numbers, few where parts are round", () => {
    const { id, rows } = shareRows([
      { share: 0.5, value: "a" },
      { share: 0.5, value: "b" },
    ]);
    expect(rows).toHaveLength(10);
    expect(rows.every(({ key }) => key.startsWith(`${id}/1`))).toBe(true);
    expect(rows.filter(({ value }) => value === "a").map(({ key }) => key.slice(id.length))).toEqual(
      [0, 1, 2, 3, 4].map((digit) => `/1${digit}`),
    );
  });

  test("are named by what they say", () => {
    const parts = [0.3, 0.7].map((share) => ({ share, value: `v${share}` }));
    expect(shareRows(parts).id).toBe(shareRows(parts).id);
    expect(shareRows(parts).id).not.toBe(shareRows(parts.toReversed()).id);
  });

  test("of a side: those of its parts alone", () => {
    const { id, rows } = shareRows([
      { share: 0.9, value: "a", side: "s1" },
      { share: 0.05, value: "b", side: "s2" },
      { share: 0.05, value: "c", side: "s2" },
    ]);
    const of = (side: string) => rows.filter(({ key }) => key.startsWith(`${id}/=${side}/1`)).map(({ value }) => value);
    expect(of("s1")).toEqual(["a"]);
    expect(of("s2")).toEqual([..."bbbbbccccc"]);
  });

  test("who has any share has one number at least", () => {
    expect(stepsOf([0.99999, 0.00001])).toEqual([9_999, 1]);
    expect(stepsOf([1, 1, 1])).toEqual([3_334, 3_333, 3_333]);
  });
});
