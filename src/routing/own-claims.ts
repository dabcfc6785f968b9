import { type OptionKey, optionTable, type RouteOptions } from "../settings/options/table.ts";
import {
  cookieCondition,
  headerCondition,
  hostPattern,
  pathPattern,
  requestPattern,
  sortedConditions,
} from "./patterns.ts";
import type { Claim, Origin, RoutePattern } from "./types.ts";
import type { Said, Wishes } from "./wishes.ts";

/** A claim before it is known which servers carry it. */
export type Wanted = Omit<Claim, "backend" | "carriers" | "count" | "since">;

/** What one instance, or all, want of the routes to their service. */
export interface RouteWishes {
  readonly base: Wishes;
  /** Named routes, each with what it inherits. */
  readonly routes: ReadonlyMap<string, Wishes>;
}

/** Where the routes of a service lead from. */
export interface Entrances {
  readonly service: string;
  /** `<service>.<domain>`; left out where it is not to be reached by that name. */
  readonly domain?: string;
  /** Own ports of HAProxy, besides the HTTP entry point. */
  readonly ports: readonly number[];
  /** Whether these ports lead to the service where nothing says by which hosts and paths. */
  readonly atLarge: boolean;
}

/** What makes a pattern or a share is none of what is done on the way. */
const notOnTheWay: ReadonlySet<string> = new Set(["host", "path", "method", "header", "priority"]);
const wayKeys = (Object.keys(optionTable) as OptionKey[]).filter(
  (key) => optionTable[key].scope === "route" && !notOnTheWay.has(key) && !key.startsWith("canary."),
);
/** More than any `priority` an option can have: who asks for the canary gets it. */
const canaryPriority = 1_000_001;

/** The keys of route scope that do not go from the unnamed route to the named ones. */
export const placeKeys: ReadonlySet<string> = new Set(["host", "path"]);

/**
 * The claims of one instance's words: each host with each path, of the named routes and of the unnamed one. The name
 * `<service>.<domain>` answers as the unnamed route does, and on the paths of the named ones as they do, so that what
 * guards a path guards it by either name. One after the other, as few words may ask for very many; those of named routes
 * first, so that nobody who takes the first alone leaves out what guards a part of the others.
 */
export function* wantedRoutes(
  { base, routes }: RouteWishes,
  { service, domain, ports, atLarge }: Entrances,
): Generator<Wanted> {
  const at = (wishes: Wishes, place: Omit<RoutePattern, "methods" | "conditions">, said: Said) =>
    withCanary(wishes, place, { service, ...said });
  for (const wishes of routes.values()) {
    for (const [place, where] of placesOf(wishes)) {
      yield* at(wishes, place, where);
      for (const listen of ports) yield* at(wishes, { listen, ...place }, where);
    }
    if (domain === undefined) continue;
    for (const path of wishes.options.path ?? []) {
      if (path !== "/") yield* at(wishes, { host: domain, ...pathPattern(path) }, { kind: "domain", text: domain });
    }
  }
  if (domain !== undefined)
    yield* at(base, { host: domain, path: "/", match: "prefix" }, { kind: "domain", text: domain });
  const anywhere = base.options.host === undefined && base.options.path === undefined;
  for (const [place, where] of placesOf(base)) yield* at(base, place, where);
  for (const listen of ports) {
    const whole = said(base, "listen") ?? { kind: "tag", text: `listen ${listen}` };
    if (anywhere && atLarge) yield* at(base, { listen, host: "", path: "/", match: "prefix" }, whole);
    for (const [place] of placesOf(base)) yield* at(base, { listen, ...place }, whole);
  }
}

type Place = Omit<RoutePattern, "methods" | "conditions" | "listen">;

/** Each host with each path; a host alone means all its paths, a path alone all hosts. */
function* placesOf(wishes: Wishes): Generator<readonly [Place, Said]> {
  const { host, path } = wishes.options;
  const where = said(wishes, host === undefined ? "path" : "host");
  if (where === undefined) return;
  for (const one of host === undefined ? [{ host: "" }] : host.map(hostPattern)) {
    for (const other of path === undefined ? [pathPattern("/")] : path.map(pathPattern)) {
      yield [{ ...one, ...other }, where];
    }
  }
}

function said(wishes: Wishes, key: OptionKey): Said | undefined {
  return wishes.said[key];
}

/** The claim of one place, and those of requests that ask for the canary. */
function withCanary(wishes: Wishes, place: Place, origin: Origin): readonly Wanted[] {
  const { options } = wishes;
  const request = requestPattern(options);
  const weight = options["canary.weight"];
  const plain: Wanted = {
    pattern: { ...place, ...request },
    options: onTheWay(options),
    priority: options.priority ?? 0,
    ...(weight !== undefined && { share: { part: weight / 100, of: "together" as const } }),
    sticky: options["canary.sticky"] === true,
    origin,
  };
  const asked = [
    ...(options["canary.header"] === undefined ? [] : [headerCondition(options["canary.header"])]),
    ...(options["canary.cookie"] === undefined ? [] : [cookieCondition(options["canary.cookie"])]),
  ];
  return [
    plain,
    ...asked.map((condition) => ({
      pattern: { ...place, ...request, conditions: sortedConditions([...request.conditions, condition]) },
      options: plain.options,
      priority: plain.priority + canaryPriority,
      sticky: false,
      origin,
    })),
  ];
}

/** What is done on the way, in the order of the table, so that what is equal reads the same. */
export function onTheWay(options: RouteOptions): RouteOptions {
  const kept: Record<string, unknown> = {};
  for (const key of wayKeys) {
    const value = options[key as keyof RouteOptions];
    if (value !== undefined) kept[key] = value;
  }
  return kept;
}
