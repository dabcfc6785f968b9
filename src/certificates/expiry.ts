import type { Emit, ReadCertificate } from "./types.ts";

const dayMs = 86_400_000;
/** Days before the end at which it is said. */
const stages = [30, 7, 1, 0] as const;

/** Whole days until then; negative when it is over. */
export function daysLeft(notAfter: number, now: number): number {
  return Math.floor((notAfter - now) / dayMs);
}

/** Says of certificates that come to their end, once at each stage. */
export class ExpiryWatch {
  /** The stage that was said last, by certificate. */
  readonly #said = new Map<string, { readonly notAfter: number; readonly stage: number }>();

  /**
   * Those to speak of now.
   *
   * @param certificates all there are; of those that are not among them nothing is remembered
   */
  due<T extends { readonly name: string; readonly notAfter: number }>(
    certificates: readonly T[],
    now: number,
  ): readonly { readonly certificate: T; readonly daysLeft: number }[] {
    const due: { certificate: T; daysLeft: number }[] = [];
    const names = new Set(certificates.map(({ name }) => name));
    for (const name of this.#said.keys()) if (!names.has(name)) this.#said.delete(name);
    for (const certificate of certificates) {
      const { name, notAfter } = certificate;
      const left = daysLeft(notAfter, now);
      const stage = stages.findLast((days) => notAfter - now <= days * dayMs);
      if (stage === undefined) continue;
      const said = this.#said.get(name);
      if (said?.notAfter === notAfter && said.stage <= stage) continue;
      this.#said.set(name, { notAfter, stage });
      due.push({ certificate, daysLeft: left });
    }
    return due;
  }
}

/** The event of a certificate that comes to its end. */
export function sayEnd(emit: Emit, { name, notAfter }: ReadCertificate, left: number): void {
  const end = new Date(notAfter).toISOString();
  const what = left < 0 ? `is over since ${end}` : `ends in ${left} days, at ${end}`;
  const message = `certificate ${name} ${what}; put a new one in its place`;
  emit("certificate-expiring", left < 1 ? "error" : "warn", message, {
    certificate: name,
    notAfter: end,
    daysLeft: left,
  });
}
