import { isDeepStrictEqual } from "node:util";
import { isGlob } from "./globs.ts";
import { type MergedClaims, mergeClaims, patternKey } from "./merge-claims.ts";
import type { Backend, Claim, Exclusion, Route } from "./types.ts";
import { type UsableClaim, usableClaim } from "./usable-claim.ts";

/** A pattern that is claimed, what its claims were made of, and what became of them. */
interface Group {
  readonly claims: readonly Claim[];
  /** The servers of the backends, where they have a say: in the order of the claims. */
  readonly servers: readonly Backend["servers"][];
  readonly merged: MergedClaims;
}

export interface MergedRoutes {
  /** The same list as before while no route changed. */
  readonly routes: readonly Route[];
  readonly excluded: readonly Exclusion[];
}

/**
 * Makes the function that turns claims into routes. Pure; it remembers each pattern's route for as long as its claims are
 * the very same objects, so that a change costs the patterns it touches, and routes that say the same keep their
 * identity.
 */
export function createMerger(): (claims: Iterable<Claim>, backends: ReadonlyMap<string, Backend>) => MergedRoutes {
  let groups = new Map<string, Group>();
  let routes: readonly Route[] = [];
  const known = new WeakMap<Claim, UsableClaim & { readonly key: string }>();
  const look = (claim: Claim) => {
    let found = known.get(claim);
    if (found === undefined) {
      const usable = usableClaim(claim);
      const { claim: left } = usable;
      // Any host with a certain port is a glob of hosts.
      const carried = left !== undefined && left.pattern.host === "" && left.pattern.hostPort !== undefined;
      const one = carried ? { ...left, pattern: { ...left.pattern, host: "*" } } : left;
      found = { ...usable, ...(one !== undefined && { claim: one }), key: patternKey((one ?? claim).pattern) };
      known.set(claim, found);
    }
    return found;
  };
  return (claims, backends) => {
    const wanted = new Map<string, Claim[]>();
    const excluded: Exclusion[] = [];
    for (const given of claims) {
      const { claim, key, excluded: left } = look(given);
      excluded.push(...left);
      if (claim === undefined) continue;
      const there = wanted.get(key);
      if (there === undefined) wanted.set(key, [claim]);
      else there.push(claim);
    }
    let changed = wanted.size !== groups.size;
    const next = new Map<string, Group>();
    for (const [key, list] of wanted) {
      const before = groups.get(key);
      const servers = list.every(isPlain) ? [] : list.map(({ backend }) => backends.get(backend)?.servers ?? []);
      const same = before !== undefined && sameList(before.claims, list) && sameList(before.servers, servers);
      const group = same
        ? before
        : { claims: list, servers, merged: keepingRoute(before, mergeClaims(list, backends)) };
      if (group.merged.route !== before?.merged.route) changed = true;
      next.set(key, group);
      excluded.push(...group.merged.excluded);
    }
    groups = next;
    if (changed) routes = [...next.values()].flatMap(({ merged }) => merged.route ?? []).sort(byPlace);
    return { routes, excluded };
  };
}

/** Whether a claim's part of a route does not hang on what servers there are. */
function isPlain({ carriers, options, count }: Claim): boolean {
  return carriers === "all" && options["host-header"] !== "dst" && count > 0;
}

function keepingRoute(before: Group | undefined, merged: MergedClaims): MergedClaims {
  const old = before?.merged.route;
  return old !== undefined && isDeepStrictEqual(old, merged.route) ? { ...merged, route: old } : merged;
}

export function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}

/** By listener, host, port and path, then as they are tried. */
function byPlace(a: Route, b: Route): number {
  return (
    (a.listen ?? 0) - (b.listen ?? 0) ||
    Number(a.host === "") - Number(b.host === "") ||
    Number(isGlob(a.host)) - Number(isGlob(b.host)) ||
    order(a.host, b.host) ||
    (b.hostPort ?? 0) - (a.hostPort ?? 0) ||
    order(a.path, b.path) ||
    order(a.match, b.match) ||
    b.priority - a.priority ||
    b.conditions.length - a.conditions.length ||
    order(patternKey(a), patternKey(b))
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
