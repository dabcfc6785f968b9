import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { pemBlocks } from "./pem.ts";
import type { ReadCertificate } from "./types.ts";

export type Reading =
  | { readonly kind: "good"; readonly certificate: ReadCertificate }
  | { readonly kind: "bad"; readonly problem: string };

/** All names of one certificate have to fit into one command of HAProxy. */
const longestHosts = 12_000;

/**
 * Reads a certificate with its chain and key from one text, or several put together. The order in it does not matter:
 * the certificate the key belongs to is the first, each of the chain stands behind the one it has signed.
 */
export function readCertificate(name: string, text: string): Reading {
  const blocks = pemBlocks(text);
  if (typeof blocks === "string") return bad(blocks);
  const keys = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const parsed = blocks.filter(({ label }) => label === "CERTIFICATE").map(({ text }) => ({ text, x509: parse(text) }));
  const [keyBlock] = keys;
  if (parsed.length === 0) return bad("there is no certificate in it");
  if (keyBlock === undefined) return bad("there is no key in it");
  if (keys.length > 1) return bad("there are several keys in it");
  if (keyBlock.encrypted) return bad("its key is encrypted; store it without a password (openssl pkey)");
  const key = parseKey(keyBlock.text);
  if (key === undefined) return bad("its key cannot be read");
  const chain: Link[] = [];
  for (const { text: own, x509 } of parsed) {
    if (x509 === undefined) return bad("a certificate in it cannot be read");
    chain.push({ text: own, x509 });
  }
  const leaf = chain.find(({ x509 }) => x509.checkPrivateKey(key));
  if (leaf === undefined) return bad("its key does not belong to its certificate");
  const hosts = hostsOf(leaf.x509);
  if (hosts.join(" ").length > longestHosts)
    return bad(`it is for ${hosts.length} names, more than HAProxy takes at once`);
  return {
    kind: "good",
    certificate: {
      name,
      pem: [...inOrder(leaf, chain).map((link) => link.text), keyBlock.text].join(""),
      hosts,
      notBefore: Date.parse(leaf.x509.validFrom),
      notAfter: Date.parse(leaf.x509.validTo),
      keyType: leaf.x509.publicKey.asymmetricKeyType ?? "unknown",
    },
  };
}

interface Link {
  readonly text: string;
  readonly x509: X509Certificate;
}

/** From the leaf on, each behind the one it has signed; what belongs to none of them at the end. */
function inOrder(leaf: Link, all: readonly Link[]): readonly Link[] {
  const ordered = [leaf];
  const rest = all.filter((one) => one !== leaf && one.text !== leaf.text);
  for (let last: Link | undefined = leaf; last !== undefined; ) {
    const signed: X509Certificate = last.x509;
    const at = rest.findIndex(({ x509 }) => signed.checkIssued(x509));
    last = at === -1 ? undefined : rest.splice(at, 1)[0];
    if (last !== undefined) ordered.push(last);
  }
  return [...ordered, ...rest];
}

/** DNS names of the subject's alternative names, else its common name (RFC 6125 6.4.4). Others cannot be asked for by SNI. */
function hostsOf(x509: X509Certificate): readonly string[] {
  const alternative = (x509.subjectAltName ?? "")
    .split(", ")
    .flatMap((one) => (one.startsWith("DNS:") ? one.slice(4) : []));
  const common = x509.subject.split("\n").flatMap((one) => (one.startsWith("CN=") ? one.slice(3) : []));
  const hosts = (alternative.length > 0 ? alternative : common).map((host) => host.toLowerCase());
  return [...new Set(hosts.filter((host) => hostName.test(host)))].sort();
}

const hostName = /^(?=.{1,253}$)(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

function parse(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text);
  } catch {
    return undefined;
  }
}

function parseKey(text: string): KeyObject | undefined {
  try {
    return createPrivateKey(text);
  } catch {
    return undefined;
  }
}

function bad(problem: string): Reading {
  return { kind: "bad", problem };
}
