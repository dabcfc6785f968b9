import type { Settings } from "../settings/schema.ts";
import { SluiceError } from "../support/errors.ts";
import { type ListAnswer, parseList } from "./answers.ts";
import { type ConsulRequest, pathSegment } from "./consul-client.ts";
import { compare } from "./health.ts";
import type { Instance } from "./types.ts";

export type Expose = Settings["services"]["expose"];

/** The services the catalog lists, in the order of their names, and whether a tag of theirs asks to be exposed. */
export type ServiceList = ReadonlyMap<string, boolean>;

/**
 * Meta keys that expose a service. The list of services has no meta, and a filter cannot ask for a prefix of a key:
 * a service that is exposed by meta alone needs one of these.
 */
export const exposedMetaKeys = [
  "haproxy_enable",
  "haproxy_host",
  "haproxy_path",
  "haproxy_mode",
  "haproxy_balance",
  "haproxy_weight",
  "haproxy_check",
  "haproxy_listen",
  "haproxy_priority",
  "haproxy_maxconn",
  "haproxy_sticky",
] as const;

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
export function readList(body: unknown): ServiceList {
  const list = normaliseList(parseList(body));
  if (list.size > 0) return list;
  throw new SluiceError(
    "ERR_CONSUL_ANSWER_INVALID",
    "Consul lists no service at all, not even itself: check the rights of consul.token (read on services and nodes)",
    { retryable: true, details: { noData: true } },
  );
}

export function normaliseList(answer: ListAnswer): ServiceList {
  const names = Object.keys(answer).filter((name) => name !== "");
  return new Map(names.sort(compare).map((name) => [name, (answer[name] ?? []).some(isExposingTag)]));
}

export function sameList(a: ServiceList, b: ServiceList): boolean {
  if (a.size !== b.size) return false;
  for (const [name, exposed] of a) if (b.get(name) !== exposed) return false;
  return true;
}

/** The names to watch, sorted. Consul itself is never one of them. */
export function selectNames(list: ServiceList, byMeta: ReadonlySet<string>, expose: Expose): readonly string[] {
  const selected: string[] = [];
  for (const [name, byTag] of list) {
    if (name !== "consul" && (expose === "all" || byTag || byMeta.has(name))) selected.push(name);
  }
  return selected;
}

/** Whether an instance asks for its service to be exposed. */
export function exposes(instance: Instance, byMeta: boolean): boolean {
  return (
    instance.tags.some(isExposingTag) || (byMeta && exposedMetaKeys.some((key) => Object.hasOwn(instance.meta, key)))
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

function isExposingTag(tag: string): boolean {
  return tag.startsWith("haproxy.") || tag.startsWith("urlprefix-");
}
