import { describe, expect, test } from "@jest/globals";
import type { Instance } from "../../../../src/catalog/types.ts";
import { createRouter } from "../../../../src/routing/route.ts";
import { byKey, instance, nobody, routed, service, settings } from "../fixtures.ts";

function tagged(name: string, number: number, ...tags: readonly string[]): Instance {
  return instance(name, number, { tags });
}

describe("routes of Fabio's tags", () => {
  test("stay the very same objects when an instance joins that brings no new one", () => {
    const route = createRouter();
    const tags = [
      "urlprefix-/a strip=/a",
      "urlprefix-*.a.com/",
      "urlprefix-:5432 proto=tcp",
      "urlprefix-/b register=b",
    ];
    const given = settings();
    const one = tagged("web", 1, ...tags);
    const before = route(byKey([service("web", [one])]), given, nobody);
    const after = route(byKey([service("web", [one, tagged("web", 2, ...tags)])]), given, nobody);
    expect(after.backends).not.toBe(before.backends);
    expect(after.routes).toBe(before.routes);
    expect(after.maps).toBe(before.maps);
    expect(after.listeners).toBe(before.listeners);
    expect(after.registers).toEqual(["b"]);
  });

  test("stay while a deploy replaces one form of a tag by another", () => {
    const route = createRouter();
    const given = settings();
    const old = [1, 2].map((number) => tagged("web", number, "urlprefix-/a"));
    const fresh = [3, 4].map((number) => tagged("web", number, "urlprefix-/a strip=/a"));
    const steps = [old, [...old, ...fresh.slice(0, 1)], [...old.slice(1), ...fresh], fresh];
    for (const instances of steps) {
      const { routes, excluded } = route(byKey([service("web", instances)]), given, nobody);
      expect([routes.map(({ path }) => path), excluded]).toEqual([["/a"], []]);
      const share = routes[0]?.targets.reduce((sum, target) => sum + target.share, 0);
      expect(share).toBeCloseTo(1);
    }
  });

  test("a service that says nothing but Fabio's tags is reached by them alone", () => {
    const { routes } = routed([service("web", [tagged("web", 1, "urlprefix-/a")])]);
    expect(routes.map(({ host, path }) => host + path)).toEqual(["/a"]);
  });

  test("one bad tag costs itself only, whatever it holds", () => {
    const bad = [
      "urlprefix-",
      "urlprefix-[",
      "urlprefix-/x weight=x",
      "urlprefix-/x\nserver evil 10.6.6.6:80",
      "urlprefix-/x redirect=301,https://a.com/\u0000",
      "urlprefix-:0 proto=tcp",
      'urlprefix-/"x" host="y"',
      "urlprefix-ü.com/",
    ];
    const { routes, excluded, maps } = routed([service("web", [tagged("web", 1, "urlprefix-/good", ...bad)])]);
    expect(routes.map(({ path }) => path)).toEqual(["/good"]);
    const named = excluded.filter(({ code }) => code === "option-unusable").map(({ reason }) => reason);
    expect(named).toHaveLength(bad.length);
    expect(JSON.stringify(maps)).not.toContain("evil");
  });
});
