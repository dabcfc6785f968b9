import type { ReloadReason } from "../haproxy/plan/types.ts";
import { type BackoffPolicy, backoffMs } from "../support/backoff.ts";
import type { Clock } from "../support/clock.ts";
import { type SluiceError, toSluiceError } from "../support/errors.ts";
import type { EventLog } from "./events.ts";
import type { RunningState } from "./running.ts";

/** Between two tries after a surprise; the first one follows at once. */
const retries: BackoffPolicy = { baseMs: 50, maxMs: 2_000 };
/** So many passes in a row in which HAProxy refused something make a repair at run time hopeless. */
const hopeless = 3;

const giveUpReason: readonly ReloadReason[] = [
  {
    code: "structure-unknown",
    subject: "HAProxy",
    sentence: `refused what it was asked ${hopeless} times in a row; a reload settles it`,
  },
];

/** Counts what did not go as believed, and has a pass follow that reads back: at once, then with growing waits. */
export class Surprises {
  private inARow = 0;
  private refusals = 0;
  private lastFailure: string | undefined;
  private cancel: (() => void) | undefined;
  private readonly parts: {
    readonly clock: Clock;
    readonly events: EventLog;
    readonly state: RunningState;
    /** A pass is due. */
    readonly trigger: (cause: string) => void;
  };

  constructor(parts: Surprises["parts"]) {
    this.parts = parts;
  }

  /** What runs may not be what was believed. */
  surprise(cause: string, signal: AbortSignal): void {
    const { clock, state, trigger } = this.parts;
    state.doubt();
    if (signal.aborted) return;
    const waitMs = this.inARow === 0 ? 0 : backoffMs(retries, this.inARow);
    this.inARow += 1;
    this.cancel?.();
    this.cancel = clock.timer(waitMs, () => trigger(cause));
  }

  /** HAProxy refused something. */
  refused(signal: AbortSignal): void {
    this.refusals += 1;
    this.surprise("operation-refused", signal);
  }

  /** All went well. */
  settled(): void {
    this.inARow = 0;
    this.refusals = 0;
  }

  /** A pass came to its end. */
  ended(): void {
    this.lastFailure = undefined;
  }

  /** Why HAProxy should be reloaded for what it refused; undefined while a repair at run time may do. */
  giveUp(): readonly ReloadReason[] | undefined {
    return this.refusals >= hopeless ? giveUpReason : undefined;
  }

  /** A pass failed: said once, and tried again where that may help. */
  failed(thrown: unknown, signal: AbortSignal): SluiceError {
    const error = toSluiceError(thrown);
    const known = this.lastFailure === error.message;
    this.lastFailure = error.message;
    this.parts.events.emit("reconcile-failed", known ? "debug" : "error", error.message, {
      code: error.code,
      ...error.details,
    });
    // A broken template or setting mends by an edit only; all else may mend by itself.
    if (error.retryable || error.code === "ERR_INTERNAL") this.surprise("failed", signal);
    return error;
  }

  stop(): void {
    this.cancel?.();
  }
}
