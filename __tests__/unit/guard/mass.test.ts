import { describe, expect, test } from "@jest/globals";
import type { CatalogService } from "../../../src/catalog/types.ts";
import { service } from "../routing/fixtures.ts";
import { cutOff, fleet, policy, probe, some, start, story } from "./story.ts";

const names = ["a", "b", "c", "d"];

/** Services `a` to `d`, of which each has so many instances. */
const catalog = (...counts: readonly number[]): readonly CatalogService[] =>
  names.map((name, at) => service(name, some(name, counts[at] ?? 0)));

/** The same, as the object that stood before where nothing changed. */
function steps() {
  const told = story();
  let known = catalog(4, 4, 4, 4);
  told.see(known);
  return {
    ...told,
    to(counts: readonly number[], given: Parameters<typeof told.see>[1] = {}) {
      const next = catalog(...counts);
      known = known.map((one, at) => (one.instances.length === counts[at] ? one : (next[at] as CatalogService)));
      return told.see(known, given);
    },
  };
}

describe("more than half of the catalog lost within the window", () => {
  test("in one snapshot: all of it is held", () => {
    const { to, causes } = steps();
    to([1, 1, 1, 4], { at: start + 1 });
    const lost = ["a", "b", "c"].flatMap((name) => [2, 3, 4].map((at) => `${name}-${at} mass`));
    expect(causes()).toEqual(lost);
  });

  test("half is not more than half", () => {
    const { to, causes, suspects } = steps();
    const { services } = to([2, 2, 2, 2], { at: start + 1 });
    expect(causes()).toEqual([]);
    expect(suspects()).toEqual([]);
    expect([...services.values()].map(({ instances }) => instances.length)).toEqual([2, 2, 2, 2]);
  });

  test("service after service: the last one is held, those before are asked, and held where they live", () => {
    const { to, causes, suspects, state } = steps();
    to([1, 4, 4, 4], { at: start + 1_000 });
    to([1, 1, 4, 4], { at: start + 2_000 });
    expect([causes(), suspects()]).toEqual([[], []]);
    to([1, 1, 1, 4], { at: start + 3_000 });
    expect(state().held).toEqual(["c-2", "c-3", "c-4"]);
    expect(suspects()).toEqual(["a-2", "a-3", "a-4", "b-2", "b-3", "b-4"]);
    const probes = new Map([...probe(true, ...some("a", 4)), ...probe(false, ...some("b", 4))]);
    to([1, 1, 1, 4], { at: start + 3_100, probes });
    expect(causes()).toEqual(["a", "c"].flatMap((name) => [2, 3, 4].map((at) => `${name}-${at} mass`)));
    expect(suspects()).toEqual([]);
  });

  test("spread over more than the window it is no mass loss", () => {
    const { to, causes, suspects } = steps();
    to([1, 4, 4, 4], { at: start });
    to([1, 1, 4, 4], { at: start + policy.windowMs / 2 });
    to([1, 1, 1, 4], { at: start + policy.windowMs });
    expect([causes(), suspects()]).toEqual([[], []]);
  });

  test("replaced one for one it is none either", () => {
    const { see, causes } = story();
    see(names.map((name) => service(name, some(name, 4))));
    see(
      names.map((name) =>
        service(
          name,
          some(name, 4, { port: 9 }).map((one) => ({ ...one, id: `${one.id}-new` })),
        ),
      ),
    );
    expect(causes()).toEqual([]);
  });

  test("a service that falls to zero meanwhile is held as such", () => {
    const { to, causes } = steps();
    to([0, 1, 1, 4], { at: start + 1 });
    expect(causes()?.filter((one) => one.startsWith("a"))).toEqual(["a-1 zero", "a-2 zero", "a-3 zero", "a-4 zero"]);
    expect(causes()).toContain("b-2 mass");
  });

  test("what is held goes on being held when the window is over", () => {
    const { to, state } = steps();
    to([1, 1, 1, 4], { at: start + 1 });
    to([1, 1, 1, 4], { at: start + policy.windowMs + 1 });
    expect(state().held).toHaveLength(9);
    to([1, 1, 1, 4], { at: start + policy.holdForMs + 1 });
    expect(state().held).toEqual([]);
  });

  test("known dead, they go on counting, and nobody is asked again", () => {
    const { to, causes, suspects } = steps();
    to([1, 1, 1, 4], { at: start + 1 });
    const dead = new Map(["a", "b", "c"].flatMap((name) => [...probe(false, ...some(name, 4))]));
    to([1, 1, 1, 4], { at: start + 2, probes: dead });
    expect([causes(), suspects()]).toEqual([[], []]);
    to([1, 1, 1, 3], { at: start + 3 });
    expect([causes(), suspects()]).toEqual([["d-4 mass"], []]);
    to([1, 1, 1, 2], { at: start + policy.windowMs + 1 });
    expect([causes(), suspects()]).toEqual([["d-4 mass"], []]);
  });
});

describe("one service alone", () => {
  test("that is scaled down is believed, whatever share of the catalog it is", () => {
    const { see, state, suspects } = story();
    see([service("web", fleet(1, 2, 3, 4, 5)), service("api", some("api", 1))]);
    see([service("web", fleet(1, 2)), service("api", some("api", 1))], { at: start + 1 });
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: [] });
    see([service("web", fleet(1)), service("api", some("api", 1))], { at: start + 2 });
    expect([state().held, suspects()]).toEqual([[], []]);
  });

  test("whose nodes are cut off counts", () => {
    const { see, causes, health } = story();
    see([service("web", fleet(1, 2, 3, 4, 5))]);
    const cut = fleet(1, 2, 3).map((one) => ({ ...one, ...cutOff }));
    see([service("web", [...cut, ...fleet(4, 5)])], { at: start + 1 });
    expect(causes()).toEqual(["web-1 mass", "web-2 mass", "web-3 mass"]);
    expect(health()).toEqual([1, 2, 3, 4, 5].map((at) => `web-${at} passing`));
  });

  test("what it lost by being scaled down is not held along with those", () => {
    const { see, causes } = story();
    see([service("web", fleet(1, 2, 3, 4, 5, 6, 7))]);
    const cut = fleet(1, 2, 3).map((one) => ({ ...one, ...cutOff }));
    see([service("web", [...cut, ...fleet(4, 5)])], { at: start + 1 });
    expect(causes()).toEqual(["web-1 mass", "web-2 mass", "web-3 mass"]);
  });
});

test("two instances are no mass, however small the catalog", () => {
  const { see, state } = story();
  see([service("a", some("a", 2)), service("web", fleet(1, 2))].map((one) => one));
  see([service("a", some("a", 1)), service("web", fleet(1))], { at: start + 1 });
  expect(state().held).toEqual([]);
});

test("a service that is not selected any more is not lost", () => {
  const { see, causes, suspects } = story();
  see(names.map((name) => service(name, some(name, 4))));
  see([service("d", some("d", 4))], { at: start + 1, unselected: ["dc1////a", "dc1////b", "dc1////c"] });
  expect([causes(), suspects()]).toEqual([[], []]);
});

test("nodes that left in good order take theirs with them", () => {
  const { see, causes } = story();
  see(names.map((name) => service(name, some(name, 4))));
  see(
    names.map((name) => service(name, some(name, 1))),
    { departed: ["node-2", "node-3", "node-4"] },
  );
  expect(causes()).toEqual([]);
});
