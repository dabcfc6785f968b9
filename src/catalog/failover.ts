import { readOption } from "../settings/options/read-options.ts";
import { metaKeyOf } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { commaList } from "../support/comma-list.ts";
import type { Instance, Override } from "./types.ts";

const tagPrefix = "haproxy.failover=";
const metaKey = metaKeyOf("failover");
/** More datacenters are nobody's plan, and each costs a connection. */
const most = 8;
const none: readonly string[] = [];

type Said = readonly Pick<Instance, "tags" | "meta">[];

/**
 * The datacenters whose instances may serve for a service, in the order in which they are wanted. What the operator
 * wrote goes before what the instances say, and that before the settings, as for every option.
 *
 * @param said its instances, or those it had last
 * @param here the datacenter we are in, which is none of them
 */
export function failoverOf(
  name: string,
  said: Said,
  override: Override | undefined,
  settings: Pick<Settings["services"], "failover" | "options">,
  here: string,
): readonly string[] {
  const asked =
    override?.options.failover ??
    byInstances(said) ??
    optionOf(settings, name) ??
    optionOf(settings, "*") ??
    commaList(settings.failover);
  if (asked.length === 0) return none;
  return [...new Set(asked)].filter((datacenter) => datacenter !== here).slice(0, most);
}

function optionOf({ options }: Pick<Settings["services"], "options">, name: string): readonly string[] | undefined {
  return Object.hasOwn(options, name) ? options[name]?.options.failover : undefined;
}

const known = new WeakMap<Said, readonly string[] | undefined>();

/** All that any of them asks for: which of them has the say is for routing to decide. */
function byInstances(said: Said): readonly string[] | undefined {
  if (known.has(said)) return known.get(said);
  const found: string[] = [];
  for (const { tags, meta } of said) {
    for (const tag of tags) if (tag.startsWith(tagPrefix)) found.push(...read(tag.slice(tagPrefix.length)));
    const value = Object.hasOwn(meta, metaKey) ? meta[metaKey] : undefined;
    if (value !== undefined) found.push(...read(value));
  }
  const result = found.length === 0 ? undefined : found;
  known.set(said, result);
  return result;
}

function read(value: string): readonly string[] {
  const result = readOption("failover", value);
  return result.kind === "value" ? (result.value as readonly string[]) : none;
}
