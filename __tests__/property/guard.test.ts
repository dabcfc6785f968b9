import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { CatalogService, Instance } from "../../src/catalog/types.ts";
import { accept, holdKey } from "../../src/guard/accept.ts";
import type { Accepted } from "../../src/guard/types.ts";
import { byKey, instance, service } from "../unit/routing/fixtures.ts";

const policy = { windowMs: 30, holdForMs: 100, rememberMs: 300 };
const names = ["web", "api", "db"];

const health = fc.constantFrom("passing" as const, "warning" as const, "critical" as const, "maintenance" as const);
/** Few nodes and addresses, so that instances come back, move, and meet each other's addresses. */
const found = (name: string) =>
  fc
    .record({ number: fc.nat({ max: 3 }), at: fc.nat({ max: 4 }), health })
    .map((one) => instance(name, one.number, { address: `10.0.0.${one.at}`, health: one.health }));
const listed = (name: string): fc.Arbitrary<readonly CatalogService[]> =>
  fc.oneof(
    fc.constant([]),
    fc.uniqueArray(found(name), { maxLength: 4, selector: ({ id }) => id }).map((all) => [service(name, all)]),
  );
const step = fc.record({
  services: fc.tuple(...names.map(listed)).map((all) => byKey(all.flat())),
  unselected: fc.subarray(names).map((some) => new Set(some.map((name) => `dc1////${name}`))),
  unwatched: fc.subarray(names).map((some) => new Set(some.map((name) => `dc1////${name}`))),
  afterMs: fc.constantFrom(0, 1, 50, 100, 400, -200),
  dead: fc.subarray([0, 1, 2, 3, 4]),
});

const serves = ({ health: is }: Instance) => is === "passing" || is === "warning";
const serving = (one: CatalogService | undefined) => one?.instances.filter(serves) ?? [];

test("through any history: nothing is invented, nothing is lost in a fall to zero, nothing is held for ever", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
      let before: Accepted | undefined;
      let now = 10_000;
      for (const { services, unselected, unwatched, afterMs, dead } of steps) {
        now += afterMs;
        const probes = new Map(
          (before?.holds ?? []).map(({ service: key, instance: one }) => [
            holdKey(key, one),
            !dead.some((at) => one.address === `10.0.0.${at}`),
          ]),
        );
        const chosen = new Set([...unselected].filter((key) => !services.has(key)));
        const unknown = new Set([...unwatched].filter((key) => !services.has(key) && !chosen.has(key)));
        const next = {
          services,
          unselected: chosen,
          unwatched: unknown,
          departed: new Set<string>(),
          sequence: 1,
          takenAt: now,
          answeredAt: now,
        };
        const after = accept(before, next, probes, policy, now);
        const held = new Set(after.holds.map(({ instance: one }) => one));

        const heldBefore = new Set(before?.holds.map(({ instance: each }) => each));
        for (const [key, one] of after.services) {
          if (unknown.has(key)) {
            const kept = before?.services.get(key)?.instances.filter((each) => held.has(each) || !heldBefore.has(each));
            expect(one.instances).toEqual(kept);
            continue;
          }
          const known = new Set([
            ...(services.get(key)?.instances ?? []),
            ...(before?.services.get(key)?.instances ?? []),
          ]);
          for (const each of one.instances) expect(known.has(each)).toBe(true);
          // All that is listed is there, in its order of node and id, each place once.
          for (const each of services.get(key)?.instances ?? []) expect(one.instances).toContain(each);
          const own = one.instances.filter((each) => held.has(each));
          expect(one.instances).toHaveLength((services.get(key)?.instances.length ?? 0) + own.length);
          expect(after.emptySince.has(key)).toBe(one.instances.length === 0);
        }
        for (const key of services.keys()) expect(after.services.has(key)).toBe(true);
        for (const key of chosen) expect(after.services.has(key)).toBe(false);

        for (const hold of after.holds) {
          expect(serves(hold.instance)).toBe(true);
          expect(after.services.get(hold.service)?.instances).toContain(hold.instance);
          expect(now - hold.since).toBeLessThan(policy.holdForMs);
          expect(hold.since).toBeLessThanOrEqual(now);
          expect(probes.get(holdKey(hold.service, hold.instance))).not.toBe(false);
          const { address, id } = hold.instance;
          for (const other of services.get(hold.service)?.instances ?? []) {
            expect([other.id === id, other.address === address]).toEqual([false, false]);
          }
        }
        for (const [key, one] of before?.services ?? []) {
          if (unknown.has(key)) expect(after.services.has(key)).toBe(true);
          if (chosen.has(key) || unknown.has(key)) continue;
          const fell = serving(services.get(key)).length === 0;
          const lost = serving(one).filter((each) => !heldBefore.has(each));
          const places = (all: readonly Instance[]) => all.flatMap(({ id, address }) => [id, address]);
          const taken = new Set(
            [...services].flatMap(([other, { instances }]) =>
              other === key ? places(instances) : instances.map(({ address }) => address),
            ),
          );
          for (const each of fell ? lost : []) {
            if (taken.has(each.id) || taken.has(each.address)) continue;
            expect(held.has(each)).toBe(true);
          }
        }
        expect(accept(after, next, new Map(), policy, now)).toEqual(after);
        before = after;
      }
    }),
  );
});

test("where no service falls to zero, what is listed is what is accepted, to the very object", () => {
  const alive = (name: string) =>
    fc
      .uniqueArray(found(name), { minLength: 1, maxLength: 4, selector: ({ id }) => id })
      .map(([first, ...more]) => service(name, [{ ...(first as Instance), health: "passing" as const }, ...more]));
  const all = fc.tuple(...names.map(alive)).map((list) => byKey(list));
  fc.assert(
    fc.property(fc.array(all, { maxLength: 6 }), (states) => {
      let before: Accepted | undefined;
      for (const services of states) {
        before = accept(
          before,
          {
            services,
            unselected: new Set(),
            unwatched: new Set(),
            departed: new Set(),
            sequence: 1,
            takenAt: 0,
            answeredAt: 0,
          },
          new Map(),
          policy,
          1,
        );
        expect(before.holds).toEqual([]);
        expect([...before.services.keys()]).toEqual([...services.keys()]);
        for (const [key, one] of before.services) expect(one).toBe(services.get(key));
      }
    }),
  );
});
