import type { Clock } from "../support/clock.ts";
import type { SluiceError } from "../support/errors.ts";
import type { EventLog } from "./events.ts";

/** A HAProxy that is there after all by now was only being started. */
const longMs = 10_000;

/** The wait for a HAProxy that somebody else has to start (ERR_HAPROXY_AWAITED): says once what is missing. */
export class Awaited {
  private wait: { readonly sinceMs: number; readonly message: string; readonly long: boolean } | undefined;
  private readonly parts: {
    readonly clock: Clock;
    readonly events: EventLog;
    /** A pass is due: what may be done while there is no HAProxy has changed. */
    readonly onWait: () => void;
  };

  constructor(parts: Awaited["parts"]) {
    this.parts = parts;
  }

  /** Whether it is awaited at all. */
  get now(): boolean {
    return this.wait !== undefined;
  }

  /** Whether it has been for so long that what is in place may be what keeps it from starting. */
  get long(): boolean {
    return this.wait?.long === true;
  }

  /** It was looked for and not found. */
  missed({ message }: SluiceError): void {
    const { clock, events, onWait } = this.parts;
    const before = this.wait;
    const sinceMs = before?.sinceMs ?? clock.now();
    this.wait = { sinceMs, message, long: clock.now() - sinceMs >= longMs };
    if (before?.message !== message) events.emit("process-awaited", "warn", message);
    if (before?.long !== this.wait.long) onWait();
  }

  /** It is there. */
  found(): void {
    this.wait = undefined;
  }
}
