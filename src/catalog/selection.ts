import { optionKeys } from "../settings/options/read-options.ts";
import { metaKeyOf } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { SluiceError } from "../support/errors.ts";
import { type ListAnswer, parseList } from "./answers.ts";
import { type ConsulRequest, pathSegment } from "./consul-client.ts";
import { compare } from "./health.ts";
import type { Instance } from "./types.ts";

export type Expose = Settings["services"]["expose"];

/** The services the catalog lists, in the order of their names, and whether a tag of theirs asks to be exposed. */
export type ServiceList = ReadonlyMap<string, boolean>;

/** What of the settings says which services are selected, and what of the catalog is of interest. */
export type CatalogSettings = Pick<
  Settings["services"],
  "expose" | "fabioPrefix" | "options" | "overrides" | "failover" | "zoneMeta" | "queries"
>;

/**
 * Meta keys that expose a service: those of the table of options. The list of services has no meta, and a filter cannot
 * ask for a prefix of a key: a service that is exposed by meta alone needs one of these. One that has only keys of named
 * routes (`haproxy_route_<name>_…`) cannot be found so, and needs `haproxy_enable` beside them.
 */
export const exposedMetaKeys: readonly string[] = optionKeys.map(metaKeyOf);

export const listRequest: ConsulRequest = { path: "/catalog/services" };

/** The list of the services with an exposing meta key (Consul API: Filtering; on this path from 1.14). */
export const metaListRequest: ConsulRequest = {
  path: "/catalog/services",
  query: { filter: exposedMetaKeys.map((key) => `"${key}" in ServiceMeta`).join(" or ") },
};

export function healthRequest(name: string): ConsulRequest {
  return { path: `/health/service/${pathSegment(name)}` };
}

/** The same question, in the one form that is never answered from a streaming view: with `near`. */
export function plainHealthRequest(name: string): ConsulRequest {
  return { path: `/health/service/${pathSegment(name)}`, query: { near: "_agent" } };
}

/**
 * The list of the services out of the body of an answer. Consul's own servers stand in every catalog, so that a list
 * with nothing in it is one that the token may not see, or of a catalog that has no data yet.
 *
 * @throws SluiceError ERR_CONSUL_ANSWER_INVALID
 */
export function readList(body: unknown, fabioPrefix: string): ServiceList {
  const list = normaliseList(parseList(body), fabioPrefix);
  if (list.size > 0) return list;
  throw new SluiceError(
    "ERR_CONSUL_ANSWER_INVALID",
    "Consul lists no service at all, not even itself: check the rights of consul.token (read on services and nodes)",
    { retryable: true, details: { noData: true } },
  );
}

/** @param fabioPrefix the setting `services.fabioPrefix` */
export function normaliseList(answer: ListAnswer, fabioPrefix: string): ServiceList {
  const names = Object.keys(answer).filter((name) => name !== "");
  const exposing = (tag: string) => isExposingTag(tag, fabioPrefix);
  return new Map(names.sort(compare).map((name) => [name, (answer[name] ?? []).some(exposing)]));
}

export function sameList(a: ServiceList, b: ServiceList): boolean {
  if (a.size !== b.size) return false;
  for (const [name, exposed] of a) if (b.get(name) !== exposed) return false;
  return true;
}

/**
 * The names to watch, sorted. Consul itself is never one of them.
 *
 * @param enabled names that an operator exposes whatever their tags say
 */
export function selectNames(
  list: ServiceList,
  byMeta: ReadonlySet<string>,
  expose: Expose,
  enabled: ReadonlySet<string> = nobody,
): string[] {
  const selected: string[] = [];
  for (const [name, byTag] of list) {
    if (name !== "consul" && (expose === "all" || byTag || byMeta.has(name) || enabled.has(name))) selected.push(name);
  }
  return selected;
}

/** Whether an instance asks for its service to be exposed. */
export function exposes(instance: Instance, byMeta: boolean, fabioPrefix: string): boolean {
  return (
    instance.tags.some((tag) => isExposingTag(tag, fabioPrefix)) ||
    (byMeta && exposedMetaKeys.some((key) => Object.hasOwn(instance.meta, key)))
  );
}

/**
 * The names of the list that was asked for with a filter.
 *
 * @returns undefined where the filter was not applied: Consul itself has no exposing meta, an agent before 1.14
 *   ignores the filter and lists it
 */
export function namesByMeta(answer: ListAnswer): ReadonlySet<string> | undefined {
  const names = new Set(Object.keys(answer));
  return names.has("consul") ? undefined : names;
}

/**
 * Whether a name is one that Consul may take into its catalog and yet refuse to be asked for: it holds what a path
 * cannot, is a folder's name, or is longer than a DNS name.
 */
export function isOddName(name: string): boolean {
  return !/^[\w.-]{1,255}$/.test(name) || /^\.+$/.test(name);
}

/** Fabio reads its tags without the white space around them. */
function isExposingTag(tag: string, fabioPrefix: string): boolean {
  return tag.startsWith("haproxy.") || tag.trimStart().startsWith(fabioPrefix);
}

const nobody: ReadonlySet<string> = new Set();
