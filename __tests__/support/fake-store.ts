import type { Accepted } from "../../src/guard/types.ts";
import type { LeavingServer } from "../../src/haproxy/plan/types.ts";
import type { KeptQuarantine, StorePort, TemplateSource } from "../../src/reconciler/ports.ts";

/** A state directory in memory. Writes down in which order it was written. */
export class FakeStore implements StorePort {
  config: string | undefined;
  candidate: string | undefined;
  readonly maps = new Map<string, string>();
  readonly certificates = new Map<string, string>();
  readonly assets = new Map<string, string>();
  state: { readonly generation: number; readonly leaving: readonly LeavingServer[] } = { generation: 0, leaving: [] };
  accepted: Accepted | undefined;
  template: TemplateSource | undefined;
  quarantine: KeptQuarantine | undefined;
  /** How many of the next writes to haproxy.cfg fail. */
  failingWrites = 0;
  private readonly journal: string[];
  private readonly onWrite: () => void;

  /** @param onWrite called after each write of configuration or maps */
  constructor(journal: string[], onWrite: () => void) {
    this.journal = journal;
    this.onWrite = onWrite;
  }

  async readConfig(): Promise<string | undefined> {
    return this.config;
  }

  async writeConfig(text: string): Promise<void> {
    if (this.failingWrites > 0) {
      this.failingWrites -= 1;
      this.journal.push("write config: failed");
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    }
    this.journal.push("write config");
    this.config = text;
    this.onWrite();
  }

  async writeCandidate(text: string): Promise<string> {
    this.candidate = text;
    return "/state/haproxy.cfg.candidate";
  }

  async readMaps(): Promise<ReadonlyMap<string, string>> {
    return new Map([...this.maps].sort());
  }

  async writeMap(path: string, text: string): Promise<void> {
    this.journal.push(`write map ${path.slice(path.lastIndexOf("/") + 1)}`);
    this.maps.set(path, text);
    this.onWrite();
  }

  async removeMap(path: string): Promise<void> {
    this.maps.delete(path);
  }

  async readCertificates(): Promise<ReadonlyMap<string, string>> {
    return this.certificates;
  }

  async writeCertificate(path: string, text: string): Promise<void> {
    this.journal.push(`write certificate ${path.slice(path.lastIndexOf("/") + 1)}`);
    this.certificates.set(path, text);
  }

  async removeCertificate(path: string): Promise<void> {
    this.journal.push(`remove certificate ${path.slice(path.lastIndexOf("/") + 1)}`);
    this.certificates.delete(path);
  }

  async writeAsset(path: string, text: string): Promise<void> {
    this.assets.set(path, text);
  }

  async pruneAssets(keep: ReadonlySet<string>): Promise<void> {
    for (const path of this.assets.keys()) if (!keep.has(path)) this.assets.delete(path);
  }

  async saveState(change: FakeStore["state"]): Promise<void> {
    this.state = change;
  }

  async writeAccepted(accepted: Accepted): Promise<void> {
    this.accepted = accepted;
  }

  async writeTemplate(template: TemplateSource): Promise<void> {
    this.journal.push(`write template ${template.digest}`);
    this.template = template;
  }

  async writeQuarantine(kept: KeptQuarantine): Promise<void> {
    this.quarantine = kept;
  }
}
