import type { CatalogService, Instance, Snapshot } from "../catalog/types.ts";
import { holdKey, isCutOff, listing, place, serves } from "./instances.ts";
import type { Accepted, LetGo, Loss, Probes } from "./types.ts";

/**
 * What a service loses without warning: instances that served and are listed no more, or are critical by their nodes
 * alone. What was in maintenance or critical before was on its way out, and is not lost.
 *
 * @param held instances that were lost before
 */
export function lostNow(
  key: string,
  listed: CatalogService | undefined,
  before: CatalogService | undefined,
  held: ReadonlySet<Instance>,
  nowMs: number,
): readonly Loss[] {
  if (before === undefined || listed?.instances === before.instances) return [];
  const losses: Loss[] = [];
  for (const instance of before.instances) {
    if (!serves(instance) || held.has(instance)) continue;
    const found = listing(listed, instance);
    if (found.kind === "listed" && found.instance === instance) continue;
    const how = found.kind === "absent" ? "vanished" : isCutOff(found, instance) ? "node-critical" : undefined;
    if (how !== undefined) losses.push({ service: key, instance, since: nowMs, how });
  }
  return losses;
}

/**
 * Makes the function that says why an instance that was lost is to be let go; undefined: it is not.
 *
 * Who answers at the place of an instance that is new there is that one. A place that two services have had all along
 * is one process under two names.
 */
export function createLetGo(
  previous: Accepted | undefined,
  next: Snapshot,
  probes: Probes,
  nowMs: number,
): (
  lost: Pick<Loss, "service" | "instance" | "since">,
  listed: CatalogService | undefined,
  forMs: number,
) => LetGo | undefined {
  let claims: ReadonlyMap<string, string> | undefined;
  return ({ service, instance, since }, listed, forMs) => {
    if (next.departed.has(instance.node)) return "node-left";
    const found = listing(listed, instance);
    if (found.kind === "listed" && !isCutOff(found, instance)) return "listed-again";
    claims ??= newPlaces(previous, next);
    if (found.kind === "replaced" || (claims.get(place(instance)) ?? service) !== service) return "claimed";
    if (probes.get(holdKey(service, instance)) === false) return "told";
    return nowMs - since >= forMs ? "time-over" : undefined;
  };
}

/** Where a service has an instance that it had not before, and which service it is. */
function newPlaces(previous: Accepted | undefined, next: Snapshot): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  for (const [key, service] of next.services) {
    const before = previous?.services.get(key);
    if (before === service || before?.instances === service.instances) continue;
    const known = new Set(before?.instances.map(place));
    for (const instance of service.instances) if (!known.has(place(instance))) places.set(place(instance), key);
  }
  return places;
}
