import { generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { pem } from "./pem.ts";

const commonName = "sluice: no certificate yet";
const years = 20;

/**
 * A certificate that stands where there is none yet: HAProxy cannot listen without one, and with it real ones can come
 * at run time. Self-signed, for no name, so that no client takes it for anything.
 *
 * X.509 version 1 (RFC 5280 4.1; RFC 5480 for the curve, RFC 5758 for the signature), written here since Node makes none.
 *
 * @param now wall-clock ms
 */
export function makePlaceholder(now: number): string {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  // The first bit clear: a serial number is positive.
  const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(15)]);
  const name = sequence(set(sequence(oid(0x55, 0x04, 0x03), tlv(0x0c, Buffer.from(commonName)))));
  const end = new Date(now);
  end.setUTCFullYear(end.getUTCFullYear() + years);
  const signed = sequence(
    tlv(0x02, serial),
    ecdsaWithSha256,
    name,
    sequence(time(new Date(now - 86_400_000)), time(end)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = sign("sha256", signed, privateKey);
  const certificate = sequence(signed, ecdsaWithSha256, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const key = privateKey.export({ type: "pkcs8", format: "der" });
  return pem("CERTIFICATE", certificate.toString("base64")) + pem("PRIVATE KEY", key.toString("base64"));
}

/** Whether a text is one of those, and lasts for another year. */
export function isPlaceholder(text: string, now: number): boolean {
  try {
    const { subject, validTo } = new X509Certificate(text);
    return subject === `CN=${commonName}` && Date.parse(validTo) - now > 365 * 86_400_000;
  } catch {
    return false;
  }
}

/** Tag, length, value (X.690, DER). */
function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), value]);
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), value]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function set(part: Buffer): Buffer {
  return tlv(0x31, part);
}

function oid(...bytes: readonly number[]): Buffer {
  return tlv(0x06, Buffer.from(bytes));
}

/** UTCTime up to 2049, GeneralizedTime from then on (RFC 5280 4.1.2.5). */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050 ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
}

const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
