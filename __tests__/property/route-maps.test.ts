import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { routeMaps } from "../../src/routing/map-rows.ts";
import { type HttpRequest, matchRequest } from "../../src/routing/match.ts";
import { createMerger } from "../../src/routing/merged-routes.ts";
import { shareRows, stepsOf } from "../../src/routing/shares.ts";
import type { Backend, Claim, Condition, MapRow } from "../../src/routing/types.ts";
import { lookUp, mapBeg } from "../support/map-lookup.ts";
import { backend, server } from "../unit/render/fixtures.ts";

const hosts = ["", "a.x", "b.a.x", "c.b.a.x", "x", "*.x", "*.a.x", "*", "{a,c.b}.*", "?.x", "b.*"];
const paths = ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/a/b/"];
const conditions: readonly (readonly Condition[])[] = [
  [],
  [],
  [],
  [{ on: "header", name: "x-a", is: "present" }],
  [{ on: "header", name: "x-a", is: "equal", value: "1 (2)" }],
  [{ on: "header", name: "x-a", is: "like", value: "^1|3$" }],
  [
    { on: "cookie", name: "c", value: "1" },
    { on: "header", name: "x-b", is: "like", value: "[^a]\\s?b." },
  ],
];
const backends: ReadonlyMap<string, Backend> = new Map(
  ["one", "two", "three", "none"].map((name, index) => {
    const servers = ["s1", "s2", "s3"].slice(0, name === "none" ? 0 : index + 1);
    return [
      name,
      backend(
        name,
        servers.map((one, at) => server(one, `10.0.0.${at + 1}`, 80, { weight: at * 3 })),
      ),
    ];
  }),
);

const claim: fc.Arbitrary<Claim> = fc
  .record({
    listen: fc.constantFrom(undefined, undefined, undefined, 8081),
    host: fc.constantFrom(...hosts),
    hostPort: fc.constantFrom(undefined, undefined, undefined, 80, 81),
    path: fc.constantFrom(...paths),
    match: fc.constantFrom("prefix", "segments", "exact"),
    methods: fc.constantFrom([], [], ["GET"], ["POST", "PUT"]),
    conditions: fc.constantFrom(...conditions),
    strip: fc.constantFrom(undefined, "/a"),
    guard: fc.constantFrom(undefined, undefined, { auth: "staff" }, { allow: ["10.0.0.0/9"] }, { deny: ["::/0"] }),
    dst: fc.boolean(),
    priority: fc.integer({ min: 0, max: 2 }),
    since: fc.integer({ min: 0, max: 3 }),
    name: fc.constantFrom(...backends.keys()),
    some: fc.constantFrom<"all" | readonly string[]>("all", "all", ["s1"], ["s1", "s2"]),
    share: fc.constantFrom(
      undefined,
      undefined,
      { part: 0.1, of: "each" } as const,
      { part: 0.3, of: "together" } as const,
    ),
    sticky: fc.boolean(),
    kind: fc.constantFrom("tag", "tag", "fabio", "domain"),
  })
  .map(({ listen, hostPort, strip, guard, dst, name, some, share, kind, ...rest }) => {
    const { host, path, match, methods, conditions: asked, priority, since, sticky } = rest;
    const carriers = name === "none" ? "all" : some;
    const all = backends.get(name)?.servers.length ?? 0;
    return {
      pattern: {
        host,
        path,
        match,
        methods,
        conditions: asked,
        ...(listen !== undefined && { listen }),
        ...(hostPort !== undefined && { hostPort }),
      },
      options: { ...(strip !== undefined && { strip }), ...(dst && { "host-header": "dst" }), ...guard },
      priority,
      backend: name,
      carriers,
      count: carriers === "all" ? all : carriers.length,
      ...(share !== undefined && { share }),
      sticky,
      since,
      origin: { service: name, kind, text: `${host}${path}` },
    } as Claim;
  });

const request: fc.Arbitrary<HttpRequest> = fc
  .record({
    listen: fc.constantFrom(undefined, undefined, 8081, 8082),
    host: fc.constantFrom("", "a.x", "A.X.", "a.x:81", "b.a.x", "b.a.x:80", "c.b.a.x", "z.b.a.x:81", "x", "q.y", "b.q"),
    tls: fc.boolean(),
    path: fc.constantFrom(...paths, "/a%2fb", "//a/./b", "/a;b/c", "/a/b?c", "/%3F", "/z", "/ab/c"),
    method: fc.constantFrom("GET", "POST", "HEAD"),
    headers: fc.constantFrom(
      {},
      { "x-a": "1 (2)" },
      { "x-a": "23" },
      { cookie: "b=2; c=1", "x-b": "b bc" },
      { "x-a": "" },
    ),
    client: fc.constantFrom("10.0.0.1", "10.200.0.1", "::1"),
  })
  .map(({ listen, ...rest }) => (listen === undefined ? rest : { ...rest, listen }));

const claims = fc.array(claim, { maxLength: 12 });
const manyClaims = fc.array(claim, { minLength: 6, maxLength: 24 });

test("the maps lead each request where the routes do, in the parts they say", () => {
  let found = 0;
  fc.assert(
    fc.property(manyClaims, fc.array(request, { minLength: 5, maxLength: 10 }), (wanted, requests) => {
      const { routes } = createMerger()(wanted, backends);
      const maps = routeMaps(routes);
      for (const one of requests) {
        const match = matchRequest({ routes }, one);
        if (match.kind !== "route") {
          expect(lookUp(maps, one)).toBeUndefined();
          continue;
        }
        found += 1;
        const { targets } = match.route;
        const known = targets.map((target) => said(target.backend, target.server, target.options));
        for (const number of [10_000, 12_345, 14_999, 15_000, 17_777, 19_999]) {
          const { backend: name, server: its, strip, host } = lookUp(maps, one, number) ?? {};
          expect(known).toContain(said(name, its, { strip, "host-header": host }));
        }
        for (const { side } of targets) {
          if (side !== undefined) expect(lookUp(maps, one, 10_000, side)).toMatchObject({ side });
        }
      }
    }),
    { numRuns: Number(process.env["ROUTE_RUNS"] ?? 300) },
  );
  // Requests that find nothing would show nothing.
  expect(found).toBeGreaterThan(100);
});

function said(name: string | undefined, its: string | undefined, options: Readonly<Record<string, unknown>>): string {
  return JSON.stringify([name, its, options["strip"], options["host-header"]]);
}

test("no list has a row twice, and no row what a map cannot carry", () => {
  fc.assert(
    fc.property(claims, (wanted) => {
      const { routes } = createMerger()(wanted, backends);
      for (const rows of Object.values(routeMaps(routes)) as readonly (readonly MapRow[])[]) {
        expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
        for (const { key, value } of rows) {
          expect(key).toMatch(/^[!-~]+$/);
          expect(value).toMatch(/^[!-~]([ -~]*[!-~])?$/);
        }
      }
    }),
  );
});

test("the order of claims does not matter, and what says the same keeps its identity", () => {
  fc.assert(
    fc.property(
      claims.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
      ([wanted, shuffled]) => {
        const merge = createMerger();
        const first = merge(wanted, backends);
        const again = merge(JSON.parse(JSON.stringify(wanted)) as Claim[], backends);
        expect(again.routes).toBe(first.routes);
        expect(createMerger()(shuffled, backends).routes).toEqual(first.routes);
        const said = (list: typeof first.excluded) => list.map((one) => JSON.stringify(one)).sort();
        expect(said(createMerger()(shuffled, backends).excluded)).toEqual(said(first.excluded));
      },
    ),
  );
});

test("parts of a share make out exactly 10,000 numbers, each less than one off", () => {
  const shares = fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(shares, (parts) => {
      const sum = parts.reduce((all, part) => all + part, 0);
      const counts = stepsOf(parts);
      expect(counts.reduce((all, count) => all + count, 0)).toBe(10_000);
      for (const [at, part] of parts.entries()) {
        expect(Math.abs((counts[at] ?? 0) - (part / sum) * 10_000)).toBeLessThan(1 + 1e-6);
      }
      const { id, rows } = shareRows(parts.map((share, at) => ({ share, value: `b${at}` })));
      const drawn = new Map<string, number>();
      for (let number = 10_000; number < 20_000; number += 1) {
        const value = mapBeg(rows, `${id}/${number}`) ?? "nothing";
        drawn.set(value, (drawn.get(value) ?? 0) + 1);
      }
      expect(parts.map((_, at) => drawn.get(`b${at}`) ?? 0)).toEqual(counts);
      expect(rows.length).toBeLessThan(parts.length * 40);
    }),
    { numRuns: 12 },
  );
});
