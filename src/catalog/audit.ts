import type { Clock } from "../support/clock.ts";

/** Ms after what made the views doubtful. An agent may take some seconds to make a view anew. */
const afterMs = [250, 1_000, 3_000, 10_000, 30_000];

/**
 * Has all services read past the streaming views, a few times, after what those may not survive well: a catalog that was
 * restored, a Consul that was away. A view that is still being made anew would answer with what it had, and then hold the
 * next question until an index comes that the restored catalog has yet to reach.
 */
export class Audit {
  private readonly clock: Clock;
  private readonly read: () => void;
  private cancels: readonly (() => void)[] = [];

  /** @param read reads all services plainly; its answers are judged like any other */
  constructor(clock: Clock, read: () => void) {
    this.clock = clock;
    this.read = read;
  }

  /** The views are doubtful from now on. What was planned for an earlier reason is planned anew. */
  begin(signal: AbortSignal): void {
    this.stop();
    if (signal.aborted) return;
    this.cancels = afterMs.map((ms) => this.clock.timer(ms, this.read));
  }

  stop(): void {
    for (const cancel of this.cancels) cancel();
    this.cancels = [];
  }
}
