import { isDeepStrictEqual } from "node:util";
import { serviceKeyString } from "../catalog/service-key.ts";
import type { ServiceKey } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import type { ServiceBackend } from "./backend.ts";
import { type MergedListeners, mergeListeners } from "./listeners.ts";
import { createMapper } from "./map-rows.ts";
import { createMerger } from "./merged-routes.ts";
import { createOwnNames } from "./own-names.ts";
import { sameList } from "./same-list.ts";
import { shown } from "./shown.ts";
import type { Backend, Exclusion, ListenClaim, LoadBalancer, Route, RouteMaps } from "./types.ts";

/** The settings that have a say in how services are put together. */
export type AssemblySettings = Pick<Settings, "http" | "https" | "stats" | "tcp">;

/**
 * Makes the function that puts the services together: their backends, sorted, with names told apart; their claims as routes;
 * the ports they want; and the maps that all of this is at run time. Where two services want one backend name, one that has
 * servers goes before one that is only remembered, else the first in the order of their own names; the other is named.
 *
 * The function is pure; what did not change since the last call keeps its identity, and costs next to nothing.
 */
export function createAssembler(): (
  found: readonly ServiceBackend[],
  settings: AssemblySettings,
  closedPorts?: ReadonlyMap<number, string>,
) => LoadBalancer {
  const ownNames = createOwnNames();
  const merge = createMerger();
  const mapsOf = createMapper();
  let listening: Listening | undefined;
  let mapped:
    | { readonly routes: readonly Route[]; readonly merged: MergedListeners; readonly maps: RouteMaps }
    | undefined;
  let left: readonly Exclusion[] = [];
  return (found, settings, closedPorts = allOpen) => {
    const { services, backends, excluded } = namedApart(found);
    const byName = new Map(backends.map((backend) => [backend.name, backend]));
    const { lists, excluded: foreign } = ownNames(services);
    const { routes, excluded: conflicts } = merge(lists, byName);
    listening = listeningTo(
      services.flatMap(({ listens }) => listens).filter(({ backend }) => byName.has(backend)),
      settings,
      closedPorts,
      listening,
    );
    const { merged } = listening;
    if (mapped?.routes !== routes || mapped.merged !== merged) {
      mapped = { routes, merged, maps: mapsOf(routes, merged) };
    }
    const fallback = services.find(({ backend }) => isDefault(backend, settings));
    const open = fallback === undefined || !isGuarded(fallback);
    const walkedAround = open ? [] : [guardedDefault(fallback)];
    const all = [...excluded, ...foreign, ...conflicts, ...merged.excluded, ...walkedAround].sort(byService);
    if (!sameList(left, all)) left = all;
    return {
      backends: withPicks(backends, routes),
      routes,
      listeners: merged.listeners,
      maps: mapped.maps,
      registers: [...new Set(services.flatMap(({ registers }) => registers))].sort(),
      ...(fallback !== undefined && open && { defaultBackend: fallback.backend.name }),
      ...(fallback === undefined && settings.http.defaultService !== undefined && { defaultAwaited: true as const }),
      excluded: left,
    };
  };
}

function isDefault({ sources, mode }: Backend, { http }: AssemblySettings): boolean {
  return mode === "http" && sources[0]?.name === http.defaultService;
}

function isGuarded({ claims }: ServiceBackend): boolean {
  return claims.some(({ options: { auth, allow, deny } }) => (auth ?? allow ?? deny) !== undefined);
}

/** Requests that no route matches go to the default service as they are: any other host would do to get past a guard. */
function guardedDefault({ backend }: ServiceBackend): Exclusion {
  const reason =
    "http.defaultService would be a way around what guards it (auth, allow, deny), so what no route matches gets 404; say by haproxy.path=/ that it takes all hosts, or name another service";
  return { service: sourceOf(backend).name, code: "option-unusable", reason };
}

/** What became of the claims on ports. */
interface Listening {
  readonly merged: MergedListeners;
  readonly claims: readonly ListenClaim[];
  readonly settings: AssemblySettings;
  readonly closedPorts: ReadonlyMap<number, string>;
}

const allOpen: ReadonlyMap<number, string> = new Map();

function listeningTo(
  claims: readonly ListenClaim[],
  settings: AssemblySettings,
  closedPorts: ReadonlyMap<number, string>,
  before: Listening | undefined,
): Listening {
  const same =
    before !== undefined &&
    before.closedPorts === closedPorts &&
    sameList(before.claims, claims) &&
    sameSettings(before.settings, settings);
  if (same) return before;
  const merged = mergeListeners(claims, settings, closedPorts);
  // An instance more in a claim changes nothing where it is not shared.
  const kept = before !== undefined && isDeepStrictEqual(before.merged, merged) ? before.merged : merged;
  return { merged: kept, claims, settings, closedPorts };
}

function sameSettings(a: AssemblySettings, b: AssemblySettings): boolean {
  return a.http === b.http && a.https === b.https && a.stats === b.stats && a.tcp === b.tcp;
}

/** Services whose backend's name is their own, and all backends by name. */
function namedApart(found: readonly ServiceBackend[]) {
  const excluded: Exclusion[] = [];
  const services: ServiceBackend[] = [];
  const taken = new Map<string, Backend>();
  const taking = (backend: Backend): boolean => {
    const holder = taken.get(backend.name);
    if (holder === undefined) {
      taken.set(backend.name, backend);
      return true;
    }
    const reason = `its backend name ${backend.name} is taken by the service ${shown(sourceOf(holder).name)}; rename one`;
    excluded.push({ service: sourceOf(backend).name, code: "name-conflict", reason });
    return false;
  };
  for (const service of [...found].sort(byBackend)) {
    if (!taking(service.backend)) continue;
    services.push(service);
    excluded.push(...service.excluded);
  }
  const lost = new Set(services.filter(({ tcp }) => tcp !== undefined && !taking(tcp)));
  const kept = lost.size === 0 ? services : services.map((one) => (lost.has(one) ? withoutTcp(one) : one));
  return { services: kept, backends: [...taken.values()].sort((a, b) => order(a.name, b.name)), excluded };
}

function withoutTcp({ tcp, ...service }: ServiceBackend): ServiceBackend {
  return { ...service, listens: service.listens.filter(({ backend }) => backend !== tcp?.name) };
}

const picking = new WeakMap<Backend, Backend>();
/** The list of routes is the very same while none changed, and a join leaves it so. */
const namedBy = new WeakMap<readonly Route[], ReadonlySet<string>>();

/** Marks the backends of which a route names servers. */
function withPicks(backends: readonly Backend[], routes: readonly Route[]): readonly Backend[] {
  const named = namedBy.get(routes) ?? backendsNamed(routes);
  namedBy.set(routes, named);
  if (named.size === 0) return backends;
  return backends.map((backend) => {
    if (!named.has(backend.name) || backend.picks) return backend;
    const marked = picking.get(backend) ?? { ...backend, picks: true };
    picking.set(backend, marked);
    return marked;
  });
}

function backendsNamed(routes: readonly Route[]): ReadonlySet<string> {
  const named = new Set<string>();
  for (const { targets } of routes) {
    for (const { backend, server } of targets) if (server !== undefined) named.add(backend);
  }
  return named;
}

function sourceOf(backend: Backend): ServiceKey {
  const source = backend.sources[0];
  if (source === undefined) throw new TypeError(`backend ${backend.name} has no source`);
  return source;
}

function byBackend({ backend: a }: ServiceBackend, { backend: b }: ServiceBackend): number {
  if (a.name !== b.name) return order(a.name, b.name);
  // A service that is only remembered must not keep its name from one that has instances: a datacenter that was renamed.
  if ((a.servers.length === 0) !== (b.servers.length === 0)) return a.servers.length === 0 ? 1 : -1;
  const [one, other] = [sourceOf(a), sourceOf(b)];
  return order(one.name, other.name) || order(serviceKeyString(one), serviceKeyString(other));
}

function byService(a: Exclusion, b: Exclusion): number {
  return (
    order(a.service, b.service) ||
    order(a.instance ?? "", b.instance ?? "") ||
    order(a.code, b.code) ||
    order(a.reason, b.reason)
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
