import path from "node:path";
import type { Certificate } from "../haproxy/plan/types.ts";
import { fileStem } from "./choose.ts";
import { readCertificate } from "./read-certificate.ts";
import type { ReadCertificate } from "./types.ts";

/** One certificate of the directory. */
export interface Source {
  /** Of what was read last, and judged. */
  readonly seen?: string;
  /** Of what is being written, as it seems: not good, and not read twice yet. */
  readonly unsettled?: string;
  /** The last good one. */
  readonly good?: ReadCertificate;
  /** What is wrong with what was read last. */
  readonly problem?: string;
}

/** What the last operator had in force under this name. */
export function rememberedSource(
  name: string,
  { target, kept }: { readonly target: string; readonly kept: ReadonlyMap<string, string> },
): Source {
  const stem = path.join(target, `${fileStem(name)}.`);
  for (const [file, text] of kept) {
    if (!file.startsWith(stem) || !/^[0-9a-f]{8}\.pem$/.test(file.slice(stem.length))) continue;
    const reading = readCertificate(name, text);
    if (reading.kind === "good") return { good: reading.certificate };
  }
  return {};
}

/** One that is not valid now does not take the place of one that is. */
export function staleProblem(
  good: ReadCertificate | undefined,
  next: ReadCertificate,
  now: number,
): string | undefined {
  if (good === undefined || good.pem === next.pem || validityProblem(good, now) !== undefined) return undefined;
  return validityProblem(next, now);
}

/** In place of a digest: it is not there. */
export const gone = "gone";

export function validityProblem({ notBefore, notAfter }: ReadCertificate, now: number): string | undefined {
  if (notAfter <= now) return `it is not valid any more, since ${new Date(notAfter).toISOString()}`;
  return notBefore > now ? `it is not valid yet, until ${new Date(notBefore).toISOString()}` : undefined;
}

export function without(source: Source, key: "unsettled"): Source {
  const { [key]: _, ...rest } = source;
  return rest;
}

export function sameCertificates(a: readonly Certificate[], b: readonly Certificate[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ file, digest }, index) => file === b[index]?.file && digest === b[index]?.digest)
  );
}
