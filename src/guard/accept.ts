import type { CatalogService, Freshness, Instance, Snapshot } from "../catalog/types.ts";
import { byIdentity, byLost, holdKey, identity, servingCount } from "./instances.ts";
import { createLetGo, lostNow } from "./losses.ts";
import { massLoss } from "./mass-loss.ts";
import { acceptOverrides, withMemory } from "./memory.ts";
import type { Accepted, GuardPolicy, Hold, Judgement, LetGo, Loss, Probes, Release } from "./types.ts";

/** One service of which more is to be said than that it is as the catalog lists it. */
interface Case {
  readonly key: string;
  readonly listed: CatalogService | undefined;
  readonly before: CatalogService | undefined;
  /** What is held since an earlier snapshot, and goes on being held. */
  readonly known: readonly Hold[];
  /** What was lost earlier in the window, held or not. */
  readonly earlier: readonly Loss[];
  /** What this snapshot lost. */
  readonly lost: readonly Loss[];
}

/** What to believe of a new snapshot; see `judge`. */
export function accept(...given: Parameters<typeof judge>): Accepted {
  return judge(...given).accepted;
}

/**
 * What to believe of a new snapshot. All of it, but for two cases: a service would be left without an instance that
 * serves, or the catalog as a whole loses more than half of what serves within `windowMs`. Then what was lost without
 * warning is kept as it was when it was last well, for as long as it accepts connections, at most `holdForMs`.
 *
 * What this very snapshot lost is held without being asked first, since being wrong for one probe's time costs a retry,
 * and letting go of a living pool costs every request. What was lost earlier in the window has left HAProxy already:
 * it is a suspect, and held once a probe says that it lives.
 *
 * Never held: what was seen in maintenance or critical by its own check, what stood on a node that left in good order,
 * and what stood where another service has an instance only now. A service that is listed but not selected any more
 * goes at once, as does one whose time to be remembered is over. One of which nothing is known stays as it was. What
 * was let go is not held again for the same loss.
 *
 * Costs a look at each service, and more only for those that changed or lost something.
 *
 * @param previous what was accepted last; undefined at the first snapshot
 * @param probes answers of the held instances and suspects so far; false lets one go
 * @param nowMs wall-clock ms
 */
export function judge(
  previous: Accepted | undefined,
  next: Snapshot,
  probes: Probes,
  policy: GuardPolicy,
  nowMs: number,
): Judgement {
  const letGo = createLetGo(previous, next, probes, nowMs);
  const heldBefore = grouped(previous?.holds ?? [], nowMs);
  const lostBefore = grouped(previous?.losses ?? [], nowMs);
  const services = new Map<string, CatalogService | undefined>();
  const cases: Case[] = [];
  const released: Release[] = [];

  const look = (key: string, listed: CatalogService | undefined, before: CatalogService | undefined) => {
    const holds = heldBefore.get(key) ?? [];
    const losses = lostBefore.get(key) ?? [];
    services.set(key, listed);
    const plain = listed !== undefined && listed.instances.length > 0 && (before === undefined || before === listed);
    if (plain && holds.length === 0 && losses.length === 0) return;
    const ended = new Map<string, LetGo>();
    const known = holds.filter((hold) => {
      const why = letGo(hold, listed, policy.holdForMs);
      if (why === undefined) return true;
      released.push({ hold, why });
      ended.set(holdKey(key, hold.instance), why);
      return false;
    });
    const earlier = losses.flatMap((loss): Loss[] => {
      const why = ended.get(holdKey(key, loss.instance)) ?? letGo(loss, listed, policy.windowMs);
      if (why === undefined) return [loss];
      const counts = (why === "told" || why === "time-over") && nowMs - loss.since < policy.windowMs;
      return counts ? [{ ...loss, over: true }] : [];
    });
    const held = new Set(holds.map(({ instance }) => instance));
    const lost = lostNow(key, listed, before, held, nowMs).filter(
      (loss) => letGo(loss, listed, Number.POSITIVE_INFINITY) === undefined,
    );
    cases.push({ key, listed, before, known, earlier, lost });
  };

  const keep = (key: string, before: CatalogService, freshness: Freshness) => {
    // What is held is judged as ever: it stands beside what was listed last.
    const held = new Set(heldBefore.get(key)?.map(({ instance }) => instance));
    const instances = held.size === 0 ? before.instances : before.instances.filter((one) => !held.has(one));
    const same = instances === before.instances && freshness === before.freshness;
    look(key, same ? before : { ...before, freshness, instances }, before);
  };

  for (const [key, service] of next.services) {
    const before = previous?.services.get(key);
    if (before !== undefined && service.freshness.unanswered) keep(key, before, service.freshness);
    else look(key, service, before);
  }
  for (const [key, service] of previous?.services ?? []) {
    if (next.services.has(key)) continue;
    if (next.unselected.has(key)) {
      for (const hold of heldBefore.get(key) ?? []) released.push({ hold, why: "unselected" });
    } else if (next.unwatched.has(key)) keep(key, service, service.freshness);
    else look(key, undefined, service);
  }

  const losses = cases.flatMap(({ earlier, lost }) => [...earlier, ...lost]);
  const inMass = massLoss(losses, () => {
    let serving = 0;
    for (const service of services.values()) if (service !== undefined) serving += servingCount(service.instances);
    return serving;
  });
  const holds: Hold[] = [];
  const suspects: Loss[] = [];
  const emptySince = new Map<string, number>();
  for (const one of cases) {
    const { key, listed, before } = one;
    const judged = judgeCase(one, inMass, probes);
    const believed = withHeld(listed, before, judged.holds);
    const service = believed && withMemory(believed, before);
    const since = Math.min(previous?.emptySince.get(key) ?? nowMs, nowMs);
    const empty = service === undefined || service.instances.length === 0;
    if (service === undefined || (empty && listed === undefined && nowMs - since >= policy.rememberMs)) {
      services.delete(key);
      continue;
    }
    if (empty) emptySince.set(key, since);
    services.set(key, service);
    holds.push(...judged.holds);
    suspects.push(...judged.suspects);
  }
  const overrides = acceptOverrides(previous?.overrides, next.overrides);
  return {
    accepted: {
      services: services as ReadonlyMap<string, CatalogService>,
      ...(overrides !== undefined && { overrides }),
      emptySince,
      holds: holds.sort(byLost),
      losses: losses.filter(({ service }) => services.has(service)).sort(byLost),
      suspects: suspects.sort(byLost),
    },
    released: released.sort((a, b) => byLost(a.hold, b.hold)),
  };
}

/** What is held of one service, and what would be if it were known to live. */
function judgeCase(
  { key, listed, known, earlier, lost }: Case,
  inMass: (loss: Loss) => boolean,
  probes: Probes,
): { readonly holds: readonly Hold[]; readonly suspects: readonly Loss[] } {
  if (earlier.length === 0 && lost.length === 0) return { holds: known, suspects: [] };
  const zero = listed === undefined || servingCount(listed.instances) === 0;
  const asHold = ({ service, instance, since }: Loss): Hold => ({
    service,
    instance,
    since,
    cause: zero ? "zero" : "mass",
  });
  const heldAlready = new Set(known.map(({ instance }) => holdKey(key, instance)));
  const missed = earlier.filter(
    (loss) => loss.over !== true && (zero || inMass(loss)) && !heldAlready.has(holdKey(key, loss.instance)),
  );
  const lives = (loss: Loss) => probes.get(holdKey(key, loss.instance)) === true;
  return {
    holds: [...known, ...[...lost.filter((loss) => zero || inMass(loss)), ...missed.filter(lives)].map(asHold)],
    suspects: missed.filter((loss) => !lives(loss)),
  };
}

/** By service. A clock that was set back would make them last longer than they may. */
function grouped<T extends { readonly service: string; readonly since: number }>(
  all: readonly T[],
  nowMs: number,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const clamped = one.since > nowMs ? { ...one, since: nowMs } : one;
    const group = groups.get(one.service);
    if (group === undefined) groups.set(one.service, [clamped]);
    else group.push(clamped);
  }
  return groups;
}

/** The service with the held instances beside the listed ones; the very same object where that changes nothing. */
function withHeld(
  listed: CatalogService | undefined,
  before: CatalogService | undefined,
  held: readonly Hold[],
): CatalogService | undefined {
  if (listed !== undefined && held.length === 0) return listed;
  const base = listed ?? before;
  if (base === undefined) return undefined;
  const kept: readonly Instance[] = held.map(({ instance }) => instance);
  const names = new Set(kept.map(identity));
  // One that is listed as cut off is kept as it was when it was well.
  const others = listed?.instances.filter((one) => !names.has(identity(one))) ?? [];
  const instances = [...others, ...kept].sort(byIdentity);
  if (before !== undefined && sameList(before.instances, instances)) {
    const same = before.freshness === base.freshness && before.elsewhere === base.elsewhere;
    return same ? before : { ...base, instances: before.instances };
  }
  return { ...base, instances };
}

function sameList(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((instance, index) => instance === b[index]);
}
