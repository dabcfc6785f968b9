import { holdKey } from "../guard/instances.ts";
import type { Hold, Release } from "../guard/types.ts";
import { saidSingly } from "./announce.ts";
import type { EventLog } from "./events.ts";
import type { Said } from "./holds.ts";

const causes: Readonly<Record<Hold["cause"], string>> = {
  zero: "its service would have no instance left",
  mass: "the catalog lost more than half of all instances at once",
};

const reasons: Readonly<Record<Said | Exclude<Release["why"], "told">, string>> = {
  refused: "nothing listens there any more",
  silent: "nothing answers there any more",
  dead: "HAProxy's check finds it dead",
  operator: "an operator said so",
  claimed: "another instance has its place",
  "listed-again": "the catalog lists it again",
  "time-over": "guard.holdFor is over",
  "node-left": "its node left in good order",
  unselected: "its service is not selected any more",
};

/** Says what is held since the last pass, and until when at the latest. */
export function announceHeld(events: EventLog, before: readonly Hold[], now: readonly Hold[], holdForMs: number): void {
  if (now.length === 0) return;
  const known = new Set(before.map(({ service, instance }) => holdKey(service, instance)));
  const fresh = now.filter(({ service, instance }) => !known.has(holdKey(service, instance)));
  for (const { instance, cause, since } of fresh.slice(0, saidSingly)) {
    const at = placeOf(instance);
    const until = new Date(since + holdForMs).toISOString();
    const message = `held: ${JSON.stringify(instance.service.name)} at ${at} is kept while it accepts connections, for ${causes[cause]}; if that is right: sluice release ${instance.service.name}`;
    events.emit("held", "warn", message, { ...whoIs(instance), at, cause, until });
  }
  if (fresh.length > saidSingly) {
    const more = fresh.length - saidSingly;
    events.emit("held", "warn", `held: and ${more} more instances; sluice status has them all`, { more });
  }
}

/**
 * Says what is not held any more, and why.
 *
 * @param said why what a probe or an operator let go was let go, by hold key
 */
export function announceReleased(
  events: EventLog,
  released: readonly Release[],
  said: ReadonlyMap<string, Said>,
): void {
  for (const { hold, why: cause } of released.slice(0, saidSingly)) {
    const { instance } = hold;
    const why = cause === "told" ? (said.get(holdKey(hold.service, instance)) ?? "silent") : cause;
    const message = `no longer held: ${JSON.stringify(instance.service.name)} at ${placeOf(instance)}: ${reasons[why]}`;
    events.emit("released", "info", message, { ...whoIs(instance), why });
  }
  if (released.length > saidSingly) {
    const more = released.length - saidSingly;
    events.emit("released", "info", `no longer held: and ${more} more instances`, { more });
  }
}

function whoIs({ service, node, id }: Hold["instance"]) {
  return { service: service.name, node, id };
}

/** Data of strangers, in a line for people. */
function placeOf({ address, port }: Hold["instance"]): string {
  return `${JSON.stringify(address).slice(1, -1)}:${port}`;
}
