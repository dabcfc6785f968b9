import { serviceKeyString } from "../../../src/catalog/service-key.ts";
import type { CatalogService, Instance, ServiceKey } from "../../../src/catalog/types.ts";
import { createRouter } from "../../../src/routing/route.ts";
import type { Admitted, LoadBalancer, Server } from "../../../src/routing/types.ts";
import { type Settings, settingsSchema } from "../../../src/settings/schema.ts";

export const nobody: Admitted = new Map();

export function settings(given: object = {}): Settings {
  return settingsSchema.parse(given);
}

export function key(name: string, more: Partial<ServiceKey> = {}): ServiceKey {
  return { datacenter: "dc1", name, ...more };
}

/** A passing instance of `service` at 10.0.0.<number>:8080, exposed by a tag. */
export function instance(service: string, number: number, more: Partial<Instance> = {}): Instance {
  return {
    node: `node-${number}`,
    id: `${service}-${number}`,
    service: key(service),
    address: `10.0.0.${number}`,
    port: 8080,
    tags: ["haproxy.enable=true"],
    meta: {},
    weights: { passing: 1, warning: 1 },
    health: "passing",
    ...more,
  };
}

export function service(
  name: string | ServiceKey,
  instances: readonly Instance[],
  more: Partial<CatalogService> = {},
): CatalogService {
  return { key: typeof name === "string" ? key(name) : name, instances, freshness: { asOf: 0, stale: false }, ...more };
}

export function byKey(services: readonly CatalogService[]): ReadonlyMap<string, CatalogService> {
  return new Map(services.map((one) => [serviceKeyString(one.key), one]));
}

/** Routed once, by a router that remembers nothing. */
export function routed(
  services: readonly CatalogService[],
  given: object = {},
  admitted: Admitted = nobody,
): LoadBalancer {
  return createRouter()(byKey(services), settings(given), admitted);
}

/** The servers of the first backend. */
export function serversOf(loadBalancer: LoadBalancer): readonly Server[] {
  return loadBalancer.backends[0]?.servers ?? [];
}
