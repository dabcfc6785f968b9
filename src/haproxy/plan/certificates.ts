import { X509Certificate } from "node:crypto";
import { hexDigest } from "../../support/digest.ts";
import { Secret } from "../../support/secret.ts";
import { listEntries } from "../config/certificate-list.ts";
import type { ListEntry } from "../config/types.ts";
import type { Certificate, CertificateOperation, ReloadReason } from "./types.ts";

/**
 * The largest PEM that goes over the socket: HAProxy up to 3.2 holds a payload in one buffer of 16 kB less a reserve of
 * 1 kB (configuration manual 3.2, `tune.bufsize`, `tune.maxrewrite`; 15,360 bytes measured on 2.6).
 */
export const longestPem = 15_000;

export interface CertificatePlan {
  /** What serves before what does not: a name is never without its certificate on the way. */
  readonly operations: readonly CertificateOperation[];
  /** Present and non-empty where HAProxy must read the files anew. */
  readonly reload?: readonly ReloadReason[];
}

/**
 * What must be done for the process to have the wanted certificates.
 *
 * @param loaded what the process has, by the list at this path
 */
export function planCertificates(
  list: string,
  loaded: readonly Certificate[],
  wanted: readonly Certificate[],
): CertificatePlan {
  if (loaded === wanted) return { operations: [] };
  const before = new Map(loaded.map((one) => [one.file, one]));
  const operations: CertificateOperation[] = [];
  const reload: ReloadReason[] = [];
  for (const certificate of wanted) {
    const now = before.get(certificate.file);
    before.delete(certificate.file);
    if (now?.digest === certificate.digest) continue;
    const length = Buffer.byteLength(certificate.pem.reveal());
    if (length > longestPem) reload.push(tooLarge(certificate.file, length));
    else if (now === undefined) operations.push({ kind: "add-certificate", list, certificate });
    else operations.push({ kind: "set-certificate", certificate });
  }
  for (const file of before.keys()) operations.push({ kind: "remove-certificate", list, file });
  return { operations, ...(reload.length > 0 && { reload }) };
}

/** What the process has after an operation was done. */
export function withCertificate(
  loaded: readonly Certificate[],
  operation: CertificateOperation,
): readonly Certificate[] {
  const file = operation.kind === "remove-certificate" ? operation.file : operation.certificate.file;
  if (operation.kind === "add-certificate")
    return [...loaded.filter((one) => one.file !== file), operation.certificate];
  return loaded.flatMap((one) => {
    if (one.file !== file) return one;
    return operation.kind === "set-certificate" ? operation.certificate : [];
  });
}

function tooLarge(file: string, length: number): ReloadReason {
  return {
    code: "certificate-too-large",
    subject: `certificate ${file}`,
    sentence: `has ${length} bytes, of which HAProxy takes ${longestPem} at run time; leave out of the chain what clients know`,
  };
}

/**
 * @param pem as `Certificate.pem` has it
 * @throws where it does not begin with a certificate
 */
export function certificateOf({ file, names }: ListEntry, pem: string): Certificate {
  const fingerprint = new X509Certificate(pem).fingerprint.replaceAll(":", "");
  return { file, names, fingerprint, digest: hexDigest(pem), pem: new Secret(pem) };
}

/** The certificates of a list and their files as they lie on the disk; what is not there or is none is left out. */
export function certificatesFrom(list: string, files: ReadonlyMap<string, string>): readonly Certificate[] {
  return listEntries(files.get(list) ?? "").flatMap((entry) => {
    try {
      return certificateOf(entry, files.get(entry.file) ?? "");
    } catch {
      return [];
    }
  });
}
