import { describe, expect, test } from "@jest/globals";
import { backendOf, mapEntries, mapText, sameEntries, withoutUnloaded } from "../../../../src/haproxy/plan/maps.ts";

describe("mapEntries", () => {
  // As 2.6.12 tells the same file by `show map`.
  test.each([
    ["a key and a value", "k1 v1\n", [["k1", "v1"]]],
    ["spaces before, between and behind", "\t k2\tv 2\t x\t \n", [["k2", "v 2\t x"]]],
    [
      "a carriage return ends the line",
      "k v\r\nk3\r\n",
      [
        ["k", "v"],
        ["k3", ""],
      ],
    ],
    ["a key alone", "k3\n", [["k3", ""]]],
    ["comments and empty lines", "# c\n#\n\n   \n\t\r\n", []],
    [
      "a sharp that does not begin the line",
      "  # d\nk #v\n",
      [
        ["#", "d"],
        ["k", "#v"],
      ],
    ],
    [
      "only space and tab part words",
      "k\u00a04 v4\nk\u20285 v5\n",
      [
        ["k\u00a04", "v4"],
        ["k\u20285", "v5"],
      ],
    ],
    ["the last line without an end", "k v", [["k", "v"]]],
    ["nothing", "", []],
  ])("%s", (_, text, expected) => {
    const entries = mapEntries(text);
    expect(entries.map(({ key, value }) => [key, value])).toEqual(expected);
    expect(mapEntries(mapText(entries))).toEqual(entries);
  });
});

test("sameEntries: dress does not count, order does", () => {
  expect(sameEntries("a b\n", "# c\n a\tb \r\n")).toBe(true);
  expect(sameEntries("a b\nc d\n", "c d\na b\n")).toBe(false);
  expect(sameEntries("a b\n", "a b c\n")).toBe(false);
});

test.each([
  ["web", "web"],
  ["web;strip=/a", "web"],
  ["a.b_c:d-e opt", "a.b_c:d-e"],
  ["", ""],
  ["/redirect", ""],
])("the backend of the value %j is %j", (value, backend) => {
  expect(backendOf(value)).toBe(backend);
});

describe("withoutUnloaded", () => {
  const loaded = new Set(["a", "old"]);
  const wanted = new Set(["a", "new"]);

  test("keeps the very text where nothing has to wait", () => {
    const text = "# dress\nx  a\ny old\nz https://elsewhere\n";
    expect(withoutUnloaded(text, loaded, wanted)).toEqual({ text, deferred: 0 });
  });

  test("leaves out what leads to a backend that is wanted and not loaded", () => {
    expect(withoutUnloaded("x a\ny new;strip\nz new\n", loaded, wanted)).toEqual({ text: "x a\n", deferred: 2 });
  });
});
