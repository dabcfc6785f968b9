import type { Clock } from "../support/clock.ts";
import type { Inputs } from "./desire.ts";
import type { EventLog, Severity } from "./events.ts";
import { GrowingRetry } from "./growing-retry.ts";

/**
 * Settings and template: those in force, and a newer version on probation until HAProxy has taken it. While a version is
 * on trial, or after it was refused, the one in force goes on with today's endpoints.
 */
export class InputsTrial {
  inForce: Inputs;
  candidate: Inputs | undefined;
  /** Why the newest version is not in force; undefined when it is, or is still on trial. */
  problem: string | undefined;
  /** What was refused and is tried again. */
  private refused: Inputs | undefined;
  private readonly retry: GrowingRetry;
  private readonly parts: {
    readonly clock: Clock;
    readonly events: EventLog;
    readonly onAccepted: (inputs: Inputs) => void;
    readonly onRetry: () => void;
  };

  constructor(parts: InputsTrial["parts"], inForce: Inputs, candidate: Inputs | undefined) {
    this.parts = parts;
    this.inForce = inForce;
    this.candidate = candidate;
    this.retry = new GrowingRetry(parts.clock, () => {
      this.candidate = this.refused;
      parts.onRetry();
    });
  }

  /** A newer version was read. */
  offer(inputs: Inputs): void {
    this.retry.reset();
    this.problem = undefined;
    this.candidate = inputs;
  }

  /** A newer version could not even be read. */
  unreadable(problem: string): void {
    this.retry.reset();
    this.candidate = undefined;
    this.say(problem);
  }

  accept(): void {
    if (this.candidate === undefined) return;
    this.retry.reset();
    this.inForce = this.candidate;
    this.candidate = undefined;
    this.problem = undefined;
    this.parts.events.emit("inputs-accepted", "info", "the new settings and template are in force", {
      template: this.inForce.template.path,
    });
    this.parts.onAccepted(this.inForce);
  }

  /** The template could not be rendered: only an edit helps. */
  fail(problem: string): void {
    this.candidate = undefined;
    this.say(problem);
  }

  /**
   * HAProxy or the machine did not take it, which may mend without an edit: tried again with growing waits.
   *
   * @param again how loud the same problem is said another time
   */
  refuse(problem: string, again: Severity): void {
    this.refused = this.candidate;
    this.candidate = undefined;
    this.say(problem, again);
    this.retry.failed();
  }

  stop(): void {
    this.retry.reset();
  }

  private say(problem: string, again: Severity = "debug"): void {
    const known = this.problem === problem;
    this.problem = problem;
    const message = `the new settings or template are refused, the ones in force stay: ${problem}`;
    this.parts.events.emit("inputs-refused", known ? again : "error", message, { problem });
  }
}
