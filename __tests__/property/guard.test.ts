import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { CatalogService, Instance, Snapshot } from "../../src/catalog/types.ts";
import { accept, judge } from "../../src/guard/accept.ts";
import { holdKey } from "../../src/guard/instances.ts";
import type { Accepted, Loss } from "../../src/guard/types.ts";
import { byKey, instance, service } from "../unit/routing/fixtures.ts";

const policy = { windowMs: 60, holdForMs: 100, rememberMs: 300 };
const names = ["web", "api", "db"];
const keyOf = (name: string) => `dc1////${name}`;

const state = fc.constantFrom<Partial<Instance>[]>(
  { health: "passing" },
  { health: "passing" },
  { health: "warning" },
  { health: "critical" },
  { health: "maintenance" },
  { health: "critical", nodeCritical: true },
);
/** Few nodes and addresses, so that instances come back, move, and meet each other's addresses. */
const found = (name: string) =>
  fc
    .record({ number: fc.nat({ max: 3 }), at: fc.nat({ max: 4 }), moves: fc.boolean(), is: state })
    .map(({ number, at, moves, is }) => instance(name, number, { address: `10.0.0.${moves ? at : number}`, ...is }));
const listed = (name: string): fc.Arbitrary<readonly CatalogService[]> =>
  fc.oneof(
    fc.constant([]),
    fc.uniqueArray(found(name), { maxLength: 4, selector: ({ id }) => id }).map((all) => [service(name, all)]),
  );
const some = fc.subarray(names).map((chosen) => new Set(chosen.map(keyOf)));
const step = fc.record({
  services: fc.tuple(...names.map(listed)).map((all) => byKey(all.flat())),
  unselected: fc.oneof({ weight: 3, arbitrary: fc.constant(new Set<string>()) }, { weight: 1, arbitrary: some }),
  unwatched: fc.oneof({ weight: 3, arbitrary: fc.constant(new Set<string>()) }, { weight: 1, arbitrary: some }),
  departed: fc.oneof(
    { weight: 4, arbitrary: fc.constant(new Set<string>()) },
    { weight: 1, arbitrary: fc.subarray(["node-0", "node-1"]).map((all) => new Set(all)) },
  ),
  afterMs: fc.constantFrom(0, 1, 10, 50, 100, 400, -200),
  dead: fc.subarray([0, 1, 2, 3, 4]),
});

const serves = ({ health: is }: Instance) => is === "passing" || is === "warning";
const placeOf = ({ address, port }: Instance) => `${address} ${port}`;
const nameOf = ({ service: key, instance: one }: Pick<Loss, "service" | "instance">) => holdKey(key, one);
const sorted = (all: readonly Pick<Loss, "service" | "instance">[]) =>
  all.map(({ service: key, instance: { node, id } }) => [key, node, id].join("\0"));

function snapshotOf(given: Partial<Snapshot> & Pick<Snapshot, "services">): Snapshot {
  return {
    unselected: new Set(),
    unwatched: new Set(),
    departed: new Set(),
    sequence: 1,
    takenAt: 0,
    answeredAt: 0,
    ...given,
  };
}

/** Who stood where in no service before, by place. */
function claims(before: Accepted | undefined, next: Snapshot): ReadonlySet<string> {
  const places = new Set<string>();
  for (const [key, { instances }] of next.services) {
    const known = new Set(before?.services.get(key)?.instances.map(placeOf));
    for (const one of instances) if (!known.has(placeOf(one))) places.add(placeOf(one));
  }
  return places;
}

test("through any history: nothing is invented, nothing is lost in a fall to zero, nothing is held for ever", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 10 }), (steps) => {
      let before: Accepted | undefined;
      let now = 10_000;
      for (const { services, unselected, unwatched, departed, afterMs, dead } of steps) {
        now += afterMs;
        const lives = (one: Instance) => !dead.some((at) => one.address === `10.0.0.${at}`);
        const asked = [...(before?.holds ?? []), ...(before?.suspects ?? [])];
        const probes = new Map(asked.map((one) => [nameOf(one), lives(one.instance)]));
        const chosen = new Set([...unselected].filter((key) => !services.has(key)));
        const unknown = new Set([...unwatched].filter((key) => !services.has(key) && !chosen.has(key)));
        const next = snapshotOf({ services, unselected: chosen, unwatched: unknown, departed });
        const { accepted: after, released } = judge(before, next, probes, policy, now);
        expect(judge(before, next, probes, policy, now)).toEqual({ accepted: after, released });

        const held = new Map(after.holds.map((hold) => [nameOf(hold), hold]));
        const heldObjects = new Set(after.holds.map(({ instance: one }) => one));
        const heldBefore = new Map((before?.holds ?? []).map((hold) => [nameOf(hold), hold]));
        const lost = new Map(after.losses.map((loss) => [nameOf(loss), loss]));
        for (const all of [after.holds, after.losses, after.suspects]) {
          expect(sorted(all)).toEqual(sorted(all).sort());
          expect(new Set(all.map(nameOf)).size).toBe(all.length);
        }

        // What is held.
        for (const [key, hold] of held) {
          expect(serves(hold.instance)).toBe(true);
          expect(now - hold.since).toBeLessThan(policy.holdForMs);
          expect(hold.since).toBeLessThanOrEqual(now);
          expect(probes.get(key)).not.toBe(false);
          expect(departed.has(hold.instance.node)).toBe(false);
          expect(after.services.get(hold.service)?.instances).toContain(hold.instance);
          expect(heldBefore.has(key) || lost.has(key)).toBe(true);
          for (const other of services.get(hold.service)?.instances ?? []) {
            const same = other.id === hold.instance.id && other.node === hold.instance.node;
            if (same) expect(other.nodeCritical === true && placeOf(other) === placeOf(hold.instance)).toBe(true);
          }
        }
        for (const key of heldBefore.keys()) {
          expect(released.filter(({ hold }) => nameOf(hold) === key)).toHaveLength(held.has(key) ? 0 : 1);
        }
        for (const loss of after.suspects) {
          expect(lost.get(nameOf(loss))).toBe(loss);
          expect(loss.over === true || held.has(nameOf(loss))).toBe(false);
        }
        for (const loss of after.losses) {
          expect(serves(loss.instance)).toBe(true);
          expect(now - loss.since).toBeLessThan(policy.windowMs);
        }

        // What stands in each service.
        const zero = new Set<string>();
        let serving = 0;
        for (const [key, one] of after.services) {
          const unheld = one.instances.filter((each) => serves(each) && !heldObjects.has(each));
          serving += unheld.length;
          if (unheld.length === 0) zero.add(key);
          expect(after.emptySince.has(key)).toBe(one.instances.length === 0);
          for (const each of services.get(key)?.instances ?? []) {
            const instead = one.instances.some((other) => heldObjects.has(other) && other.id === each.id);
            expect(instead || one.instances.includes(each)).toBe(true);
          }
          const known = new Set([
            ...(services.get(key)?.instances ?? (unknown.has(key) ? (before?.services.get(key)?.instances ?? []) : [])),
            ...heldObjects,
          ]);
          for (const each of one.instances) expect(known.has(each)).toBe(true);
        }
        for (const key of services.keys()) expect(after.services.has(key)).toBe(true);
        for (const key of chosen) expect(after.services.has(key)).toBe(false);

        // Nothing is held anew but in the two cases.
        const several = new Set(after.losses.map((loss) => loss.service)).size > 1;
        const counted = after.losses.filter(({ how }) => several || how === "node-critical");
        const mass = counted.length >= 3 && counted.length > serving ? new Set(counted.map(nameOf)) : new Set<string>();
        for (const [key, hold] of held) {
          if (!heldBefore.has(key)) expect(zero.has(hold.service) || mass.has(key)).toBe(true);
        }
        for (const loss of after.suspects) {
          expect(zero.has(loss.service) || mass.has(nameOf(loss))).toBe(true);
        }
        // And there, nothing that lives is missed: what was lost now is held, what was lost before is asked.
        for (const loss of after.losses) {
          if (loss.over === true || !(zero.has(loss.service) || mass.has(nameOf(loss)))) continue;
          const earlier = before?.losses.some((one) => nameOf(one) === nameOf(loss) && one.over !== true);
          expect(held.has(nameOf(loss)) || (earlier && after.suspects.includes(loss))).toBe(true);
        }
        const taken = claims(before, next);
        for (const [key, one] of before?.services ?? []) {
          if (unknown.has(key)) expect(after.services.has(key)).toBe(true);
          if (chosen.has(key) || unknown.has(key) || !zero.has(key)) continue;
          for (const each of one.instances) {
            if (!serves(each) || heldBefore.has(holdKey(key, each)) || departed.has(each.node)) continue;
            const again = services.get(key)?.instances ?? [];
            const said = again.find(({ node, id }) => node === each.node && id === each.id);
            if (taken.has(placeOf(each)) || (said === undefined && again.some((x) => placeOf(x) === placeOf(each)))) {
              continue;
            }
            const vanished = said === undefined;
            const cutOff = said?.nodeCritical === true && placeOf(said) === placeOf(each);
            expect(held.has(holdKey(key, each))).toBe(vanished || cutOff);
          }
        }

        expect(accept(after, next, new Map(), policy, now)).toEqual(after);
        before = after;
      }
    }),
    { numRuns: 400 },
  );
});

/** Instances of a service that all serve; the first is always there. */
const alive = (name: string, most: number) =>
  fc.uniqueArray(fc.integer({ min: 2, max: most }), { maxLength: most - 1 }).map((more) =>
    service(
      name,
      [1, ...more.sort((a, b) => a - b)].map((number) => instance(name, number)),
    ),
  );

test("one service that is scaled up and down, but never to zero, is believed at once, to the very object", () => {
  fc.assert(
    fc.property(fc.array(alive("web", 8), { maxLength: 8 }), fc.boolean(), (states, beside) => {
      let before: Accepted | undefined;
      const api = service("api", [instance("api", 99)]);
      for (const web of states) {
        const services = byKey(beside ? [api, web] : [web]);
        before = accept(before, snapshotOf({ services }), new Map(), policy, 1);
        expect([before.holds, before.suspects]).toEqual([[], []]);
        expect([...before.services.keys()]).toEqual([...services.keys()]);
        for (const [key, one] of before.services) expect(one).toBe(services.get(key));
      }
    }),
  );
});

test("without losses, what is listed is what is accepted, to the very object", () => {
  const grown = fc.array(fc.subarray(names), { maxLength: 6 });
  fc.assert(
    fc.property(grown, (rounds) => {
      const counts = new Map(names.map((name) => [name, 1]));
      let known = new Map(names.map((name) => [name, service(name, [instance(name, 1)])]));
      let before: Accepted | undefined;
      for (const round of rounds) {
        known = new Map(known);
        for (const name of round) {
          const count = (counts.get(name) ?? 0) + 1;
          counts.set(name, count);
          known.set(
            name,
            service(
              name,
              [...Array(count).keys()].map((at) => instance(name, at + 1)),
            ),
          );
        }
        const services = byKey([...known.values()]);
        before = accept(before, snapshotOf({ services }), new Map(), policy, 1);
        expect([before.holds, before.losses, before.suspects]).toEqual([[], [], []]);
        for (const [key, one] of before.services) expect(one).toBe(services.get(key));
      }
    }),
  );
});

test("at zero, once all were asked, what the window lost serves on where it lives, and only that", () => {
  const leave = fc.record({ how: fc.constantFrom("vanished", "cut off"), lives: fc.boolean() });
  fc.assert(
    fc.property(fc.array(leave, { minLength: 1, maxLength: 8 }), fc.boolean(), (leaving, atOnce) => {
      const well = leaving.map((_, at) => instance("web", at + 1));
      const gone = (count: number) =>
        well.flatMap((one, at): Instance[] => {
          if (at >= count) return [one];
          return leaving[at]?.how === "vanished" ? [] : [{ ...one, health: "critical", nodeCritical: true }];
        });
      const see = (accepted: Accepted | undefined, count: number, at: number, probes = new Map<string, boolean>()) =>
        accept(accepted, snapshotOf({ services: byKey([service("web", gone(count))]) }), probes, policy, at);
      let accepted = see(undefined, 0, 1);
      for (let count = atOnce ? leaving.length : 1; count <= leaving.length; count += 1) {
        accepted = see(accepted, count, 1 + count);
        // Never without somebody, as far as is known by then.
        expect(accepted.services.get(keyOf("web"))?.instances.some(serves)).toBe(true);
      }
      const probes = new Map(
        [...accepted.holds, ...accepted.suspects].map((one) => {
          const at = well.findIndex(({ id }) => id === one.instance.id);
          return [nameOf(one), leaving[at]?.lives === true] as const;
        }),
      );
      accepted = see(accepted, leaving.length, 2 + leaving.length, probes);
      const living = well.filter((_, at) => leaving[at]?.lives === true);
      expect(accepted.holds.map((hold) => hold.instance)).toEqual(living);
      expect(accepted.services.get(keyOf("web"))?.instances.filter(serves)).toEqual(living);
    }),
  );
});
