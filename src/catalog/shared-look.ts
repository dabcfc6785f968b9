import type { Clock } from "../support/clock.ts";

/**
 * One question that many want answered at the same moment: it is asked once, and the answer serves for `freshMs`. It
 * is nobody's own, so it ends with the signal of the catalog alone.
 */
export class SharedLook<T> {
  private readonly ask: (signal: AbortSignal) => Promise<T>;
  private readonly clock: Clock;
  private readonly freshMs: number;
  private underWay: Promise<T> | undefined;
  private last: { readonly value: T; readonly at: number } | undefined;

  constructor(clock: Clock, freshMs: number, ask: (signal: AbortSignal) => Promise<T>) {
    this.clock = clock;
    this.freshMs = freshMs;
    this.ask = ask;
  }

  /** Rejects with what `ask` throws; a failure is not kept. */
  get(signal: AbortSignal): Promise<T> {
    if (this.last !== undefined && this.clock.now() - this.last.at < this.freshMs) {
      return Promise.resolve(this.last.value);
    }
    this.underWay ??= this.look(signal).finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  /** What was answered last, if it is no older than this. */
  known(withinMs: number): T | undefined {
    return this.last !== undefined && this.clock.now() - this.last.at <= withinMs ? this.last.value : undefined;
  }

  private async look(signal: AbortSignal): Promise<T> {
    const at = this.clock.now();
    const value = await this.ask(signal);
    this.last = { value, at };
    return value;
  }
}
