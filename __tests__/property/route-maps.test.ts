import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { routeMaps } from "../../src/routing/map-rows.ts";
import { matchRequest } from "../../src/routing/match.ts";
import { createMerger } from "../../src/routing/merged-routes.ts";
import { shareRows, stepsOf } from "../../src/routing/shares.ts";
import type { Claim, MapRow } from "../../src/routing/types.ts";
import { lookUp, mapBeg } from "../support/map-lookup.ts";
import { claimedBackends, randomClaim, randomRequest } from "../support/random-claims.ts";

const claims = fc.array(randomClaim, { maxLength: 12 });
const manyClaims = fc.array(randomClaim, { minLength: 6, maxLength: 24 });

test("the maps lead each request where the routes do, in the parts they say", () => {
  let found = 0;
  fc.assert(
    fc.property(manyClaims, fc.array(randomRequest, { minLength: 5, maxLength: 10 }), (wanted, requests) => {
      const { routes } = createMerger()([wanted], claimedBackends);
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
    { numRuns: 300 },
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
      const { routes } = createMerger()([wanted], claimedBackends);
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
        const first = merge([wanted], claimedBackends);
        const again = merge([JSON.parse(JSON.stringify(wanted)) as Claim[]], claimedBackends);
        expect(again.routes).toBe(first.routes);
        expect(createMerger()([shuffled], claimedBackends).routes).toEqual(first.routes);
        const said = (list: typeof first.excluded) => list.map((one) => JSON.stringify(one)).sort();
        expect(said(createMerger()([shuffled], claimedBackends).excluded)).toEqual(said(first.excluded));
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
