/**
 * Time as a dependency. Every timer of the operator goes through a `Clock`, so that tests can move time by hand
 * and a jump of the wall clock cannot shorten or lengthen a wait.
 */
export interface Clock {
  /** Monotonic milliseconds, for durations and deadlines. Never jumps. */
  now(): number;
  /** Wall-clock milliseconds since 1970, for people and for files only. May jump. */
  wall(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `callback` once after `ms` milliseconds. Returns a function that cancels it. */
  timer(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        clearTimeout(handle);
        reject(signal?.reason);
      };
      const handle = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  timer: (ms, callback) => {
    const handle = setTimeout(callback, ms);
    return () => clearTimeout(handle);
  },
};
