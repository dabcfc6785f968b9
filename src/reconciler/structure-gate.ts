import type { Config } from "../haproxy/config/types.ts";
import type { ReloadReason } from "../haproxy/plan/types.ts";
import type { Clock } from "../support/clock.ts";
import type { Wish } from "./desire.ts";
import type { EventLog } from "./events.ts";
import { GrowingRetry } from "./growing-retry.ts";
import type { RunningState } from "./running.ts";
import { isRefused, type RefusedDigest, type StructureOutcome, type StructureRequest } from "./structure.ts";

type Refusal = Extract<StructureOutcome, { readonly kind: "refused" }>;

/** A structure that HAProxy does not take. */
interface Refused {
  readonly digest: RefusedDigest;
  readonly problems: readonly string[];
  /** True until it may be asked for again. */
  readonly held: boolean;
}

export interface StructureGateParts {
  readonly clock: Clock;
  readonly events: EventLog;
  readonly state: RunningState;
  /** Puts the request to the committer; undefined when the structure that runs will do. */
  readonly ask: (request: StructureRequest | undefined) => void;
  /** What could not be asked for may be now: a pass is due. */
  readonly onRetry: () => void;
}

/**
 * Decides which structure is asked for. One that was refused waits before it is asked for again, and longer each time;
 * another one is tried at once. Not so after a reload that failed: each of those may refuse new connections for two
 * seconds, whatever the structure, so that none is tried before the wait is over.
 */
export class StructureGate {
  /** What HAProxy does not take of what is wanted; undefined when it took it. */
  refused: Refused | undefined;
  /** True while no reload may be tried. */
  private blocked = false;
  /** What came of loading the live file to get out of an unknown structure. */
  private liveFile: "untried" | "failed" | "loaded" = "untried";
  private readonly afterRefusal: GrowingRetry;
  private readonly afterReload: GrowingRetry;
  private readonly parts: StructureGateParts;

  constructor(parts: StructureGateParts) {
    this.parts = parts;
    this.afterRefusal = new GrowingRetry(parts.clock, () => this.letGo());
    this.afterReload = new GrowingRetry(parts.clock, () => {
      this.blocked = false;
      this.letGo();
    });
  }

  /** The structure of the inputs in force. */
  want(wish: Wish, reasons: readonly ReloadReason[] | undefined): void {
    const asked = reasons !== undefined && this.mayAsk(wish.desired.config);
    this.parts.ask(asked ? { kind: "wish", wish, reasons } : undefined);
  }

  /** The structure of inputs on trial: whether it is taken is what the trial is about. */
  wantOnTrial(wish: Wish, reasons: readonly ReloadReason[]): void {
    this.parts.ask(this.blockedNow() ? undefined : { kind: "wish", wish, reasons });
  }

  /**
   * The process runs a structure that nobody knows, so that nothing can be changed at run time. The wanted one ends
   * that; where it is refused, the live file does, which HAProxy has taken before.
   */
  wantKnown(wish: Wish, reasons: readonly ReloadReason[]): void {
    const live = this.liveFile === "untried" || (this.liveFile === "failed" && !this.blockedNow());
    if (this.mayAsk(wish.desired.config) || !live) this.want(wish, reasons);
    else this.parts.ask({ kind: "live-file", reasons });
  }

  /** Whether inputs on trial have to wait for the end of a failed reload's wait. */
  blockedNow(): boolean {
    // Where nothing runs, a try takes nothing away from anybody.
    return this.blocked && this.parts.state.up;
  }

  /** A read-back found the structure that is in the file. */
  known(): void {
    this.liveFile = "untried";
  }

  /** A person has changed something, which is worth a try at once. */
  unblock(): void {
    this.blocked = false;
  }

  /**
   * Nobody wants any more what was refused, or the process has ended and it is worth a try whatever was said of it. How
   * the last reload went is remembered.
   */
  forget(): void {
    this.refused = undefined;
    this.afterRefusal.reset();
  }

  loaded(request: StructureRequest): void {
    if (request.kind === "live-file") {
      this.liveFile = "loaded";
      return;
    }
    this.forget();
    this.blocked = false;
    this.afterReload.reset();
  }

  /** @param inForce whether it is what the inputs in force want */
  refuse(request: StructureRequest, outcome: Refusal, inForce: boolean): void {
    const { events, state } = this.parts;
    const { stage, problems, refused: digest } = outcome;
    if (stage === "reload" || request.kind === "live-file") {
      this.blocked = true;
      this.afterReload.failed();
    }
    const problem = problems.join("; ");
    if (request.kind === "live-file") {
      this.liveFile = "failed";
      const message = `HAProxy runs a structure nobody knows and does not go back to its file (${stage}): ${problem}`;
      events.emit("reload-refused", "error", message, { stage, problems });
    } else if (inForce) {
      const before = this.refused;
      if (before?.digest.digest !== digest.digest) this.afterRefusal.reset();
      this.refused = { digest, problems, held: true };
      if (stage !== "reload" || !state.up) this.afterRefusal.failed(state.up);
      const known = before?.problems.join("; ") === problem;
      const severity = known ? (stage === "reload" ? "warn" : "debug") : "error";
      const message = `HAProxy does not take the new structure (${stage}), the one that runs goes on: ${problem}`;
      events.emit("reload-refused", severity, message, { stage, problems });
    }
  }

  stop(): void {
    this.afterRefusal.reset();
    this.afterReload.reset();
  }

  private mayAsk(config: Config): boolean {
    const { refused } = this;
    return !this.blockedNow() && !(refused?.held === true && isRefused(config, refused.digest));
  }

  private letGo(): void {
    if (this.refused !== undefined) this.refused = { ...this.refused, held: false };
    this.parts.onRetry();
  }
}
