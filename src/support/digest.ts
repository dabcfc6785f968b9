import { createHash } from "node:crypto";

/** The first `length` hex digits of the SHA-256 of a text. */
export function hexDigest(text: string, length = 16): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}
