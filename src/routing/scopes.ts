import { compareGlobs, globCovers, isGlob } from "./globs.ts";
import { sameList } from "./same-list.ts";
import type { Route } from "./types.ts";

/** A route, and its place among those of the same host and path: conditional ones are tried first. */
export interface Entry {
  /** With methods or headers; in the order they are tried. */
  readonly conditional: readonly Route[];
  readonly plain?: Route;
}

/** The routes of one listener and one host, or glob of hosts, by the part of their key behind it: `/path`, `/path?`. */
export interface Scope {
  /** `[@<port>!]<host>[:<port>]`: what the keys of its rows begin with. */
  readonly prefix: string;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** Hosts as they are looked up: a glob, and the port it is for. */
export interface HostGlob {
  readonly glob: string;
  readonly port?: number;
}

export interface Scopes {
  readonly byPrefix: ReadonlyMap<string, Scope>;
  /** In the order they are tried: the most specific first. */
  readonly globs: readonly HostGlob[];
  /** Own ports that have routes; 0 for the entry points. */
  readonly listens: readonly number[];
}

/** A scope, and the routes it was made of. */
interface MadeScope {
  readonly routes: readonly Route[];
  readonly scope: Scope;
}

/** Makes the function that sorts routes into scopes. A scope whose routes are the very same is the same object as before. */
export function createScoper(): (routes: readonly Route[]) => Scopes {
  let made = new Map<string, MadeScope>();
  const prefixes = new WeakMap<Route, string>();
  return (routes) => {
    const wanted = new Map<string, Route[]>();
    const globs = new Map<string, HostGlob>();
    const listens = new Set<number>();
    for (const route of routes) {
      const prefix = prefixes.get(route) ?? prefixOf(route.listen ?? 0, route);
      prefixes.set(route, prefix);
      const there = wanted.get(prefix);
      if (there !== undefined) {
        there.push(route);
        continue;
      }
      wanted.set(prefix, [route]);
      listens.add(route.listen ?? 0);
      if (isGlob(route.host)) {
        const { host: glob, hostPort: port } = route;
        globs.set(hostText(route), port === undefined ? { glob } : { glob, port });
      }
    }
    const next = new Map<string, MadeScope>();
    for (const [prefix, list] of wanted) {
      const before = made.get(prefix);
      const same = before !== undefined && sameList(before.routes, list);
      next.set(prefix, same ? before : { routes: list, scope: { prefix, entries: entriesOf(list) } });
    }
    made = next;
    return {
      byPrefix: new Map([...next].map(([prefix, { scope }]) => [prefix, scope])),
      globs: [...globs.values()].sort(byGlob),
      listens: [...listens],
    };
  };
}

/** What the keys of a host's routes begin with. No host has a `!`, so that nobody gets at another listener's routes by one. */
function prefixOf(listen: number, host: Pick<Route, "host" | "hostPort">): string {
  return `${listen === 0 ? "" : `@${listen}!`}${hostText(host)}`;
}

export function globPrefix(listen: number, { glob, port }: HostGlob): string {
  return prefixOf(listen, port === undefined ? { host: glob } : { host: glob, hostPort: port });
}

/**
 * Where a request goes that a glob was found for: its own routes, then those of the globs that take in all its hosts. Of
 * two globs that only overlap the more specific one alone is looked at.
 */
export function globChain({ glob, port }: HostGlob, all: readonly HostGlob[]): readonly HostGlob[] {
  return all.filter((one) => (one.port === undefined || one.port === port) && globCovers(one.glob, glob));
}

/** Longest first. */
export function beginningsOf(key: string, entries: ReadonlyMap<string, unknown>): string[] {
  const found: string[] = [];
  for (let length = key.length; length > 0; length -= 1) {
    const beginning = key.slice(0, length);
    if (entries.has(beginning)) found.push(beginning);
  }
  return found;
}

/** `/path` for a beginning, `/path?` for that path alone: the path of a request has a `?` put behind it, and none within. */
function pathKeys({ path, match }: Route): readonly string[] {
  if (match === "exact") return [`${path}?`];
  return match === "prefix" || path.endsWith("/") ? [path] : [`${path}?`, `${path}/`];
}

function hostText({ host, hostPort }: Pick<Route, "host" | "hostPort">): string {
  return hostPort === undefined ? host : `${host}:${hostPort}`;
}

function entriesOf(routes: readonly Route[]): ReadonlyMap<string, Entry> {
  const byKey = new Map<string, Route[]>();
  for (const route of routes) {
    for (const key of pathKeys(route)) {
      const there = byKey.get(key);
      if (there === undefined) byKey.set(key, [route]);
      else there.push(route);
    }
  }
  return new Map([...byKey].map(([key, list]) => [key, entryOf(list)]));
}

function entryOf(routes: readonly Route[]): Entry {
  const isPlain = ({ methods, conditions }: Route) => methods.length === 0 && conditions.length === 0;
  // The same place may be asked for as a beginning that ends in `/` and as a path with what is below it.
  const plain = routes.filter(isPlain).sort(byPriority)[0];
  const conditional = routes.filter((route) => !isPlain(route)).sort(byPriority);
  return { conditional, ...(plain !== undefined && { plain }) };
}

/** Higher priority, more headers, a method rather than any, and then any order that is always the same. */
function byPriority(a: Route, b: Route): number {
  return (
    b.priority - a.priority ||
    b.conditions.length - a.conditions.length ||
    Number(b.methods.length > 0) - Number(a.methods.length > 0) ||
    b.path.length - a.path.length ||
    order(textOf(a), textOf(b))
  );
}

function textOf({ methods, conditions, path, match }: Route): string {
  return JSON.stringify([methods, conditions, path, match]);
}

function byGlob(a: HostGlob, b: HostGlob): number {
  return compareGlobs(a.glob, b.glob) || (b.port ?? 0) - (a.port ?? 0);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
