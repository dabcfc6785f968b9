import type { CatalogService, Freshness, Instance, Snapshot } from "../catalog/types.ts";
import type { Accepted, GuardPolicy, Hold, Probes } from "./types.ts";

/** Names a held instance: service, node and id. */
export function holdKey(service: string, instance: Instance): string {
  return JSON.stringify([service, instance.node, instance.id, instance.address, instance.port]);
}

/**
 * What to believe of a new snapshot. One rule: a service that would fall to zero because its instances vanished keeps
 * them for as long as they accept a connection, at most `holdForMs`. A vanished instance is held without being asked
 * first, since being wrong for one probe's time costs a retry, and letting go of a living pool costs every request.
 *
 * Never held: what was seen in maintenance or critical, what the catalog still lists, and what stood where another
 * service has an instance only now: who answers there is that one. A service that is listed but not selected any more
 * goes at once, as does one whose time to be remembered is over. One of which nothing is known stays as it was.
 *
 * @param previous what was accepted last; undefined at the first snapshot
 * @param probes answers of the held instances so far; false lets one go
 * @param nowMs wall-clock ms
 */
export function accept(
  previous: Accepted | undefined,
  next: Snapshot,
  probes: Probes,
  policy: GuardPolicy,
  nowMs: number,
): Accepted {
  const services = new Map<string, CatalogService>();
  const emptySince = new Map<string, number>();
  const holds: Hold[] = [];
  const heldBefore = new Map<string, Hold[]>();
  for (const before of previous?.holds ?? []) {
    // A clock that was set back would hold it for longer than it may be.
    const hold = before.since > nowMs ? { ...before, since: nowMs } : before;
    const list = heldBefore.get(hold.service);
    if (list === undefined) heldBefore.set(hold.service, [hold]);
    else list.push(hold);
  }
  let taken: ReadonlyMap<string, string> | undefined;
  const takenByAnother = (hold: Hold) => {
    taken ??= newPlaces(previous, next);
    return (taken.get(place(hold.instance)) ?? hold.service) !== hold.service;
  };

  const take = (key: string, listed: CatalogService | undefined, before: CatalogService | undefined) => {
    const known = (heldBefore.get(key) ?? []).filter(({ instance }) => !isListed(listed, instance));
    const lost = vanished(listed, before).map((instance) => ({
      service: key,
      instance,
      since: nowMs,
      cause: "zero" as const,
    }));
    const keys = new Set(known.map(({ instance }) => holdKey(key, instance)));
    const held = [...known, ...lost.filter(({ instance }) => !keys.has(holdKey(key, instance)))].filter(
      (hold) =>
        nowMs - hold.since < policy.holdForMs &&
        probes.get(holdKey(key, hold.instance)) !== false &&
        !takenByAnother(hold),
    );
    const service = withHeld(listed, before, held);
    if (service === undefined) return;
    if (service.instances.length === 0) {
      const since = Math.min(previous?.emptySince.get(key) ?? nowMs, nowMs);
      if (listed === undefined && nowMs - since >= policy.rememberMs) return;
      emptySince.set(key, since);
    }
    services.set(key, service);
    holds.push(...held);
  };

  const keep = (key: string, before: CatalogService, freshness: Freshness) => {
    // What is held is judged as ever: it stands beside what was listed last.
    const held = new Set(heldBefore.get(key)?.map(({ instance }) => instance));
    const instances = held.size === 0 ? before.instances : before.instances.filter((one) => !held.has(one));
    const same = instances === before.instances && freshness === before.freshness;
    take(key, same ? before : { ...before, freshness, instances }, before);
  };

  for (const [key, service] of next.services) {
    const before = previous?.services.get(key);
    if (before !== undefined && service.freshness.unanswered) keep(key, before, service.freshness);
    else take(key, service, before);
  }
  for (const [key, service] of previous?.services ?? []) {
    if (next.services.has(key) || next.unselected.has(key)) continue;
    if (next.unwatched.has(key)) keep(key, service, service.freshness);
    else take(key, undefined, service);
  }

  return {
    services,
    emptySince,
    losses: [],
    suspects: [],
    holds: holds.sort((a, b) => order(holdKey(a.service, a.instance), holdKey(b.service, b.instance))),
  };
}

/** What a service loses without warning in a fall to zero: instances that served and are listed no more. */
function vanished(listed: CatalogService | undefined, before: CatalogService | undefined): readonly Instance[] {
  if (before === undefined || listed === before || listed?.instances.some(serves)) return [];
  return before.instances.filter((instance) => serves(instance) && !isListed(listed, instance));
}

/** Whether the catalog has it, or another instance of its service at the same place. */
function isListed(service: CatalogService | undefined, instance: Instance): boolean {
  return service?.instances.some((other) => sameInstance(other, instance) || place(other) === place(instance)) === true;
}

/** Where a service has an instance that it had not before, and which service it is. */
function newPlaces(previous: Accepted | undefined, next: Snapshot): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  for (const [key, service] of next.services) {
    const before = previous?.services.get(key);
    if (before === service) continue;
    const known = new Set(before?.instances.map(place));
    for (const instance of service.instances) if (!known.has(place(instance))) places.set(place(instance), key);
  }
  return places;
}

function place({ address, port }: Instance): string {
  return `${address} ${port}`;
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
  const instances = [...(listed?.instances ?? []), ...held.map((hold) => hold.instance)].sort(byIdentity);
  if (before !== undefined && sameList(before.instances, instances)) {
    return before.freshness === base.freshness ? before : { ...base, instances: before.instances };
  }
  return { ...base, instances };
}

function serves(instance: Instance): boolean {
  return instance.health === "passing" || instance.health === "warning";
}

function sameInstance(a: Instance, b: Instance): boolean {
  return a.node === b.node && a.id === b.id;
}

function sameList(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((instance, index) => instance === b[index]);
}

function byIdentity(a: Instance, b: Instance): number {
  return order(a.node, b.node) || order(a.id, b.id);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
