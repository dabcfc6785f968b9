import type { Clock } from "../../src/support/clock.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock that stands until it is moved. Timers run in the order they are due, each after all promises have settled. */
export class ManualClock implements Clock {
  private time = 0;
  private order = 0;
  private readonly timers = new Set<Timer>();
  /** What the wall clock is ahead of the monotonic one, ms. */
  wallOffset = Date.UTC(2026, 0, 1);

  now(): number {
    return this.time;
  }

  wall(): number {
    return this.wallOffset + this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.timer(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  timer(ms: number, callback: () => void): () => void {
    const timer = { at: this.time + ms, order: this.order, callback };
    this.order += 1;
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.timers.size;
  }

  /** Lets `ms` milliseconds pass. Timers that are set on the way run too where they are due in time. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settled();
    for (let next = this.next(end); next !== undefined; next = this.next(end)) {
      this.timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.callback();
      await settled();
    }
    this.time = end;
  }

  private next(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.at > end) continue;
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer;
    }
    return first;
  }
}

/** Until no promise has anything left to do. Holds for work that waits for promises and for this clock only. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
