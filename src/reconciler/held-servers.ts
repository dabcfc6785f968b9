import { serviceKeyString } from "../catalog/service-key.ts";
import type { Instance } from "../catalog/types.ts";
import type { Hold } from "../guard/types.ts";
import type { LoadBalancer } from "../routing/types.ts";
import { canonicalIp } from "../support/ip.ts";

/** A server of HAProxy's, `backend/name`, and the hold it stands for. */
export type HeldServers = ReadonlyMap<string, Hold>;

/** Finds the servers of held instances, by their places: of two registrations at one place one speaks for both. */
export function heldServers(holds: readonly Hold[], loadBalancer: LoadBalancer): HeldServers {
  const byPlace = new Map<string, Hold>();
  for (const hold of holds) {
    for (const place of placesOfInstance(hold.instance)) byPlace.set(placed(hold.service, place), hold);
  }
  const found = new Map<string, Hold>();
  if (byPlace.size === 0) return found;
  const services = new Set(holds.map(({ service }) => service));
  for (const { name, sources, servers } of loadBalancer.backends) {
    for (const service of sources.map(serviceKeyString)) {
      if (!services.has(service)) continue;
      for (const server of servers) {
        const hold = byPlace.get(placed(service, server));
        if (hold !== undefined) found.set(`${name}/${server.name}`, hold);
      }
    }
  }
  return found;
}

/**
 * Where HAProxy reaches an instance: it may be another of its addresses than the plain one.
 *
 * @param service key string of its service
 * @returns the plain place where HAProxy has no server for it
 */
export function reachedAt(service: string, instance: Instance, loadBalancer: LoadBalancer | undefined): Address {
  if (instance.taggedAddresses === undefined || loadBalancer === undefined) return instance;
  const own = new Set(placesOfInstance(instance).map((place) => placed(service, place)));
  for (const { sources, servers } of loadBalancer.backends) {
    if (!sources.some((source) => serviceKeyString(source) === service)) continue;
    const server = servers.find(
      (one) => one.instance.node === instance.node && one.instance.id === instance.id && own.has(placed(service, one)),
    );
    if (server !== undefined) return server;
  }
  return instance;
}

interface Address {
  readonly address: string;
  readonly port: number;
}

/** All places it may be reached at, those that HAProxy can take. */
function placesOfInstance(instance: Instance): readonly Address[] {
  return [instance, ...Object.values(instance.taggedAddresses ?? {})].flatMap(({ address, port }) => {
    const canonical = canonicalIp(address);
    return canonical === undefined ? [] : [{ address: canonical, port }];
  });
}

function placed(service: string, { address, port }: Address): string {
  return JSON.stringify([service, address, port]);
}
