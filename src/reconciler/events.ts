import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";

export type Severity = "debug" | "info" | "warn" | "error";

/** One thing that happened, for log, status and (later) the event stream alike. */
export interface SluiceEvent {
  readonly seq: number;
  /** ISO 8601. */
  readonly at: string;
  readonly type: EventType;
  readonly severity: Severity;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type EventType =
  | "change-applied"
  | "file-written"
  | "file-refused"
  | "reload-wanted"
  | "reloaded"
  | "reload-refused"
  | "binary-changed"
  | "version-differs"
  | "process-awaited"
  | "process-up"
  | "process-down"
  | "worker-ended"
  | "operation-refused"
  | "drift"
  | "server-deleted"
  | "backend-deleted"
  | "server-admitted"
  | "server-doubted"
  | "held"
  | "released"
  | "excluded"
  | "quarantined"
  | "unquarantined"
  | "inputs-accepted"
  | "inputs-refused"
  | "certificate-loaded"
  | "certificate-replaced"
  | "certificate-removed"
  | "certificate-refused"
  | "certificate-expiring"
  | "credentials-changed"
  | "credentials-refused"
  | "reconcile-failed";

/** An event carries so many entries of a list at most, and their count: events are kept in memory. */
export const mostInEvent = 20;

/** Keeps the newest events and writes each to the log. */
export class EventLog {
  private readonly kept: SluiceEvent[] = [];
  private seq = 0;
  /** Id of the pass that is under way, or was last: on every line. */
  reconcile = 0;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly capacity: number;

  constructor(clock: Clock, logger: Logger, capacity = 500) {
    this.clock = clock;
    this.logger = logger;
    this.capacity = capacity;
  }

  emit(type: EventType, severity: Severity, message: string, data: Readonly<Record<string, unknown>> = {}): void {
    this.seq += 1;
    const event = {
      seq: this.seq,
      at: new Date(this.clock.wall()).toISOString(),
      type,
      severity,
      message,
      data: { reconcile: this.reconcile, ...data },
    };
    this.kept.push(event);
    if (this.kept.length > this.capacity) this.kept.shift();
    this.logger[severity]({ event: type, ...event.data }, message);
  }

  /** Oldest first. */
  recent(count: number): readonly SluiceEvent[] {
    return this.kept.slice(-count);
  }
}
