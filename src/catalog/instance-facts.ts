import type { Instance } from "./types.ts";

/** Names of addresses that a service may be reached at. Not `virtual`: it is the mesh's, and no server (Consul: service mesh). */
const names = ["lan", "wan", "lan_ipv4", "lan_ipv6", "wan_ipv4", "wan_ipv6"] as const;
/** Longer ones name no zone of anybody's. */
const longestZone = 128;

type Addresses = NonNullable<Instance["taggedAddresses"]>;

/**
 * Addresses by name: the service's own; where it has no address of its own, its node's, with the service's port (so does
 * Consul when it translates addresses: agent/translate_addr.go). What has another shape costs that one alone, and what
 * says the same as the plain address is left out: Consul adds such by itself.
 *
 * @param service what Consul has under `Service.TaggedAddresses`: any JSON
 * @param node what it has under `Node.TaggedAddresses`, where the service has no address of its own; any JSON
 * @returns undefined where there is none
 */
export function readTaggedAddresses(
  service: unknown,
  node: unknown,
  { address, port }: Pick<Instance, "address" | "port">,
): Addresses | undefined {
  if (!isObject(service) && !isObject(node)) return undefined;
  const found: Record<string, { readonly address: string; readonly port: number }> = {};
  let any = false;
  for (const name of names) {
    const tagged = ownAddress(service, name, port) ?? nodeAddress(node, name, port);
    if (tagged === undefined || (tagged.address === address && tagged.port === port)) continue;
    found[name] = tagged;
    any = true;
  }
  return any ? found : undefined;
}

/**
 * A node's zone by its meta.
 *
 * @param meta what Consul has under `Node.Meta`: any JSON
 */
export function readZone(meta: unknown, key: string | undefined): string | undefined {
  if (key === undefined || !isObject(meta) || !Object.hasOwn(meta, key)) return undefined;
  const zone = meta[key];
  return typeof zone === "string" && zone !== "" && zone.length <= longestZone ? zone : undefined;
}

/** Consul's index of the registration, as far as it can be one. */
export function readIndex(index: unknown): number | undefined {
  return typeof index === "number" && Number.isSafeInteger(index) && index > 0 ? index : undefined;
}

export function sameAddresses(a: Addresses | undefined, b: Addresses | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return names.every((name) => a[name]?.address === b[name]?.address && a[name]?.port === b[name]?.port);
}

function ownAddress(addresses: unknown, name: string, port: number) {
  if (!isObject(addresses) || !Object.hasOwn(addresses, name)) return undefined;
  const tagged = addresses[name];
  if (!isObject(tagged)) return undefined;
  const { Address: address, Port: own } = tagged;
  if (typeof address !== "string" || address === "") return undefined;
  return { address, port: typeof own === "number" && own !== 0 ? own : port };
}

function nodeAddress(addresses: unknown, name: string, port: number) {
  if (!isObject(addresses) || !Object.hasOwn(addresses, name)) return undefined;
  const address = addresses[name];
  return typeof address === "string" && address !== "" ? { address, port } : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
