import path from "node:path";
import { certificatesFrom } from "../haproxy/plan/certificates.ts";
import type { Certificate } from "../haproxy/plan/types.ts";
import type { CertificatesPort } from "../reconciler/ports.ts";
import type { Clock } from "../support/clock.ts";
import { hexDigest } from "../support/digest.ts";
import { systemErrorCode, toSluiceError } from "../support/errors.ts";
import { type FileWatch, watchFiles } from "../support/file-watch.ts";
import { chooseCertificates } from "./choose.ts";
import { daysLeft, ExpiryWatch, sayEnd } from "./expiry.ts";
import { isPlaceholder, makePlaceholder } from "./placeholder.ts";
import { type Reading, readCertificate } from "./read-certificate.ts";
import {
  gone,
  rememberedSource,
  type Source,
  sameCertificates,
  staleProblem,
  validityProblem,
  without,
} from "./source-state.ts";
import { certificateSources, readSource, type Sources } from "./sources.ts";
import type { CertificateStatus, Emit, ReadCertificate } from "./types.ts";

export interface CertificateDirectoryOptions {
  /** Where people put them; undefined: nowhere, and the placeholder is all there is. */
  readonly source: string | undefined;
  /** Name of the one for clients that ask for no known name. */
  readonly preferred: string | undefined;
  /** Directory HAProxy reads them from, and the list of them in it. */
  readonly target: string;
  readonly list: string;
  /** What lies there, by path: what was in force when the last operator ended. */
  readonly kept: ReadonlyMap<string, string>;
  /** What HAProxy says against certificates, given by name; nothing of those it takes. Throws where it cannot be asked. */
  readonly judge: (pems: ReadonlyMap<string, string>) => Promise<ReadonlyMap<string, string>>;
  readonly emit: Emit;
  readonly clock: Clock;
}

/** What is not good, or is gone, is looked at again after this long before it is believed: it may be being replaced. */
const settleMs = 1_500;
const expiryMs = 3_600_000;

/**
 * The certificates people keep in a directory, followed. A bad one costs itself alone: the last good one stays in
 * force, over restarts too, and it is said. So does everything while the directory cannot be read or is empty all at
 * once. Each new one is shown to HAProxy before it is taken for good.
 */
export class CertificateDirectory implements CertificatesPort {
  readonly list: string;
  readonly #options: CertificateDirectoryOptions;
  readonly #sources = new Map<string, Source>();
  readonly #listeners = new Set<() => void>();
  readonly #expiry = new ExpiryWatch();
  #latest: readonly Certificate[] = [];
  #serves: ReadonlyMap<string, readonly string[]> = new Map();
  #remarks: ReadonlyMap<string, string> = new Map();
  #placeholder: string | undefined;
  /** What is wrong with the directory as a whole. */
  #problem: string | undefined;
  #watch: FileWatch | undefined;
  #reading: Promise<void> = Promise.resolve();
  #cancelAgain: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  #closed = false;

  constructor(options: CertificateDirectoryOptions) {
    this.#options = options;
    this.list = options.list;
  }

  /** Reads the directory, then follows it. */
  async start(): Promise<void> {
    const { source, clock } = this.#options;
    await this.#read(true);
    if (source !== undefined) {
      // The directory itself is named too, so that it is watched while it is empty.
      const paths = () => [`${source}/.`, ...[...certificateSources(source).values()].flat()];
      this.#watch = watchFiles({ clock, paths, onChange: () => this.#soon(0) });
      // What was saved between the first reading and the begin of the watch.
      this.#soon(0);
    }
    this.#speakOfEnds();
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#cancelAgain?.();
    this.#cancelExpiry?.();
  }

  latest(): readonly Certificate[] {
    return this.#latest;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is wrong with the directory as a whole; undefined when nothing is. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Sorted by name. */
  status(): readonly CertificateStatus[] {
    const now = this.#options.clock.wall();
    return [...this.#sources]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { good, problem }]) => {
        const wrong = [problem, good && validityProblem(good, now), this.#remarks.get(name)].filter(Boolean);
        return {
          name,
          names: this.#serves.get(name) ?? [],
          ...(good !== undefined && {
            notAfter: new Date(good.notAfter).toISOString(),
            daysLeft: daysLeft(good.notAfter, now),
          }),
          ...(wrong.length > 0 && { problem: wrong.join("; ") }),
        };
      });
  }

  #soon(ms: number): void {
    if (this.#closed) return;
    this.#cancelAgain?.();
    this.#cancelAgain = this.#options.clock.timer(ms, () => {
      this.#reading = this.#reading
        .then(() => (this.#closed ? undefined : this.#read(false)))
        .catch((thrown) => this.#say(toSluiceError(thrown).message, "the certificates in force stay"));
    });
  }

  /** @param first whether what is not good may be taken for what it is at once */
  async #read(first: boolean): Promise<void> {
    const found = this.#find();
    if (found !== undefined) {
      try {
        await this.#take(found, first);
      } catch (thrown) {
        this.#say("HAProxy cannot be asked about certificates", toSluiceError(thrown).message);
        this.#soon(settleMs * 2);
      }
    }
    this.#choose();
  }

  /** The certificates there are; undefined where nothing is known of them. */
  #find(): Sources | undefined {
    const { source } = this.#options;
    if (source === undefined) return new Map();
    try {
      const found = certificateSources(source);
      if (found.size > 0 || !this.#anyInForce()) {
        this.#problem = undefined;
        return found;
      }
      this.#say(`there is no certificate in ${source} any more`, "those in force stay");
    } catch (thrown) {
      const code = systemErrorCode(thrown) ?? "";
      this.#say(`the directory ${source} cannot be read (${code})`, "the certificates in force stay");
    }
    return undefined;
  }

  /** Whether clients get anything but the placeholder. */
  #anyInForce(): boolean {
    if (this.#sources.size > 0) return [...this.#sources.values()].some(({ good }) => good !== undefined);
    return this.#keptInForce().some(({ pem }) => !isPlaceholder(pem.reveal(), this.#options.clock.wall()));
  }

  /** What the last operator had in force. */
  #keptInForce(): readonly Certificate[] {
    return certificatesFrom(this.#options.list, this.#options.kept);
  }

  #say(what: string, consequence: string): void {
    const problem = `${what}; ${consequence}`;
    if (this.#problem === problem) return;
    this.#problem = problem;
    this.#options.emit("certificate-refused", "error", problem, {});
  }

  async #take(found: Sources, first: boolean): Promise<void> {
    let again = false;
    const fresh = new Map<string, { readonly digest: string; readonly certificate: ReadCertificate }>();
    for (const [name, files] of found) {
      const known = this.#sources.get(name) ?? rememberedSource(name, this.#options);
      const read = await readSource(files);
      const digest = hexDigest(JSON.stringify(read), 32);
      if (known.seen === digest) {
        this.#sources.set(name, without(known, "unsettled"));
        continue;
      }
      const reading: Reading =
        typeof read === "string" ? { kind: "bad", problem: read } : readCertificate(name, read.text);
      const problem =
        reading.kind === "bad"
          ? reading.problem
          : staleProblem(known.good, reading.certificate, this.#options.clock.wall());
      if (reading.kind === "good" && problem === undefined)
        fresh.set(name, { digest, certificate: reading.certificate });
      else if (!first && known.unsettled !== digest) {
        this.#sources.set(name, { ...known, unsettled: digest });
        again = true;
      } else this.#refuse(name, known, digest, problem ?? "");
    }
    for (const [name, known] of this.#sources) {
      if (found.has(name)) continue;
      if (known.unsettled === gone) this.#forget(name);
      else {
        this.#sources.set(name, { ...known, unsettled: gone });
        again = true;
      }
    }
    if (again) this.#soon(settleMs);
    if (fresh.size === 0) return;
    // Until HAProxy has been asked, what was in force stays.
    for (const name of fresh.keys()) {
      if (!this.#sources.has(name)) this.#sources.set(name, rememberedSource(name, this.#options));
    }
    const verdicts = await this.#options.judge(new Map([...fresh].map(([name, one]) => [name, one.certificate.pem])));
    for (const [name, { digest, certificate }] of fresh) {
      const known = this.#sources.get(name) ?? {};
      const refusal = verdicts.get(name);
      if (refusal === undefined) this.#accept(known.good, digest, certificate);
      else this.#refuse(name, known, digest, `HAProxy does not take it: ${refusal}`);
    }
  }

  #accept(before: ReadCertificate | undefined, digest: string, certificate: ReadCertificate): void {
    const { name, hosts, notAfter } = certificate;
    this.#sources.set(name, { seen: digest, good: certificate });
    if (before?.pem === certificate.pem) return;
    const end = new Date(notAfter).toISOString();
    const data = { certificate: name, names: hosts.slice(0, 20), notAfter: end };
    const names = hosts.length === 0 ? "no host name" : hosts.slice(0, 5).join(", ");
    const [type, verb] =
      before === undefined
        ? (["certificate-loaded", "is there"] as const)
        : (["certificate-replaced", "was replaced"] as const);
    this.#options.emit(type, "info", `certificate ${name} ${verb}: for ${names}, valid until ${end}`, data);
  }

  #refuse(name: string, known: Source, digest: string, problem: string): void {
    const consequence = known.good === undefined ? "it is left out" : "the one before stays in force";
    this.#sources.set(name, {
      seen: digest,
      problem: `${problem}; ${consequence}`,
      ...(known.good && { good: known.good }),
    });
    const message = `certificate ${name} is refused: ${problem}; ${consequence}`;
    this.#options.emit("certificate-refused", "error", message, { certificate: name, problem });
  }

  #forget(name: string): void {
    this.#sources.delete(name);
    this.#options.emit("certificate-removed", "info", `certificate ${name} is not there any more`, {
      certificate: name,
    });
  }

  #choose(): void {
    const { preferred, target, clock } = this.#options;
    // Nothing could be read since the start.
    if (this.#sources.size === 0 && this.#problem !== undefined) {
      const kept = this.#keptInForce();
      if (kept.length > 0) {
        this.#latest = kept;
        return;
      }
    }
    const { certificates, serves, remarks } = chooseCertificates({
      certificates: [...this.#sources.values()].flatMap(({ good }) => good ?? []),
      preferred,
      placeholder: () => this.#placeholderText(),
      directory: target,
      now: clock.wall(),
    });
    this.#serves = serves;
    this.#remarks = remarks;
    if (sameCertificates(certificates, this.#latest)) return;
    this.#latest = certificates;
    for (const listener of [...this.#listeners]) listener();
    this.#speakOfEnds();
  }

  #placeholderText(): string {
    const now = this.#options.clock.wall();
    const kept = this.#options.kept.get(path.join(this.#options.target, "default.pem"));
    this.#placeholder ??= kept !== undefined && isPlaceholder(kept, now) ? kept : makePlaceholder(now);
    return this.#placeholder;
  }

  #speakOfEnds(): void {
    const { clock, emit } = this.#options;
    this.#cancelExpiry?.();
    if (this.#closed) return;
    const inForce = [...this.#sources.values()].flatMap(({ good }) => good ?? []);
    for (const { certificate, daysLeft: left } of this.#expiry.due(inForce, clock.wall())) {
      sayEnd(emit, certificate, left);
    }
    this.#cancelExpiry = clock.timer(expiryMs, () => this.#speakOfEnds());
  }
}
