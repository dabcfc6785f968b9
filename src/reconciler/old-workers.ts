import type { Config } from "../haproxy/config/types.ts";
import type { Clock } from "../support/clock.ts";
import { SluiceError } from "../support/errors.ts";
import type { EventLog } from "./events.ts";
import type { ProcessPort } from "./ports.ts";
import type { RunningState } from "./running.ts";

/** The longest pause between two looks, and the shortest. */
const slowlyMs = 1_000;
const quicklyMs = 100;
/** HAProxy ends a worker some 100 ms behind its time, and we learn late of its beginning as of its end. */
const slackMs = 500;

interface Known {
  readonly pid: number;
  /** Monotonic and wall-clock ms at which it was replaced, as far as is known. */
  readonly sinceMs: number;
  readonly since: number;
  /** After which its connections are cut; Infinity for never. */
  readonly boundMs: number;
  /** Undefined where that cannot be known. */
  readonly connections: number | undefined;
  /** Those it had at the last look that found any; and the first look, in monotonic ms, that found none behind it. */
  readonly had: number | undefined;
  readonly noneAt: number | undefined;
}

/**
 * Follows the workers that reloads replaced until they have ended, for people to see, and says how many connections
 * were cut where one ends at its time. Looks now and then, and only as long as there is one.
 */
export class OldWorkers {
  private readonly known = new Map<number, Known>();
  /** When connections of a worker are cut once it is replaced, ms; of the one that serves and of the old ones. */
  private readonly bounds = new Map<number, number>();
  private lookAgain = false;
  private running = false;
  /** When the worker that serves was first seen. */
  private seenAt = 0;
  private readonly parts: {
    readonly process: Pick<ProcessPort, "oldWorkers">;
    readonly state: RunningState;
    readonly clock: Clock;
    readonly events: EventLog;
  };

  constructor(parts: OldWorkers["parts"]) {
    this.parts = parts;
  }

  /** Those that were there at the last look, by pid. */
  list(): readonly Pick<Known, "pid" | "since" | "connections">[] {
    return [...this.known.values()].sort((a, b) => a.pid - b.pid);
  }

  /** There may be another worker than before: to be called when what runs has been read back. Returns at once. */
  look(signal: AbortSignal): void {
    const { state, clock } = this.parts;
    if (state.workerPid === undefined || state.current === undefined) return;
    if (!this.bounds.has(state.workerPid)) {
      this.bounds.set(state.workerPid, hardStopAfterMs(state.current.config));
      this.seenAt = clock.now();
      this.lookAgain = true;
    }
    if (!this.lookAgain || this.running || signal.aborted) return;
    this.running = true;
    void this.run(signal).finally(() => {
      this.running = false;
    });
  }

  private async run(signal: AbortSignal): Promise<void> {
    const { process, state, clock } = this.parts;
    while (!signal.aborted && (this.lookAgain || this.known.size > 0)) {
      // With the process all its workers are gone.
      if (!state.up) this.known.clear();
      try {
        this.lookAgain = false;
        const { workerPid } = state;
        if (state.up) this.note(await process.oldWorkers(signal), workerPid);
      } catch (thrown) {
        if (signal.aborted) return;
        if (!(thrown instanceof SluiceError)) throw thrown;
        // A master that loads does not answer; one that has gone is dealt with by the reconciler.
        this.lookAgain = true;
      }
      if (!this.lookAgain && this.known.size === 0) return;
      await clock.sleep(this.pauseMs(), signal).catch(() => undefined);
    }
  }

  /** @param serving the worker that served when it was asked: a reload may have replaced it since */
  private note(found: Awaited<ReturnType<ProcessPort["oldWorkers"]>>, serving: number | undefined): void {
    const { state, clock } = this.parts;
    const now = clock.now();
    for (const { pid, connections } of found) {
      const before = this.known.get(pid);
      const sinceMs = before?.sinceMs ?? this.replacedAt(pid, now);
      this.known.set(pid, {
        pid,
        sinceMs,
        since: before?.since ?? clock.wall() - (now - sinceMs),
        boundMs: this.bounds.get(pid) ?? Number.POSITIVE_INFINITY,
        connections,
        had: connections === 0 && before !== undefined ? before.had : connections,
        noneAt: connections === 0 ? (before?.noneAt ?? now) : undefined,
      });
    }
    const there = new Set(found.map(({ pid }) => pid));
    for (const worker of this.known.values()) {
      if (there.has(worker.pid)) continue;
      this.known.delete(worker.pid);
      this.announce(worker, now);
    }
    for (const pid of this.bounds.keys()) {
      if (pid !== state.workerPid && pid !== serving && !there.has(pid)) this.bounds.delete(pid);
    }
  }

  /** When a worker was told to finish that is found for the first time. */
  private replacedAt(pid: number, now: number): number {
    const { loaded, workerPid } = this.parts.state;
    // The reload is not over yet.
    if (pid === workerPid) return now;
    return loaded !== undefined && loaded.pid === workerPid ? loaded.at : this.seenAt;
  }

  private announce({ pid, connections, had, noneAt, sinceMs, boundMs }: Known, endedAt: number): void {
    const lastedMs = Math.round(endedAt - sinceMs);
    // It closes them a moment before it ends itself: a look in between finds none.
    const cut = had !== 0 && (noneAt ?? endedAt) - sinceMs + slackMs >= boundMs;
    const data = { worker: pid, connections: cut ? had : connections, lastedMs };
    if (cut) {
      const message = `${had ?? "the last"} connections were cut at reload.hardStopAfter: worker ${pid}, which a reload replaced, has ended`;
      this.parts.events.emit("worker-ended", "warn", message, data);
    } else this.parts.events.emit("worker-ended", "debug", `worker ${pid}, which a reload replaced, has ended`, data);
  }

  private pauseMs(): number {
    const shortest = Math.min(...[...this.known.values()].map(({ boundMs }) => boundMs));
    return Math.min(slowlyMs, Math.max(quicklyMs, shortest / 8));
  }
}

const unitMs: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 };

/** When a worker that loaded this cuts what is left once it is replaced (configuration manual 3.1, `hard-stop-after`). */
function hardStopAfterMs(config: Config): number {
  const lines = config.sections.filter(({ kind }) => kind === "global").flatMap(({ lines }) => lines);
  const word = lines.findLast(({ words }) => words[0] === "hard-stop-after")?.words[1] ?? "";
  const [, count, unit = "ms"] = /^(\d+)(us|ms|s|m|h|d)?$/.exec(word) ?? [];
  return count === undefined ? Number.POSITIVE_INFINITY : Number(count) * (unitMs[unit] ?? 1);
}
