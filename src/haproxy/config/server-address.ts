import { canonicalIp } from "../../support/ip.ts";

export interface ServerAddress {
  /** An IP address in its one text form, or the text as it stands where it is none. */
  readonly address: string;
  /** 0 where there is none, or none that is a plain number: then it stays part of the address. */
  readonly port: number;
}

/** Families that say what the address shows anyway. */
const ipFamily = /^(?:ipv4|ipv6|tcp4|tcp6|tcp)@/;
/** Socket paths, descriptors and the families whose colons are no ports. */
const noPort = /^(?:\/|[a-z0-9+]+@)/;

/**
 * Takes the address of a server line apart (configuration manual 11.1 and 5.2; checked against 2.6.12): what stands
 * behind the last colon is the port, so `::1` is the address `:` with port 1 and `::1:80` or `[::1]:80` what one
 * means. `*` and an empty address are 0.0.0.0: the address the client asked for.
 *
 * An address equals what `show servers state` prints once both went through `canonicalIp`. Host names, socket paths
 * (`show servers state` prints `-`), port offsets (`:+8`) and environment variables stay text.
 */
export function parseServerAddress(written: string): ServerAddress {
  const text = written.replace(ipFamily, "");
  if (noPort.test(text)) return { address: text, port: 0 };
  const [, host = text, digits = ""] = /^(.*):([0-9]*)$/.exec(text) ?? [];
  const port = Number(digits);
  if (port > 65535) return { address: text, port: 0 };
  if (host === "*" || host === "") return { address: "0.0.0.0", port };
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  return { address: canonicalIp(bare) ?? host, port };
}
