import type { Clock } from "../support/clock.ts";
import type { Inputs } from "./desire.ts";
import type { EventLog } from "./events.ts";

/** Inputs this machine could not run (a port taken, a reload that failed) are tried again after this. */
const machineRetryMs = 10_000;

/**
 * Settings and template: those in force, and a newer version on probation until HAProxy has taken it. While a version is
 * on trial, or after it was refused, the one in force goes on with today's endpoints.
 */
export class InputsTrial {
  inForce: Inputs;
  candidate: Inputs | undefined;
  /** Why the newest version is not in force; undefined when it is, or is still on trial. */
  problem: string | undefined;
  private cancelRetry: (() => void) | undefined;
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
  }

  /** A newer version was read. */
  offer(inputs: Inputs): void {
    this.cancelRetry?.();
    this.problem = undefined;
    this.candidate = inputs;
  }

  /** A newer version could not even be read. */
  unreadable(problem: string): void {
    this.cancelRetry?.();
    this.candidate = undefined;
    this.say(problem);
  }

  accept(): void {
    if (this.candidate === undefined) return;
    this.inForce = this.candidate;
    this.candidate = undefined;
    this.problem = undefined;
    this.parts.events.emit("inputs-accepted", "info", "the new settings and template are in force", {
      template: this.inForce.template.path,
    });
    this.parts.onAccepted(this.inForce);
  }

  /** @param again whether the machine is at fault, which may mend without an edit */
  refuse(problem: string, again: boolean): void {
    const refused = this.candidate;
    this.candidate = undefined;
    this.say(problem);
    if (!again) return;
    this.cancelRetry = this.parts.clock.timer(machineRetryMs, () => {
      this.candidate = refused;
      this.parts.onRetry();
    });
  }

  stop(): void {
    this.cancelRetry?.();
  }

  private say(problem: string): void {
    const known = this.problem === problem;
    this.problem = problem;
    const message = `the new settings or template are refused, the ones in force stay: ${problem}`;
    this.parts.events.emit("inputs-refused", known ? "debug" : "error", message, { problem });
  }
}
