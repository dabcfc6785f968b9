import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";
import type { Snapshot } from "./types.ts";

/** Changes of freshness come in crowds, when Consul goes or returns, and no traffic waits for them. */
const freshnessDelayMs = 25;

/** What a snapshot is made of, less what the publisher itself adds. */
export type SnapshotParts = Pick<Snapshot, "services" | "unselected" | "unwatched" | "departed" | "overrides">;

/** Numbers the snapshots and hands them to the subscribers. */
export class Publisher {
  private readonly clock: Clock;
  private readonly logger: Logger;
  /** Gathers the parts; undefined while there can be no snapshot yet. */
  private readonly gather: () => SnapshotParts | undefined;
  private readonly listeners = new Set<(snapshot: Snapshot) => void>();
  private newest: Snapshot | undefined;
  private cancelSoon: (() => void) | undefined;

  constructor(clock: Clock, logger: Logger, gather: () => SnapshotParts | undefined) {
    this.clock = clock;
    this.logger = logger;
    this.gather = gather;
  }

  latest(): Snapshot | undefined {
    return this.newest;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** In a moment, together with what else changes until then. Not before there was a first snapshot. */
  publishSoon(): void {
    if (this.newest === undefined) return;
    this.cancelSoon ??= this.clock.timer(freshnessDelayMs, () => this.publish(this.clock.now()));
  }

  /** @param answeredAt as in `Snapshot` */
  publish(answeredAt: number): void {
    const parts = this.gather();
    if (parts === undefined) return;
    this.stop();
    const sequence = (this.newest?.sequence ?? 0) + 1;
    const snapshot: Snapshot = { ...parts, sequence, takenAt: this.clock.wall(), answeredAt };
    this.newest = snapshot;
    for (const listener of this.listeners) {
      try {
        listener(snapshot);
      } catch (thrown) {
        this.logger.error({ err: thrown }, "a subscriber of the catalog failed");
      }
    }
  }

  /** Lets go of what was to be published soon. */
  stop(): void {
    this.cancelSoon?.();
    this.cancelSoon = undefined;
  }
}
