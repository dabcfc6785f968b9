import { basename } from "node:path";
import { listText } from "../haproxy/config/certificate-list.ts";
import { certificatesFrom, planCertificates, withCertificate } from "../haproxy/plan/certificates.ts";
import type { Certificate, CertificateOperation, ReloadReason } from "../haproxy/plan/types.ts";
import { Secret } from "../support/secret.ts";
import { announceDrift } from "./drift.ts";
import { type EventLog, mostInEvent } from "./events.ts";
import type { CertificatesPort, RuntimePort, StorePort } from "./ports.ts";

export interface CertificateLaneParts {
  readonly certificates: CertificatesPort;
  readonly runtime: Pick<RuntimePort, "applyCertificates" | "readCertificates">;
  readonly store: Pick<StorePort, "writeCertificate" | "removeCertificate">;
  readonly events: EventLog;
}

export interface Settled {
  /** Whether HAProxy took all it was asked for. */
  readonly complete: boolean;
  /** Whether anything was changed, so that the files are behind. */
  readonly changed: boolean;
}

/**
 * Certificates on their way: what should be in force, what the process has, what lies on the disk. They are changed at
 * run time, whatever the catalog says and whether it answers at all; the files follow behind, as HAProxy's own do, and
 * are right before each reload.
 */
export class CertificateLane {
  /** Why HAProxy must read the files anew; undefined when it need not. */
  reload: readonly ReloadReason[] | undefined;
  /** Undefined while the process has not loaded the list. */
  private loaded: readonly Certificate[] | undefined;
  private written: readonly Certificate[];
  /** Files of the directory that `written` does not name. */
  private superfluous: ReadonlySet<string>;
  /** Whether `loaded` has been read back, and not failed to be changed since. */
  private sure = false;
  private readonly parts: CertificateLaneParts;

  /** @param files what lies on the disk */
  constructor(parts: CertificateLaneParts, files: ReadonlyMap<string, string>) {
    this.parts = parts;
    this.written = certificatesFrom(parts.certificates.list, files);
    this.loaded = this.written;
    const named = new Set([parts.certificates.list, ...this.written.map(({ file }) => file)]);
    this.superfluous = new Set([...files.keys()].filter((file) => !named.has(file)));
  }

  /** Makes the process have what should be in force, as far as that goes without a reload. Called under the mutex. */
  async settle(signal: AbortSignal): Promise<Settled> {
    const { certificates, runtime, events } = this.parts;
    const wanted = certificates.latest();
    this.reload = undefined;
    if (this.loaded === undefined || this.loaded === wanted) return { complete: true, changed: false };
    const { operations, reload } = planCertificates(certificates.list, this.loaded, wanted);
    this.reload = reload;
    const results = operations.length === 0 ? [] : await runtime.applyCertificates(operations, signal);
    const done: CertificateOperation[] = [];
    for (const [index, operation] of operations.entries()) {
      const result = results[index];
      if (result?.ok === true) {
        done.push(operation);
        this.loaded = withCertificate(this.loaded, operation);
        continue;
      }
      this.sure = false;
      const said = result === undefined ? "nothing" : `${JSON.stringify(result.answer)} to ${result.command}`;
      events.emit("operation-refused", "warn", `HAProxy said ${said}; reading back what it has`, { operation });
    }
    const complete = done.length === operations.length;
    if (complete && reload === undefined) this.loaded = wanted;
    if (done.length > 0) announce(events, done);
    return { complete, changed: done.length > 0 };
  }

  /** Brings the memory in line with what the process has. Called under the mutex. */
  async readBack(signal: AbortSignal): Promise<void> {
    const { certificates, runtime, events } = this.parts;
    const observed = await runtime.readCertificates(certificates.list, signal);
    const believed = this.loaded ?? [];
    const before = new Map(believed.map((one) => [one.file, one]));
    const found = observed?.map((one): Certificate => {
      const known = before.get(one.file);
      return known?.fingerprint === one.fingerprint ? known : { ...one, digest: "", pem: new Secret("") };
    });
    if (found !== undefined && this.sure) {
      const now = new Map(found.map((one) => [one.file, one]));
      announceDrift(
        events,
        [...new Set([...before.keys(), ...now.keys()])].sort().flatMap((file) => {
          const [is, was] = [now.get(file)?.fingerprint ?? "not there", before.get(file)?.fingerprint ?? "not there"];
          return is === was ? [] : { subject: `certificate ${basename(file)}`, found: is, expected: was };
        }),
      );
    }
    this.sure = true;
    const same = found?.length === believed.length && found.every((one, index) => one === believed[index]);
    if (!same) this.loaded = found;
  }

  /** Before HAProxy is asked about a configuration for the first time: it takes none that names a list that is not there. */
  async writeFirst(): Promise<void> {
    if (this.written.length === 0) await this.write(this.parts.certificates.latest());
  }

  /** Before HAProxy reads its files anew. */
  async writeWanted(): Promise<void> {
    await this.write(this.parts.certificates.latest());
  }

  /** Behind what was changed at run time. */
  async writeLoaded(): Promise<void> {
    const { loaded } = this;
    // What somebody else has put there is not ours to keep; the next pass sets it right.
    if (loaded?.every(({ digest }) => digest !== "")) await this.write(loaded);
  }

  /** HAProxy has read its files. */
  filesLoaded(): void {
    this.loaded = this.written;
    this.sure = false;
  }

  /** At every moment the list names files that are there. */
  private async write(certificates: readonly Certificate[]): Promise<void> {
    const { store } = this.parts;
    const { list } = this.parts.certificates;
    if (certificates === this.written) return;
    const before = new Map(this.written.map((one) => [one.file, one.digest]));
    for (const { file, digest, pem } of certificates) {
      if (before.get(file) !== digest) await store.writeCertificate(file, pem.reveal());
    }
    await store.writeCertificate(list, listText(certificates));
    const wanted = new Set(certificates.map(({ file }) => file));
    for (const file of [...before.keys(), ...this.superfluous]) {
      if (!wanted.has(file)) await store.removeCertificate(file);
    }
    this.written = certificates;
    this.superfluous = new Set();
  }
}

function announce(events: EventLog, done: readonly CertificateOperation[]): void {
  const words = done.map((operation) => {
    const file = operation.kind === "remove-certificate" ? operation.file : operation.certificate.file;
    return `${verbs[operation.kind]} ${basename(file)}`;
  });
  const shown = words.slice(0, mostInEvent);
  const more = words.length > shown.length ? `; and ${words.length - shown.length} more` : "";
  events.emit("change-applied", "info", `certificates, no reload: ${shown.join("; ")}${more}`, {
    certificates: shown,
    count: words.length,
  });
}

const verbs: Readonly<Record<CertificateOperation["kind"], string>> = {
  "set-certificate": "replaced",
  "add-certificate": "added",
  "remove-certificate": "removed",
};
