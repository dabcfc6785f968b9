import type { Health } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import type { Place } from "./places.ts";

/** What a service answers whose instances are all critical: 503, or whatever they do. */
export type Panic = Settings["services"]["panic"];

/** A place of which a server is made, and what its instance is taken for. */
export interface Eligible {
  readonly place: Place;
  readonly health: Health;
}

/**
 * The places of which servers are made. Those of critical instances are none, but in panic: where every instance is
 * critical, or in maintenance, and `serve` is asked for, the critical ones are taken for passing; HAProxy's own checks
 * decide.
 */
export function eligible(places: readonly Place[], panic: Panic): readonly Eligible[] {
  const all = places.map((place) => ({ place, health: place.instance.health }));
  const others = all.filter(({ health }) => health !== "critical");
  if (panic === "refuse" || others.some(({ health }) => health !== "maintenance")) return others;
  return all.map(({ place, health }) => ({ place, health: health === "critical" ? "passing" : health }));
}
