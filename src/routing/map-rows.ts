import { hexDigest } from "../support/digest.ts";
import { clientList } from "./clients.ts";
import { requestRegex } from "./conditions.ts";
import { createGlobChains } from "./glob-chains.ts";
import { globPattern } from "./globs.ts";
import { patternKey } from "./merge-claims.ts";
import { rewriteRow } from "./rewrites.ts";
import { optionFields, type RouteValue, writeValue } from "./route-value.ts";
import { boundedTries } from "./safe-regex.ts";
import { sameList } from "./same-list.ts";
import { beginningsOf, createScoper, type Entry, globPrefix, type HostGlob, type Scope } from "./scopes.ts";
import { shareRows } from "./shares.ts";
import type { MapRow, Route, RouteMaps, RouteTarget } from "./types.ts";

/** What one route brings into the maps. */
interface RouteRows {
  /** Its value, less what the place says where it is written. */
  readonly value: RouteValue;
  readonly clients: readonly MapRow[];
  readonly shares: readonly MapRow[];
  readonly rewrites: readonly MapRow[];
}

/** Rows of listeners.map, and those of clients.map that they name. */
interface ListenerRows {
  readonly rows: readonly MapRow[];
  readonly clients: readonly MapRow[];
}

/** What a host brings into the maps. */
interface HostRows {
  /** What they were made of: its own routes and those of wider globs. */
  readonly chain: readonly Scope[];
  /** Sorted by key. */
  readonly routes: readonly MapRow[];
  readonly conditions: readonly MapRow[];
}

const noListeners: ListenerRows = { rows: [], clients: [] };
const known = new WeakMap<Route, RouteRows>();

/** What the routes are at run time, see `createMapper`. */
export function routeMaps(routes: readonly Route[], listeners = noListeners): RouteMaps {
  return createMapper()(routes, listeners);
}

/**
 * Makes the function that says what the routes are at run time: the rows of the map files that haproxy/request.njk looks a
 * request up in. Rows of other maps than `routes` are named by what they say (shares, conditions, clients, rewrites): none
 * is ever edited. What a host's rows are is remembered for as long as its routes are the very same.
 */
export function createMapper(): (routes: readonly Route[], listeners?: ListenerRows) => RouteMaps {
  const scoper = createScoper();
  const globChainsOf = createGlobChains();
  let made = new Map<string, HostRows>();
  return (routes, listeners = noListeners) => {
    const { byPrefix, globs, listens } = scoper(routes);
    const chains = new Map([...byPrefix].map(([prefix, scope]) => [prefix, [scope]]));
    const globChains = globChainsOf(globs);
    for (const listen of listens) {
      for (const glob of globs) {
        const wider = globChains.get(globPrefix(0, glob)) ?? [];
        const chain = wider.flatMap((one) => byPrefix.get(globPrefix(listen, one)) ?? []);
        if (chain.length > 0) chains.set(globPrefix(listen, glob), chain);
      }
    }
    const next = new Map<string, HostRows>();
    for (const [prefix, chain] of chains) {
      const before = made.get(prefix);
      next.set(prefix, before !== undefined && sameList(before.chain, chain) ? before : hostRows(prefix, chain));
    }
    made = next;
    // No prefix has a `/`, and each key has one behind it: so the rows come sorted by key.
    const hosts = [...next].sort(([a], [b]) => order(`${a}/`, `${b}/`)).map(([, rows]) => rows);
    return {
      clients: united(listeners.clients, routes, "clients"),
      shares: united([], routes, "shares"),
      conditions: once(hosts.flatMap(({ conditions }) => conditions)),
      rewrites: united([], routes, "rewrites"),
      // Of two ways to write one glob the first leads to the routes of both.
      hosts: once(globs.map(hostRow)),
      routes: hosts.flatMap((rows) => rows.routes),
      listeners: listeners.rows,
    };
  };
}

/** Rows that routes bring, each once, sorted by key. */
function united(
  first: readonly MapRow[],
  routes: readonly Route[],
  what: "clients" | "shares" | "rewrites",
): readonly MapRow[] {
  const rows = [...first];
  for (const route of routes) rows.push(...rowsOf(route)[what]);
  return rows.length === 0 ? rows : [...once(rows)].sort(byKey);
}

/** Of rows with one key the first counts, as when they are tried. */
function once(rows: readonly MapRow[]): readonly MapRow[] {
  const seen = new Set<string>();
  return rows.filter(({ key }) => !seen.has(key) && seen.add(key));
}

/** The rows of one host: each place of its own, and those of wider globs that it would hide. */
function hostRows(prefix: string, chain: readonly Scope[]): HostRows {
  const places = new Set(chain.flatMap(({ entries }) => [...entries.keys()]));
  const values = new Map<string, string>();
  const conditions: MapRow[] = [];
  for (const place of places) {
    const { conditional, plain } = resolved(place, chain);
    const rows = conditional.map((route) => ({ regex: requestRegex(route), value: writeValue(rowsOf(route).value) }));
    const [first] = conditional;
    const set = rows.length === 0 ? "" : hexDigest(JSON.stringify(rows), 12);
    for (const { regex, value } of rows) conditions.push({ key: `${boundedTries}^${set}\\x20${regex}`, value });
    if (plain !== undefined) values.set(place, writeValue({ ...rowsOf(plain).value, set }));
    else if (first !== undefined) {
      const [{ backend }] = first.targets as [RouteTarget];
      values.set(place, writeValue({ backend, set, only: "1" }));
    }
  }
  const routes: MapRow[] = [];
  for (const [place, value] of values) {
    const [, shorter] = beginningsOf(place, values);
    // What a shorter beginning says anyway needs no row of its own.
    if (chain.length === 1 || shorter === undefined || values.get(shorter) !== value) {
      routes.push({ key: `${prefix}${place}`, value });
    }
  }
  return { chain, routes: routes.sort(byKey), conditions };
}

/**
 * What is tried for requests whose path begins so, where none of a longer beginning is: its conditional routes, then
 * those of shorter beginnings, until one is for all requests.
 */
function resolved(place: string, chain: readonly Scope[]): Entry {
  const conditional: Route[] = [];
  for (const { entries } of chain) {
    for (const beginning of beginningsOf(place, entries)) {
      const entry = entries.get(beginning);
      if (entry === undefined) continue;
      conditional.push(...entry.conditional);
      if (entry.plain !== undefined) return { conditional, plain: entry.plain };
    }
  }
  return { conditional };
}

function rowsOf(route: Route): RouteRows {
  const before = known.get(route);
  if (before !== undefined) return before;
  const made = makeRows(route);
  known.set(route, made);
  return made;
}

function makeRows(route: Route): RouteRows {
  const id = hexDigest(patternKey(route), 12);
  const [first, ...others] = byShare(route.targets);
  if (first === undefined) throw new TypeError(`route ${id} leads nowhere`);
  const rewrites = route.targets.flatMap(({ options }) => rewriteRow(options)?.row ?? []);
  const rows = { clients: clientList(first.options).rows, rewrites };
  const value = targetValue(first, route, id);
  if (others.length === 0) return { ...rows, value, shares: [] };
  const parts = route.targets.map((target) => ({
    share: target.share,
    value: writeValue(targetValue(target, route, id)),
    ...(target.side !== undefined && { side: target.side }),
  }));
  const share = shareRows(parts);
  return { ...rows, value: { ...value, share: share.id }, shares: share.rows };
}

function targetValue({ backend, server, options, side }: RouteTarget, { path }: Route, id: string): RouteValue {
  return {
    backend,
    ...(server !== undefined && { server }),
    ...(side !== undefined && { side, sidePath: /^[!-:<-~]*$/.test(path) ? path : "/" }),
    ...optionFields(options, id),
  };
}

/** The largest share first. */
function byShare(targets: readonly RouteTarget[]): readonly RouteTarget[] {
  return targets.toSorted((a, b) => b.share - a.share);
}

/** Looked up is `<host>:<port>`. */
function hostRow({ glob, port }: HostGlob): MapRow {
  const pattern = globPattern(glob).slice(1, -1);
  return { key: `^(?:${pattern}):${port ?? "[0-9]+"}$`, value: port === undefined ? glob : `${glob}:${port}` };
}

function byKey(a: MapRow, b: MapRow): number {
  return order(a.key, b.key);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
