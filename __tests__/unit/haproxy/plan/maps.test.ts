import { describe, expect, test } from "@jest/globals";
import { mapTargets } from "../../../../src/haproxy/plan/map-targets.ts";
import { backendOf, inOrderOf, mapEntries, mapText, sameEntries } from "../../../../src/haproxy/plan/maps.ts";

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

test("sameEntries: dress does not count; order does where entries are tried in it, else the first of a key", () => {
  for (const ordered of [true, false]) {
    expect(sameEntries("a b\n", "# c\n a\tb \r\n", ordered)).toBe(true);
    expect(sameEntries("a b\n", "a b c\n", ordered)).toBe(false);
    expect(sameEntries("a b\n", "a b\nc d\n", ordered)).toBe(false);
    expect(sameEntries("a b\na c\n", "a c\na b\n", ordered)).toBe(false);
    expect(sameEntries("a b\nc d\n", "c d\na b\n", ordered)).toBe(!ordered);
    expect(sameEntries("a b\na c\n", "a b\n", ordered)).toBe(!ordered);
  }
});

test("inOrderOf", () => {
  const maps = new Map(["b", "x", "a"].map((file) => [file, `${file}\n`]));
  expect([
    ...inOrderOf(
      new Map([
        ["a", 1],
        ["c", 2],
        ["b", 3],
      ]),
      maps,
    ),
  ]).toEqual([
    ["a", "a\n"],
    ["b", "b\n"],
    ["x", "x\n"],
  ]);
});

test.each([
  ["web", "web"],
  ["web;strip=/a", "web"],
  ["a.b_c:d-e opt", "a.b_c:d-e"],
  ["", ""],
  ["/redirect", ""],
  ["web|/strip||", "web"],
  ["foo*.example.com", ""],
  ["foo.example.[ab]", ""],
])("the backend of the value %j is %j", (value, backend) => {
  expect(backendOf(value)).toBe(backend);
});

describe("mapTargets", () => {
  const pools = { loaded: new Set(["a", "old"]), wanted: new Set(["a", "new"]) };
  const targets = (wanted: Readonly<Record<string, string>>, now: Readonly<Record<string, string>> = {}) =>
    Object.fromEntries(mapTargets(new Map(Object.entries(wanted)), new Map(Object.entries(now)), pools));

  test("keeps the very text where nothing has to wait", () => {
    const text = "# dress\nx  a\ny old\nz https://elsewhere\n";
    expect(targets({ m: text })).toEqual({ m: text });
  });

  test("a key that is new and leads to a backend that is wanted and not loaded has to wait", () => {
    expect(targets({ m: "x a\ny new;strip\nz new\n" })).toEqual({ m: "x a\n" });
  });

  test("one that is there keeps its value, and all in the maps before it that the value may refer to", () => {
    expect(
      targets(
        { ids: "2 two\n", more: "4 four\n", routes: "x new|2\ny a\n", hosts: "h g\n" },
        { ids: "1 one\n", more: "3 three\n", routes: "x old|1\nz a\n", hosts: "g g\n" },
      ),
    ).toEqual({ ids: "2 two\n1 one\n", more: "4 four\n3 three\n", routes: "x old|1\ny a\n", hosts: "h g\n" });
  });

  test("nothing is kept that leads to what is not there", () => {
    const there = { loaded: new Set(["a"]), wanted: new Set(["a", "new", "other"]) };
    const now = new Map([["m", "x other\n"]]);
    expect(mapTargets(new Map([["m", "x new\n"]]), now, there).get("m")).toBe("");
  });
});
