import { describe, expect, test } from "@jest/globals";
import { mergeClaims } from "../../../src/routing/merge-claims.ts";
import type { Backend, Claim } from "../../../src/routing/types.ts";
import type { RouteOptions } from "../../../src/settings/options/table.ts";
import { claim } from "../../support/routes.ts";
import { backend, server } from "../render/fixtures.ts";

const backends: ReadonlyMap<string, Backend> = new Map(
  [
    backend("a", [server("a1", "10.0.0.1", 80)]),
    backend("b", [
      server("b1", "10.0.1.1", 81, { weight: 3 }),
      server("b2", "fd00::2", 82),
      server("b3", "10.0.1.3", 83, { weight: 0 }),
    ]),
    backend("c", [server("c1", "10.0.2.1", 80)]),
    backend("none", []),
  ].map((one) => [one.name, one]),
);
const of = (service: string, more: Partial<Claim> = {}) => claim(service, {}, more);
const domain = (service: string, more: Partial<Claim> = {}) =>
  of(service, { origin: { service, kind: "domain", text: "x.service.local" }, ...more });
const merged = (...claims: readonly Claim[]) => {
  const { route, excluded } = mergeClaims(claims, backends);
  const targets = route?.targets.map((target) => {
    const { backend: name, server: its, share } = target;
    return [its === undefined ? name : `${name}/${its}`, Math.round(share * 1_000) / 1_000];
  });
  return { targets, route, excluded, left: excluded.map(({ service, code }) => `${service} ${code}`) };
};

describe("services that want the same route", () => {
  test("share it by their instances", () => {
    const { targets, left } = merged(of("b", { count: 2 }), of("a"));
    expect([targets, left]).toEqual([
      [
        ["a", 0.333],
        ["b", 0.667],
      ],
      [],
    ]);
  });

  test("each with its own way, where that does not concern the route as a whole", () => {
    const { route } = merged(of("a", { options: { strip: "/x" } }), of("c", { options: { prepend: "/y" } }));
    expect(route?.targets.map(({ options }) => options)).toEqual([{ strip: "/x" }, { prepend: "/y" }]);
  });

  test("one without instances takes no part from one that has some, and keeps the route alone", () => {
    expect(merged(of("none", { count: 0, since: 0 }), of("a")).targets).toEqual([["a", 1]]);
    expect(merged(of("none", { count: 0 })).targets).toEqual([["none", 1]]);
    // What is being drained goes before what is not there.
    expect(merged(of("none", { count: 0, since: 0 }), of("a", { count: 0 })).targets).toEqual([["a", 1]]);
  });
});

describe("those who do not go together", () => {
  const guarded = { options: { auth: "staff" } };

  test("the older has it, the other is named with the winner", () => {
    const { targets, excluded } = merged(of("a", { since: 2 }), of("c", { ...guarded, since: 1 }));
    expect(targets).toEqual([["c", 1]]);
    expect(excluded).toMatchObject([{ service: "a", code: "route-conflict" }]);
    expect(excluded[0]?.reason).toContain('belongs to the service "c"');
  });

  test("a higher priority goes before age, names before nothing else", () => {
    expect(merged(of("a", { since: 1 }), of("c", { ...guarded, priority: 1, since: 2 })).targets).toEqual([["c", 1]]);
    expect(merged(of("c", guarded), of("a")).targets).toEqual([["a", 1]]);
  });

  test.each<RouteOptions>([
    { auth: "x" },
    { allow: ["10.0.0.0/8"] },
    { deny: ["10.0.0.0/8"] },
    { redirect: { code: 301, location: "/" } },
    { "https-redirect": 301 },
    { rate: { requests: 1, period: "1s" } },
  ])("%j is the route's as a whole", (options) => {
    expect(merged(of("a"), of("c", { options })).left).toEqual(["c route-conflict"]);
    expect(merged(of("a", { options }), of("c", { options })).left).toEqual([]);
  });

  test("the winner keeps the route though nobody is there: no other service answers for it", () => {
    expect(merged(of("none", { count: 0, since: 0 }), of("a", guarded)).targets).toEqual([["none", 1]]);
  });

  test("instances of one service that differ all serve on, under what the winner says", () => {
    const older = of("b", { carriers: ["b1"], options: { strip: "/x" }, since: 1 });
    const newer = of("b", { carriers: ["b2"], options: { auth: "staff", prepend: "/y" }, since: 2 });
    const { targets, route, left, excluded } = merged(newer, older);
    expect(targets).toEqual([
      ["b/b1", 0.5],
      ["b/b2", 0.5],
    ]);
    expect(route?.targets.map(({ options }) => options)).toEqual([{ strip: "/x" }, { prepend: "/y" }]);
    expect(left).toEqual(["b route-conflict"]);
    expect(excluded[0]?.reason).toContain('no auth is in force, not auth "staff"');
    const stricter = merged({ ...older, options: { auth: "staff" } }, { ...newer, options: {} });
    expect(stricter.route?.targets.map(({ options }) => options.auth)).toEqual(["staff", "staff"]);
  });
});

describe("the name of a service", () => {
  test("is its own: nobody else has a part of it", () => {
    const { targets, excluded } = merged(of("a", { since: 0, priority: 9 }), domain("c"));
    expect(targets).toEqual([["c", 1]]);
    expect(excluded).toMatchObject([{ service: "a", code: "route-conflict" }]);
  });

  test("goes to the one that is written in small letters", () => {
    const big = domain("a", { origin: { service: "WEB", kind: "domain", text: "" }, since: 0 });
    const small = domain("c", { origin: { service: "web", kind: "domain", text: "" } });
    const { targets, excluded } = merged(big, small);
    expect(targets).toEqual([["c", 1]]);
    expect(excluded).toMatchObject([{ service: "WEB", code: "name-conflict" }]);
    expect(excluded[0]?.reason).toContain("a.example.com leads to backend c");
  });
});

describe("some servers of a service", () => {
  test("are named, by their weights; those that drain are not", () => {
    expect(merged(of("b", { carriers: ["b1", "b2", "b3"], count: 2 })).targets).toEqual([
      ["b/b1", 0.75],
      ["b/b2", 0.25],
    ]);
    expect(merged(of("b", { carriers: ["b3"], count: 0 })).targets).toEqual([["b/b3", 1]]);
  });

  test("get their own address as Host where that is asked for", () => {
    const { route } = merged(of("b", { options: { "host-header": "dst" }, count: 2 }));
    expect(route?.targets.map(({ options }) => options["host-header"])).toEqual(["10.0.1.1:81", "[fd00::2]:82"]);
    expect(merged(of("none", { options: { "host-header": "dst" }, count: 0 })).route?.targets).toMatchObject([
      { options: {} },
    ]);
  });

  test("are the sides of a share that sticks, whatever its weight is", () => {
    const sides = (part: number) => {
      const canary = of("b", { carriers: ["b2"], share: { part, of: "together" }, sticky: true });
      return merged(of("b", { carriers: ["b1"], sticky: true }), canary).route;
    };
    expect(sides(0.1)?.sticky).toBe(true);
    const [stable, canary] = sides(0.1)?.targets ?? [];
    expect(stable?.side).toMatch(/^[0-9a-f]{8}$/);
    expect(canary?.side).not.toBe(stable?.side);
    expect(sides(0.2)?.targets.map(({ side }) => side)).toEqual([stable?.side, canary?.side]);
    expect(merged(of("a", { sticky: true })).route).toMatchObject({ sticky: false });
  });
});
