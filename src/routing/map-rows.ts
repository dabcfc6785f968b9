import { hexDigest } from "../support/digest.ts";
import { clientList } from "./clients.ts";
import { requestRegex } from "./conditions.ts";
import { globPattern } from "./globs.ts";
import { patternKey } from "./merge-claims.ts";
import { rewriteRow } from "./rewrites.ts";
import { optionFields, type RouteValue, writeValue } from "./route-value.ts";
import { beginningsOf, type Entry, globChain, globPrefix, type HostGlob, type Scope, scopesOf } from "./scopes.ts";
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

/** Rows by key, so that what several routes bring is there once. */
type Rows = Map<string, string>;

const known = new WeakMap<Route, RouteRows>();

/**
 * What the routes are at run time: the rows of the map files that haproxy/request.njk looks a request up in. Rows of other
 * maps than `routes` are named by what they say (shares, conditions, clients, rewrites): none is ever edited.
 *
 * @param listeners rows of listeners.map and the clients they name
 */
export function routeMaps(
  routes: readonly Route[],
  listeners: { readonly rows: readonly MapRow[]; readonly clients: readonly MapRow[] } = { rows: [], clients: [] },
): RouteMaps {
  const { byPrefix, globs, listens } = scopesOf(routes);
  const found: Rows = new Map();
  const conditions: Rows = new Map();
  const globPrefixes = new Set(listens.flatMap((listen) => globs.map((glob) => globPrefix(listen, glob))));
  for (const scope of byPrefix.values()) {
    if (!globPrefixes.has(scope.prefix)) addScope(scope.prefix, [scope], found, conditions);
  }
  for (const listen of listens) {
    for (const glob of globs) {
      const chain = globChain(glob, globs).flatMap((one) => byPrefix.get(globPrefix(listen, one)) ?? []);
      addScope(globPrefix(listen, glob), chain, found, conditions);
    }
  }
  const clients: Rows = new Map(listeners.clients.map(({ key, value }) => [key, value]));
  const shares: Rows = new Map();
  const rewrites: Rows = new Map();
  for (const route of routes) {
    const rows = rowsOf(route);
    for (const { key, value } of rows.clients) clients.set(key, value);
    for (const { key, value } of rows.shares) shares.set(key, value);
    for (const { key, value } of rows.rewrites) rewrites.set(key, value);
  }
  return {
    clients: sorted(clients),
    shares: sorted(shares),
    conditions: listed(conditions),
    rewrites: sorted(rewrites),
    hosts: globs.map(hostRow),
    routes: sorted(found),
    listeners: listeners.rows,
  };
}

/** The rows of one host: each place of its own, and those of wider globs that it would hide. */
function addScope(prefix: string, chain: readonly Scope[], found: Rows, conditions: Rows): void {
  const places = new Set(chain.flatMap(({ entries }) => [...entries.keys()]));
  const values = new Map<string, string>();
  for (const place of places) {
    const { conditional, plain } = resolved(place, chain);
    const rows = conditional.map((route) => ({ regex: requestRegex(route), value: writeValue(rowsOf(route).value) }));
    const [first] = conditional;
    const set = rows.length === 0 ? "" : hexDigest(JSON.stringify(rows), 12);
    for (const { regex, value } of rows) {
      const key = `^${set}\\x20${regex}`;
      // Of two that are the same the first counts, as when they are tried.
      if (!conditions.has(key)) conditions.set(key, value);
    }
    if (plain !== undefined) values.set(place, writeValue({ ...rowsOf(plain).value, set }));
    else if (first !== undefined) {
      const [{ backend }] = first.targets as [RouteTarget];
      values.set(place, writeValue({ backend, set, only: "1" }));
    }
  }
  for (const [place, value] of values) {
    const [, shorter] = beginningsOf(place, values);
    // What a shorter beginning says anyway needs no row of its own.
    if (chain.length === 1 || shorter === undefined || values.get(shorter) !== value) {
      found.set(`${prefix}${place}`, value);
    }
  }
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
  const rewrites = route.targets.flatMap(({ options }) => rewriteRow(options) ?? []);
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

function listed(rows: Rows): readonly MapRow[] {
  return [...rows].map(([key, value]) => ({ key, value }));
}

/** By key. */
function sorted(rows: Rows): readonly MapRow[] {
  return listed(rows).toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}
