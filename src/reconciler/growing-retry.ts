import type { Clock } from "../support/clock.ts";

/** The first wait, doubled with each further failure up to the longest. */
const firstMs = 10_000;
const longestMs = 600_000;
/** A failure that comes this long after the last wait was over, and as long again as that wait, is a first one. */
const quietMs = 60_000;

/**
 * Tries again what HAProxy or the machine refused: what was wrong (a name that did not resolve, a certificate that was
 * being replaced, a port that was taken) may mend without an edit. One wait at a time; no jitter, since each try may
 * cost connections and the waits are long.
 */
export class GrowingRetry {
  private failures = 0;
  private dueAt = 0;
  private waitMs = 0;
  private cancel: (() => void) | undefined;
  private readonly clock: Clock;
  private readonly onDue: () => void;

  /** @param onDue called once at the end of each wait */
  constructor(clock: Clock, onDue: () => void) {
    this.clock = clock;
    this.onDue = onDue;
  }

  /**
   * It failed: waits anew.
   *
   * @param grow false where waiting longer saves nothing, as while nothing is served anyway
   */
  failed(grow = true): void {
    this.cancel?.();
    const now = this.clock.now();
    if (now - this.dueAt > Math.max(this.waitMs, quietMs)) this.failures = 0;
    this.waitMs = grow ? Math.min(longestMs, firstMs * 2 ** Math.min(this.failures, 30)) : firstMs;
    this.failures += 1;
    this.dueAt = now + this.waitMs;
    this.cancel = this.clock.timer(this.waitMs, this.onDue);
  }

  /** It succeeded, or nobody wants it any more: ends the wait; the next failure is a first one. */
  reset(): void {
    this.cancel?.();
    this.failures = 0;
  }
}
