import type { Clock } from "./clock.ts";

/** A bell: rung any number of times before somebody waits, it wakes the next waiter once. */
export class Wake {
  private rung = false;
  private release: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.release?.();
  }

  /**
   * Resolves when the bell has been rung since the last wait, when `ms` have passed, or when the signal aborts; never
   * rejects.
   *
   * @param ms longest wait; undefined: as long as it takes
   */
  async wait(clock: Clock, signal: AbortSignal, ms?: number): Promise<void> {
    if (!this.rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          cancel?.();
          signal.removeEventListener("abort", done);
          resolve();
        };
        const cancel = ms === undefined ? undefined : clock.timer(ms, done);
        signal.addEventListener("abort", done);
        this.release = done;
      });
      this.release = undefined;
    }
    this.rung = false;
  }
}
