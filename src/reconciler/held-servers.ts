import { serviceKeyString } from "../catalog/service-key.ts";
import type { Hold } from "../guard/types.ts";
import type { LoadBalancer } from "../routing/types.ts";
import { canonicalIp } from "../support/ip.ts";

/** A server of HAProxy's, `backend/name`, and the hold it stands for. */
export type HeldServers = ReadonlyMap<string, Hold>;

/** Finds the servers of held instances, by their places: of two registrations at one place one speaks for both. */
export function heldServers(holds: readonly Hold[], loadBalancer: LoadBalancer): HeldServers {
  const byPlace = new Map<string, Hold>();
  for (const hold of holds) {
    const address = canonicalIp(hold.instance.address);
    if (address !== undefined) byPlace.set(placed(hold.service, address, hold.instance.port), hold);
  }
  const found = new Map<string, Hold>();
  if (byPlace.size === 0) return found;
  const services = new Set(holds.map(({ service }) => service));
  for (const { name, sources, servers } of loadBalancer.backends) {
    for (const service of sources.map(serviceKeyString)) {
      if (!services.has(service)) continue;
      for (const server of servers) {
        const hold = byPlace.get(placed(service, server.address, server.port));
        if (hold !== undefined) found.set(`${name}/${server.name}`, hold);
      }
    }
  }
  return found;
}

function placed(service: string, address: string, port: number): string {
  return JSON.stringify([service, address, port]);
}
