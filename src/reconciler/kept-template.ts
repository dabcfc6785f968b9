import type { StorePort, TemplateSource } from "./ports.ts";

/** Keeps the last good template on the disk: the next start may fall back to it. */
export class KeptTemplate {
  /** Digest of the one that is kept, as far as this life knows. */
  private digest: string | undefined;
  private keeping: Promise<void> = Promise.resolve();
  private readonly store: Pick<StorePort, "writeTemplate">;
  private readonly onFailure: (thrown: unknown) => void;

  /** @param onFailure called when it could not be written; it is tried again with the next `keep` */
  constructor(store: Pick<StorePort, "writeTemplate">, onFailure: (thrown: unknown) => void) {
    this.store = store;
    this.onFailure = onFailure;
  }

  /** This one is good. */
  keep(template: TemplateSource): void {
    if (template.digest === this.digest) return;
    this.digest = template.digest;
    this.keeping = this.keeping
      .then(() => this.store.writeTemplate(template))
      .catch((thrown) => {
        this.digest = undefined;
        this.onFailure(thrown);
      });
  }

  /** Resolves when the last one is on the disk, or could not be written. */
  settled(): Promise<void> {
    return this.keeping;
  }
}
