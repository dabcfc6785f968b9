import { isDeepStrictEqual } from "node:util";
import { isGlob } from "./globs.ts";
import { type MergedClaims, mergeClaims, patternKey } from "./merge-claims.ts";
import type { Backend, Claim, Exclusion, Route } from "./types.ts";
import { type UsableClaim, usableClaim } from "./usable-claim.ts";

/** A pattern that is claimed, and what became of its claims. */
interface Group {
  readonly claims: Set<Claim>;
  merged: MergedClaims;
  /** Backends whose servers have a say in it. */
  asks: readonly string[];
}

interface Looked extends UsableClaim {
  readonly key: string;
}

export interface MergedRoutes {
  /** The same list as before while no route changed. */
  readonly routes: readonly Route[];
  readonly excluded: readonly Exclusion[];
}

const nothing: MergedClaims = { excluded: [] };

/**
 * Makes the function that turns claims into routes. Pure; it remembers what became of each list of claims for as long as
 * that is the very same list, so that a change costs the patterns it touches, and routes that say the same keep their
 * identity.
 */
export function createMerger(): (
  lists: Iterable<readonly Claim[]>,
  backends: ReadonlyMap<string, Backend>,
) => MergedRoutes {
  const groups = new Map<string, Group>();
  const looked = new WeakMap<Claim, Looked>();
  /** Lists with claims that cannot be carried, and patterns with claims that lost. */
  const unusable = new Map<readonly Claim[], readonly Exclusion[]>();
  const conflicts = new Map<string, readonly Exclusion[]>();
  /** Patterns by the backends whose servers have a say in them, and these servers. */
  const asking = new Map<string, { readonly keys: Set<string>; servers: Backend["servers"] | undefined }>();
  let lists: ReadonlySet<readonly Claim[]> = new Set();
  let routes: readonly Route[] = [];

  const look = (claim: Claim): Looked => {
    const found = looked.get(claim) ?? lookAt(claim);
    looked.set(claim, found);
    return found;
  };
  const add = (list: readonly Claim[], touched: Set<string>) => {
    const left: Exclusion[] = [];
    for (const given of list) {
      const { claim, key, excluded } = look(given);
      left.push(...excluded);
      if (claim === undefined) continue;
      touched.add(key);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { claims: new Set([claim]), merged: nothing, asks: [] });
      else group.claims.add(claim);
    }
    if (left.length > 0) unusable.set(list, left);
  };
  const remove = (list: readonly Claim[], touched: Set<string>) => {
    unusable.delete(list);
    for (const given of list) {
      const { claim, key } = look(given);
      if (claim === undefined) continue;
      touched.add(key);
      groups.get(key)?.claims.delete(claim);
    }
  };
  const ask = (key: string, group: Group, names: readonly string[], backends: ReadonlyMap<string, Backend>) => {
    for (const name of group.asks) asking.get(name)?.keys.delete(key);
    group.asks = names;
    for (const name of names) {
      const there = asking.get(name);
      if (there === undefined) asking.set(name, { keys: new Set([key]), servers: backends.get(name)?.servers });
      else there.keys.add(key);
    }
  };
  return (given, backends) => {
    const next = new Set([...given].filter((list) => list.length > 0));
    const touched = new Set<string>();
    for (const list of lists) if (!next.has(list)) remove(list, touched);
    for (const list of next) if (!lists.has(list)) add(list, touched);
    lists = next;
    for (const [name, there] of asking) {
      const servers = backends.get(name)?.servers;
      if (there.keys.size === 0) asking.delete(name);
      if (servers === there.servers) continue;
      there.servers = servers;
      for (const key of there.keys) touched.add(key);
    }
    const gone = new Set<Route>();
    const come: Route[] = [];
    for (const key of touched) {
      const group = groups.get(key);
      if (group === undefined) continue;
      const claims = [...group.claims];
      const before = group.merged.route;
      group.merged = claims.length === 0 ? nothing : keepingRoute(before, mergeClaims(claims, backends));
      ask(key, group, claims.every(isPlain) ? [] : [...new Set(claims.map(({ backend }) => backend))], backends);
      if (claims.length === 0) groups.delete(key);
      const { route, excluded } = group.merged;
      if (excluded.length > 0) conflicts.set(key, excluded);
      else conflicts.delete(key);
      if (route === before) continue;
      if (before !== undefined) gone.add(before);
      if (route !== undefined) come.push(route);
    }
    if (gone.size + come.length > 0) routes = inserted(routes, gone, come);
    return { routes, excluded: [...unusable.values(), ...conflicts.values()].flat() };
  };
}

function lookAt(claim: Claim): Looked {
  const usable = usableClaim(claim);
  const { claim: left } = usable;
  // Any host with a certain port is a glob of hosts.
  const one =
    left !== undefined && left.pattern.host === "" && left.pattern.hostPort !== undefined
      ? { ...left, pattern: { ...left.pattern, host: "*" } }
      : left;
  return { ...usable, ...(one !== undefined && { claim: one }), key: patternKey((one ?? claim).pattern) };
}

/** Whether a claim's part of a route does not hang on what servers there are. */
function isPlain({ carriers, options, count }: Claim): boolean {
  return carriers === "all" && options["host-header"] !== "dst" && count > 0;
}

function keepingRoute(before: Route | undefined, merged: MergedClaims): MergedClaims {
  return before !== undefined && isDeepStrictEqual(before, merged.route) ? { ...merged, route: before } : merged;
}

/** A sorted list without those that are gone and with those that come. */
function inserted(routes: readonly Route[], gone: ReadonlySet<Route>, come: Route[]): readonly Route[] {
  const kept = gone.size === 0 ? routes : routes.filter((route) => !gone.has(route));
  const sorted = come.sort(byPlace);
  if (sorted.length > kept.length) return [...kept, ...sorted].sort(byPlace);
  const all: Route[] = [];
  let at = 0;
  for (const route of sorted) {
    const from = at;
    at = placeOf(route, kept, from);
    for (let index = from; index < at; index += 1) all.push(kept[index] as Route);
    all.push(route);
  }
  return [...all, ...kept.slice(at)];
}

/** Where a route belongs in a sorted list. */
function placeOf(route: Route, list: readonly Route[], from: number): number {
  let [low, high] = [from, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (byPlace(list[middle] as Route, route) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
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
