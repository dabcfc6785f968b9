import type { Config } from "../haproxy/config/types.ts";
import { type BackoffPolicy, backoffMs } from "../support/backoff.ts";
import { SluiceError, toSluiceError } from "../support/errors.ts";
import { isShortage } from "../support/shortage.ts";
import { Wake } from "../support/wake.ts";
import { Awaited } from "./awaited.ts";
import type { BusyBind } from "./closed-ports.ts";
import type { Wish } from "./desire.ts";
import { writeEndpoints } from "./endpoints.ts";
import { GrowingRetry } from "./growing-retry.ts";
import type { Complaint } from "./isolation.ts";
import type { Doubting } from "./known-down.ts";
import type { LaneParts } from "./lane.ts";
import { resumeProcess } from "./resume.ts";
import {
  changeStructure,
  isForStart,
  reloadLiveFile,
  type StructureOutcome,
  type StructureRequest,
} from "./structure.ts";

export interface CommitterParts extends LaneParts {
  readonly minReloadIntervalMs: () => number;
  readonly doubting: Doubting;
  /**
   * Tries to find out because of whose data a configuration is not taken, and to go on without. False: all stays as it
   * is. Where there is no wish: of the newest one.
   */
  readonly isolate: (wish: Wish | undefined, complaint: Complaint, signal: AbortSignal) => Promise<boolean>;
  /** Leaves ports that cannot be opened closed, where services asked for them. False: all stays as it is. */
  readonly closePorts: (wish: Wish, busy: readonly BusyBind[], signal: AbortSignal) => boolean;
  /** It was found out: there is something else to ask for. */
  readonly onIsolated: () => void;
  /** HAProxy takes this configuration from a file. */
  readonly onTaken: (config: Config) => void;
  /** After a structure was loaded or refused. */
  readonly onStructure: (request: StructureRequest, outcome: StructureOutcome) => void;
  /** What runs is not what was believed: a new pass with a read-back is due. */
  readonly onSurprise: (cause: string) => void;
  /** HAProxy is back on the live file: a pass has to bring it up to date at once. */
  readonly onResumed: () => void;
}

/** A change of endpoints is written when it has been quiet for this long, or at the latest after `latestMs`. */
const quietMs = 100;
const latestMs = 400;
/** Between two looks for a HAProxy that somebody else has to start. */
const awaitedMs = 20;
const failures: BackoffPolicy = { baseMs: 100, maxMs: 5_000 };

/**
 * The lane behind the hot one: brings file and process after what was decided, one step at a time. It writes the file
 * behind changes that needed no reload, reloads for those that do, and starts HAProxy when it is gone. Nothing in the
 * hot lane waits for it.
 */
export class Committer {
  private readonly parts: CommitterParts;
  private readonly wake = new Wake();
  private readonly fileRetry: GrowingRetry;
  private request: StructureRequest | undefined;
  private firstChangeAt: number | undefined;
  private carriedSince: number | undefined;
  /** Of the changes that are being written. */
  private takenSince: number | undefined;
  private lastChangeAt = 0;
  private lastReloadAt = Number.NEGATIVE_INFINITY;
  private attempts = 0;
  /** How the file lagged behind the process at the last commit, ms. */
  lastLagMs: number | undefined;
  /** Whether the live file could not be started; a new structure may help. Never so where somebody else starts it. */
  startFailed = false;
  /** Whether somebody else has to start HAProxy. */
  readonly awaited: Awaited;

  constructor(parts: CommitterParts) {
    this.parts = parts;
    this.awaited = new Awaited({ ...parts, onWait: () => parts.onSurprise("process-awaited") });
    this.fileRetry = new GrowingRetry(parts.clock, () => {
      parts.state.askFileAgain();
      this.touch();
    });
  }

  /** The newest structure that is wanted; undefined when the one that runs will do. */
  want(request: StructureRequest | undefined): void {
    this.request = request;
    if (request !== undefined) this.wake.ring();
  }

  /** Endpoints were changed on the process: the file is behind from now on. */
  touch(): void {
    const now = this.parts.clock.now();
    this.firstChangeAt ??= this.carriedSince ?? now;
    this.carriedSince = undefined;
    this.lastChangeAt = now;
    this.wake.ring();
  }

  /** The process is gone. */
  processGone(): void {
    this.wake.ring();
  }

  /** Ms since the first change the file does not have yet; undefined when it has all. */
  lagMs(): number | undefined {
    const since = this.takenSince ?? this.carriedSince ?? this.firstChangeAt;
    return since === undefined ? undefined : this.parts.clock.now() - since;
  }

  /** Ends by abort only. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.fileRetry.reset(), { once: true });
    if (this.parts.state.current !== undefined) this.wake.ring();
    while (!signal.aborted) {
      await this.wake.wait(this.parts.clock, signal, this.dueInMs());
      if (signal.aborted) return;
      try {
        await this.step(signal).finally(() => {
          this.takenSince = undefined;
        });
        this.attempts = 0;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = toSluiceError(thrown);
        if (error.code === "ERR_HAPROXY_AWAITED") {
          this.awaited.missed(error);
          // The try itself has waited.
          await this.parts.clock.sleep(awaitedMs, signal).catch(() => undefined);
          this.wake.ring();
          continue;
        }
        const waitMs = backoffMs(failures, this.attempts);
        this.attempts += 1;
        this.parts.events.emit("reconcile-failed", "error", `${error.message}; trying again`, { code: error.code });
        // Whatever was asked for is asked again by the pass that follows, from what is then found.
        this.parts.onSurprise(this.startFailed ? "start-failed" : "commit-failed");
        await this.parts.clock.sleep(waitMs, signal).catch(() => undefined);
        this.wake.ring();
      }
    }
  }

  /** Ms until the next step is due without anybody ringing; undefined when nothing is due. */
  private dueInMs(): number | undefined {
    const [reload, write] = [this.reloadDueInMs(), this.writeDueInMs()];
    if (reload === undefined || write === undefined) return reload ?? write;
    return Math.min(reload, write);
  }

  private reloadDueInMs(): number | undefined {
    if (this.request === undefined) return undefined;
    return Math.max(0, this.reloadAllowedAt() - this.parts.clock.now());
  }

  private writeDueInMs(): number | undefined {
    if (this.firstChangeAt === undefined) return undefined;
    const at = Math.min(this.lastChangeAt + quietMs, this.firstChangeAt + latestMs);
    return Math.max(0, at - this.parts.clock.now());
  }

  private reloadAllowedAt(): number {
    return this.parts.state.up ? this.lastReloadAt + this.parts.minReloadIntervalMs() : 0;
  }

  private async step(signal: AbortSignal): Promise<void> {
    const { state } = this.parts;
    const resumable = !state.up && state.current !== undefined;
    // Asked for while HAProxy ran, which it will run again on the file it has run; the pass that follows asks anew.
    if (resumable && this.request !== undefined && !isForStart(this.request)) this.request = undefined;
    const another = this.request !== undefined && (this.startFailed || this.awaited.now);
    if (resumable && !another) await this.resume(signal);
    else if (this.request !== undefined && this.reloadDueInMs() === 0) await this.loadStructure(this.request, signal);
    else if (this.firstChangeAt !== undefined && this.writeDueInMs() === 0)
      await this.writeBehind(this.firstChangeAt, signal);
  }

  private async resume(signal: AbortSignal): Promise<void> {
    try {
      await resumeProcess(this.parts, signal);
    } catch (thrown) {
      // Where somebody else starts it, the file need not be to blame; see `Wanting.mustStartAnew`.
      const ours = this.parts.process.startedByOthers !== true;
      this.startFailed = ours && !isShortage(thrown) && toSluiceError(thrown).code !== "ERR_HAPROXY_AWAITED";
      throw thrown;
    }
    this.startFailed = false;
    this.awaited.found();
    // Asked for while nothing ran: the pass that follows finds out whether it still needs a reload.
    this.request = undefined;
    this.parts.onResumed();
  }

  private async loadStructure(request: StructureRequest, signal: AbortSignal): Promise<void> {
    const { clock, state } = this.parts;
    const behind = this.takeChanges();
    const change =
      request.kind === "wish"
        ? changeStructure(this.parts, request, signal)
        : reloadLiveFile(this.parts, request.reasons, signal);
    const outcome = await change
      .catch((thrown) => {
        this.putBack(behind);
        throw thrown;
      })
      .finally(() => {
        // Also what was asked for meanwhile, by passes that saw the old structure: the one that follows asks anew.
        this.request = undefined;
      });
    if (outcome === "overtaken") {
      this.putBack(behind);
      this.wake.ring();
      return;
    }
    if (outcome.kind === "loaded" || outcome.stage === "reload") this.lastReloadAt = clock.now();
    if (outcome.kind === "loaded") {
      this.startFailed = false;
      this.awaited.found();
      if (request.kind === "wish") this.fileRetry.reset();
    } else {
      this.putBack(behind);
      if (request.kind === "wish" && (await this.goOnWithout(request.wish, outcome, signal))) {
        // What was asked for meanwhile is as bad; the pass that follows asks for what is left.
        this.request = undefined;
        this.parts.onIsolated();
        return;
      }
    }
    this.parts.onStructure(request, outcome);
    if (outcome.kind === "refused" && this.awaited.now) this.wake.ring();
    else if (outcome.kind === "refused" && !state.up && state.current !== undefined) {
      const message = "HAProxy is not running: neither its file nor the new structure could be started";
      throw new SluiceError("ERR_HAPROXY_START", message, { retryable: true });
    }
  }

  /** Whether there is something else to ask for, without what HAProxy or the machine does not take. */
  private async goOnWithout(
    wish: Wish,
    { stage, problems, places = [], busy = [] }: StructureOutcome & { readonly kind: "refused" },
    signal: AbortSignal,
  ): Promise<boolean> {
    if (stage === "preflight") return this.parts.closePorts(wish, busy, signal);
    return stage === "validate" && this.parts.isolate(wish, { problems, places }, signal);
  }

  private async writeBehind(since: number, signal: AbortSignal): Promise<void> {
    const { clock, events, state } = this.parts;
    const config = state.current?.config;
    this.takeChanges();
    const outcome = await writeEndpoints(this.parts, signal).catch((thrown) => {
      this.putBack(since);
      throw thrown;
    });
    if ((outcome === "written" || outcome === "same") && config !== undefined) this.parts.onTaken(config);
    if (outcome === "surprise" || outcome === "unbelieved") {
      // Somebody else's hand or a new process: the pass that reads back touches again, and the lag counts from here.
      this.carriedSince ??= since;
      // Doubting anew would spoil the read-back that is under way, and the next, for ever.
      if (outcome === "surprise") this.parts.onSurprise("verification");
    } else if (outcome === "refused") {
      this.fileRetry.failed();
      const complaint = state.fileRefused;
      if (complaint !== undefined && (await this.parts.isolate(undefined, complaint, signal))) this.parts.onIsolated();
    } else if (outcome === "same") this.fileRetry.reset();
    else if (outcome === "written") {
      this.fileRetry.reset();
      this.lastLagMs = clock.now() - since;
      const lagMs = Math.round(this.lastLagMs);
      events.emit("file-written", "info", `file written, ${lagMs} ms behind the change`, { lagMs });
    }
  }

  private takeChanges(): number | undefined {
    this.takenSince = this.firstChangeAt;
    this.firstChangeAt = undefined;
    return this.takenSince;
  }

  /** Changes that were taken and are not in the file after all. */
  private putBack(since: number | undefined): void {
    if (since !== undefined) this.firstChangeAt = Math.min(since, this.firstChangeAt ?? since);
  }
}
