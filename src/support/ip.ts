import { isIP } from "node:net";

/**
 * The one text form of an IP address: IPv4 as it is, IPv6 in the shortest lower-case form (RFC 5952), so that what
 * Consul, a configuration and HAProxy call the same address compares as equal.
 *
 * @returns undefined where the text is not an address: a host name, a port behind it, brackets, a zone index
 */
export function canonicalIp(text: string): string | undefined {
  const family = isIP(text);
  if (family === 4) return text;
  if (family !== 6 || text.includes("%")) return undefined;
  const { hostname } = new URL(`http://[${text}]/`);
  return hostname.slice(1, -1);
}

/** `1.2.3.4:80`, `[::1]:80` */
export function hostAndPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An address, or an address and the number of bits that count: `10.0.0.0/8`, `fe80::1`. */
export function isNetwork(text: string): boolean {
  const [, address = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && (bits === undefined || Number(bits) <= (version === 4 ? 32 : 128));
}
