import type { ServiceKey } from "./types.ts";

/**
 * The one canonical string of a service key: `datacenter/partition/namespace/peer/name`, each part
 * percent-encoded, so that no name can imitate another key. Case is kept.
 */
export function serviceKeyString(key: ServiceKey): string {
  return [key.datacenter, key.partition ?? "", key.namespace ?? "", key.peer ?? "", key.name].map(encode).join("/");
}

/** The service's name in a key string. */
export function nameOfKey(keyString: string): string {
  return decodeURIComponent(keyString.slice(keyString.lastIndexOf("/") + 1));
}

function encode(part: string): string {
  // Lone surrogates make encodeURIComponent throw; a name from the catalog may hold any bytes.
  return encodeURIComponent(part.toWellFormed());
}
