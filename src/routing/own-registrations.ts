import type { CatalogService } from "../catalog/types.ts";
import { registeredMeta } from "../settings/options/registered-meta.ts";

/**
 * A service without the instances that are HAProxy itself, registered under its name.
 *
 * @returns the very same object where there are none of these; undefined where there are no others
 */
export function withoutOwnRegistrations(service: CatalogService): CatalogService | undefined {
  const instances = service.instances.filter(({ meta }) => !Object.hasOwn(meta, registeredMeta));
  if (instances.length === service.instances.length) return service;
  return instances.length === 0 && service.spoke === undefined ? undefined : { ...service, instances };
}
