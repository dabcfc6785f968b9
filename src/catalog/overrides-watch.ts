import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";
import { BlockingQuery, type WatchStatus } from "./blocking-query.ts";
import type { ConsulClient } from "./consul-client.ts";
import { noOverrides, type Overrides, overridesRequest, readOverrides, sameOverrides, seeingAll } from "./overrides.ts";
import type { Witnesses } from "./witnesses.ts";

/** What is known of the overrides. */
export interface OverridesStatus {
  readonly known: number;
  /** Why they may be old, or are not known at all; left out: they are as Consul has them. */
  readonly reason?: string;
}

export interface OverridesWatchOptions {
  readonly client: ConsulClient;
  readonly settings: Pick<Settings["consul"], "wait">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly witnesses: Pick<Witnesses, "blind">;
  /** Other overrides than before, or the first word on whether there are any. */
  readonly onChange: (answeredAt: number) => void;
  /** The first answer after failures. */
  readonly onRecovery: () => void;
  /** As in `BlockingQueryOptions`. */
  readonly silent: () => boolean;
}

/** Watches what operators wrote in Consul's key-value store, at the path that is followed now. */
export class OverridesWatch {
  private readonly options: OverridesWatchOptions;
  private path: string | undefined;
  private query: BlockingQuery<Overrides> | undefined;
  private life = new AbortController();
  private began = false;
  private failed = false;
  /** What was read under another path, until the present one has answered. */
  private before: Overrides | undefined;

  constructor(options: OverridesWatchOptions) {
    this.options = options;
  }

  /**
   * Watches this path from now on, and no other; undefined: none.
   *
   * @returns what resolves when that watch has ended; undefined where it runs already, or none is wanted
   */
  follow(path: string | undefined): Promise<void> | undefined {
    if (path === this.path) return undefined;
    this.before = this.began ? this.value() : undefined;
    this.began = true;
    this.path = path;
    this.failed = false;
    this.life.abort();
    this.life = new AbortController();
    if (path === undefined) {
      this.query = undefined;
      return undefined;
    }
    this.query = this.queryOf(path);
    return this.query.run(this.life.signal);
  }

  stop(): void {
    this.life.abort();
  }

  /** Undefined while it is not known whether there are any. */
  value(): Overrides | undefined {
    return this.query === undefined ? noOverrides : (this.query.value() ?? this.before);
  }

  /** Whether more is to be known soon: there was neither an answer nor a failure. */
  waiting(): boolean {
    return this.query !== undefined && this.value() === undefined && !this.failed;
  }

  /** Connections that it holds. */
  count(): number {
    return this.query === undefined ? 0 : 1;
  }

  /** Of the watch, once it was answered: what may never be read is no watch that is behind. */
  statuses(): readonly WatchStatus[] {
    return this.query?.value() === undefined ? [] : [this.query.status()];
  }

  summary(): OverridesStatus {
    const reason = this.query?.status().reason;
    return { known: this.value()?.size ?? 0, ...(reason !== undefined && { reason }) };
  }

  name(): string {
    return nameOf(this.path ?? "off");
  }

  /** As `BlockingQuery.doubt`; the next three as there. */
  doubt(reason: string): void {
    this.query?.doubt(reason);
  }

  renew(): void {
    this.query?.renew();
  }

  wake(): void {
    this.query?.wake();
  }

  async refresh(): Promise<void> {
    await this.query?.refresh();
  }

  private queryOf(path: string): BlockingQuery<Overrides> {
    const { client, settings, clock, logger, random, witnesses, onChange, onRecovery, silent } = this.options;
    const query: BlockingQuery<Overrides> = new BlockingQuery<Overrides>({
      name: nameOf(path),
      client: seeingAll(client),
      request: overridesRequest(path),
      waitMs: settings.wait,
      clock,
      logger,
      random,
      silent,
      onRecovery,
      parse: (body, previous) => readOverrides(body, path, previous ?? this.before),
      same: sameOverrides,
      // All at once is how a token that lost its rights, or an empty store, looks.
      vanished: (previous, next) => previous.size > 0 && next.size === 0,
      confirm: async () => (await witnesses.blind()) ?? true,
      onValue: (_overrides, { changed, answeredAt }) => {
        if (changed && this.query === query) onChange(answeredAt);
      },
      onFreshness: () => undefined,
      onFailure: () => {
        if (this.failed || this.query !== query) return;
        this.failed = true;
        if (query.value() === undefined) onChange(clock.now());
      },
    });
    return query;
  }
}

function nameOf(path: string): string {
  return `kv/${path}`;
}
