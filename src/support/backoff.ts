export interface BackoffPolicy {
  /** Upper bound of the first wait, in milliseconds. */
  readonly baseMs: number;
  /** Upper bound of any wait, in milliseconds. */
  readonly maxMs: number;
}

/**
 * Full jitter: a wait drawn evenly from 0 up to `baseMs · 2^attempt`, capped at `maxMs`, so that many clients
 * that failed at the same moment do not come back at the same moment.
 *
 * @param attempt failures so far, from 0
 * @param random source of randomness in [0, 1), for tests
 * @returns milliseconds
 */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: () => number = Math.random): number {
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(attempt, 30));
  return random() * ceiling;
}
