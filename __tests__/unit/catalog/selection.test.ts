import { expect, test } from "@jest/globals";
import { shareConnections } from "../../../src/catalog/budget.ts";
import {
  exposedMetaKeys,
  isOddName,
  metaListRequest,
  namesByMeta,
  normaliseList,
  sameList,
  selectNames,
} from "../../../src/catalog/selection.ts";

const list = normaliseList(
  {
    zeta: ["haproxy.enable=true"],
    consul: ["haproxy.enable=true"],
    fabio: ["x", "urlprefix-/a"],
    meta: [],
    plain: ["haproxyish", "http"],
    bare: null,
    "": ["haproxy.enable=true"],
  },
  "urlprefix-",
);

test("tagged selects by tag and by meta, sorted, and never Consul itself", () => {
  expect(selectNames(list, new Set(["meta", "unlisted"]), "tagged")).toEqual(["fabio", "meta", "zeta"]);
});

test("all selects everything but Consul itself", () => {
  expect(selectNames(list, new Set(), "all")).toEqual(["bare", "fabio", "meta", "plain", "zeta"]);
});

test("the order of tags says nothing; what they select does", () => {
  const one = normaliseList({ a: ["x", "haproxy.enable=true"], b: [] }, "urlprefix-");
  expect(sameList(one, normaliseList({ b: null, a: ["haproxy.enable=true", "x"] }, "urlprefix-"))).toBe(true);
  expect(sameList(one, normaliseList({ a: ["x"], b: [] }, "urlprefix-"))).toBe(false);
  expect(sameList(one, normaliseList({ a: ["haproxy.enable=true"] }, "urlprefix-"))).toBe(false);
});

test("the list by meta asks for every key, and one that holds Consul was not filtered", () => {
  for (const key of exposedMetaKeys) expect(metaListRequest.query?.["filter"]).toContain(`"${key}" in ServiceMeta`);
  expect(namesByMeta({ a: [] })).toEqual(new Set(["a"]));
  expect(namesByMeta({ a: [], consul: [] })).toBeUndefined();
});

test.each([
  ["web", false],
  ["web-1.x_y", false],
  ["..", true],
  ["a/b", true],
  ["x\ny", true],
  ["w\u0435b", true],
  ["x".repeat(256), true],
])("%j is an odd name: %s", (name, odd) => {
  expect(isOddName(name)).toBe(odd);
});

test.each([
  ["auto", undefined, 180, "default"],
  ["auto", 200, 180, "agent"],
  ["auto", 1_220, 1_200, "agent"],
  ["auto", 30, 15, "agent"],
  ["auto", 0, 10_000, "agent"],
  [500, 200, 491, "setting"],
  [2, undefined, 1, "setting"],
] as const)(
  "connections %s with an agent's limit of %s give %d watches by the %s",
  (setting, limit, watches, source) => {
    expect(shareConnections(setting, limit)).toMatchObject({ watches, source });
  },
);

test.each([
  ["auto", 200],
  ["auto", 30],
  [100, undefined],
  [2, undefined],
] as const)("connections %s with an agent's limit of %s: short reads find room too", (setting, limit) => {
  const { watches, reads } = shareConnections(setting, limit);
  expect(reads).toBeGreaterThan(0);
  expect(watches + reads).toBeLessThanOrEqual(setting === "auto" ? limit : setting);
});
