/** A wall clock that is set by more than this at once has been set; less is how clocks are. */
const leapMs = 60_000;

/**
 * Wall-clock time for the guard, such that a clock that is set ahead by days does not end a hold: at most a minute of
 * the leap counts. What was left out is made good when the clock is set back. In all else it is the wall clock: what
 * was written down before a restart is compared with what the clock says then.
 */
export class SteadyTime {
  /** How much less than the wall clock it says, ms. */
  behindMs = 0;
  private last: { readonly wallMs: number; readonly nowMs: number } | undefined;

  /**
   * The guard's time.
   *
   * @param wallMs wall-clock ms
   * @param nowMs monotonic ms
   */
  at(wallMs: number, nowMs: number): number {
    if (this.last !== undefined) {
      const setMs = wallMs - this.last.wallMs - (nowMs - this.last.nowMs);
      if (setMs > leapMs) this.behindMs += setMs - leapMs;
      else if (setMs < -leapMs) this.behindMs = Math.max(0, this.behindMs + setMs);
    }
    this.last = { wallMs, nowMs };
    return wallMs - this.behindMs;
  }
}
