import { hexDigest } from "../support/digest.ts";
import { hostAndPort } from "../support/ip.ts";

/** Longer names are cut: HAProxy takes them, but a stats page or a log line with a 300-character name serves nobody. */
const maxLength = 100;
const safe = /^[A-Za-z0-9_.:-]+$/;
/** Sluice's own sections; a service may not pass for one. */
const reserved = /^sluice_/;

/**
 * A name that HAProxy takes: the given one where it is made of `A-Za-z0-9_.:-`, else its safe form plus `-` and six
 * hex digits of its digest, so that two names that differ stay apart.
 * (HAProxy configuration manual 2.1: characters allowed in proxy and server names.)
 */
export function safeName(name: string): string {
  if (name.length <= maxLength && safe.test(name) && !reserved.test(name)) return name;
  const form = name
    .slice(0, maxLength)
    .replace(/[^A-Za-z0-9_.:-]/g, "_")
    .replace(reserved, "service_");
  return `${form}-${hexDigest(name, 6)}`;
}

/** The name of a service's second backend, in mode tcp beside the one that HTTP leads to. */
export function tcpName(backend: string): string {
  return `${backend}:tcp`;
}

/**
 * `<label>_<address>:<port>`. The label is the ServiceID, or the node's name where the id is just the service's name
 * (Consul's default). Depends on the instance alone: never on order, neighbours or history.
 */
export function serverName(
  instance: { node: string; id: string },
  service: string,
  address: string,
  port: number,
): string {
  const label = instance.id === service || instance.id === "" ? instance.node : instance.id;
  // hostAndPort puts IPv6 in brackets, which HAProxy does not take in a name.
  return `${safeName(label)}_${hostAndPort(address, port).replace(/[[\]]/g, "")}`;
}

/**
 * An explicit server id for consistent hashing: a digest of the name, the same in file and command, so that a server's
 * place on the ring does not depend on the order in which servers were added. 1..2147483647.
 */
export function serverId(name: string): number {
  return (Number.parseInt(hexDigest(name, 8), 16) % 0x7fffffff) + 1;
}
