import { X509Certificate } from "node:crypto";
import { readdirSync } from "node:fs";
import path from "node:path";
import { pemBlocks } from "./pem.ts";

/** The files of a directory that may be authorities: what the option `tls.ca` can name. Throws where it cannot be read. */
export function authorityFiles(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((name) => /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/.test(name) && /\.(pem|crt|cer)$/.test(name))
    .sort()
    .map((name) => path.join(directory, name));
}

/**
 * The certificates of a file of authorities; what else is in it is left out.
 *
 * @returns a sentence where one cannot be read, or none is there: HAProxy would not load the file
 */
export function readAuthorities(text: string): { readonly text: string } | string {
  const blocks = pemBlocks(text);
  if (typeof blocks === "string") return blocks;
  const certificates = blocks.filter(({ label }) => label === "CERTIFICATE");
  if (certificates.length === 0) return "there is no certificate in it";
  try {
    for (const { text: one } of certificates) new X509Certificate(one);
  } catch {
    return "a certificate in it cannot be read";
  }
  return { text: certificates.map((one) => one.text).join("") };
}
