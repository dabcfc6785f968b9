import type { CatalogService } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";

/**
 * Whether a service is to be reached through the load balancer. `tagged`: any instance with a `haproxy.*` or
 * `urlprefix-*` tag or a `haproxy_*` meta key; `all`: everything but Consul itself. A service without instances has
 * nothing to tell by: it is here because it was selected, so its empty backend and its routes stay.
 */
export function isExposed(service: CatalogService, expose: Settings["services"]["expose"]): boolean {
  if (service.key.name === "consul") return false;
  if (expose === "all" || service.instances.length === 0) return true;
  return service.instances.some(
    ({ tags, meta }) => tags.some(isExposingTag) || Object.keys(meta).some((key) => key.startsWith("haproxy_")),
  );
}

function isExposingTag(tag: string): boolean {
  return tag.startsWith("haproxy.") || tag.startsWith("urlprefix-");
}
