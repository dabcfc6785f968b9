import type { Clock } from "../support/clock.ts";

export interface TokenBucketOptions {
  readonly burst: number;
  readonly perSecond: number;
  readonly clock: Clock;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
}

/** Lets a burst through at once and a storm at a steady rate, with some dither so that many buckets fall out of step. */
export class TokenBucket {
  private readonly options: TokenBucketOptions;
  private tokens: number;
  private filledAt: number;

  constructor(options: TokenBucketOptions) {
    this.options = options;
    this.tokens = options.burst;
    this.filledAt = options.clock.now();
  }

  /**
   * Takes one token.
   *
   * @returns milliseconds to wait before going on; 0 within the burst
   */
  take(): number {
    const { burst, perSecond, clock, random } = this.options;
    const now = clock.now();
    this.tokens = Math.min(burst, this.tokens + ((now - this.filledAt) / 1_000) * perSecond);
    this.filledAt = now;
    this.tokens -= 1;
    if (this.tokens >= 0) return 0;
    const everyMs = 1_000 / perSecond;
    return -this.tokens * everyMs + (random() * everyMs) / 4;
  }
}
