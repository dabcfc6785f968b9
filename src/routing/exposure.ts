import type { CatalogService } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import { commaList } from "../support/comma-list.ts";
import { type Speaking, saysOwn } from "./own-words.ts";

/**
 * Whether a service is to be reached through the load balancer. What it says of itself by `enable` decides, or what is
 * said of it in the settings or an override. Else, `tagged`: any instance with a `haproxy.*` tag, one of Fabio's, or a
 * `haproxy_*` meta key; `all`: everything but Consul itself. A service without instances has nothing to tell by: it is
 * here because it was selected, so its empty backend and its routes stay. What stands for a prepared query was asked for
 * by name.
 *
 * @param enable what holds of the option of that name
 */
export function isExposed(
  { key, instances }: Pick<CatalogService, "key" | "instances">,
  settings: Pick<Settings["services"], "expose" | "fabioPrefix" | "queries">,
  enable?: boolean,
): boolean {
  if (key.name === "consul") return false;
  if (enable !== undefined) return enable;
  if (settings.expose === "all" || instances.length === 0 || commaList(settings.queries).includes(key.name))
    return true;
  return instances.some((instance) => saysOwn(instance) || saysFabio(instance, settings.fabioPrefix));
}

/** Whether it has a tag of Fabio's. */
export function saysFabio({ tags }: Pick<Speaking, "tags">, prefix: string): boolean {
  return tags.some((tag) => tag.trimStart().startsWith(prefix));
}
