import type { z } from "zod";
import { instanceOptions } from "./instance-options.ts";
import type { Option } from "./option.ts";
import { routeOptions } from "./route-options.ts";
import { serviceOptions } from "./service-options.ts";

/** Every option by its key, in the order of docs/routing.md. The one source for tags, meta, overrides and settings. */
export const optionTable = { ...serviceOptions, ...routeOptions, ...instanceOptions } as const;

export type OptionKey = keyof typeof optionTable;

type Values<T extends Readonly<Record<string, Option>>> = {
  readonly [K in keyof T]?: z.output<T[K]["value"]>;
};

export type ServiceOptions = Values<typeof serviceOptions>;
export type RouteOptions = Values<typeof routeOptions>;
export type InstanceOptions = Values<typeof instanceOptions>;
/** Options by key, each left out where nobody set it. */
export type Options = ServiceOptions & RouteOptions & InstanceOptions;

/** `timeout.server` in meta is `haproxy_timeout_server`: Consul allows neither dots nor colons in its keys. */
export function metaKeyOf(key: OptionKey): string {
  return `haproxy_${key.replaceAll(/[.-]/g, "_")}`;
}
