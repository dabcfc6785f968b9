import { serverLineOf } from "../haproxy/plan/pools.ts";
import type { ServerPath } from "../haproxy/plan/types.ts";
import type { Clock } from "../support/clock.ts";
import type { Mutex } from "../support/mutex.ts";
import type { EventLog } from "./events.ts";
import type { DeleteResult, RuntimePort } from "./ports.ts";
import type { RunningState } from "./running.ts";

/** First and longest wait between two tries to delete a leaving server. */
const firstWaitMs = 20;
const longestWaitMs = 1_000;
/**
 * No server is deleted sooner than this after it took its last request. A request whose connection failed waits for up to
 * 1 s before it is tried again, and refers to the server meanwhile without counting as attached to it: 2.6.12 deletes the
 * server, and the worker ends with a segmentation fault when the request goes on (measured; 3.0.11 deletes it and lives,
 * 3.2 refuses). So this is the template's `timeout connect`, in which an attempt under way may fail, that second, and
 * some more.
 */
const lastTriesMs = 2_500;

export interface LeavingParts {
  readonly runtime: RuntimePort;
  readonly state: RunningState;
  readonly mutex: Mutex;
  readonly clock: Clock;
  readonly events: EventLog;
  readonly drainTimeoutMs: () => number;
  /** Called when the leaving set has changed and is worth keeping. */
  readonly onChange: () => void;
  /** What runs is not what was believed: a new pass with a read-back is due. */
  readonly onSurprise: (cause: string) => void;
}

/**
 * Deletes servers that were put in maintenance, once they carry nothing, or at `drainTimeout` after their sessions were
 * shut (management guide 9.3, `del server`, `shutdown sessions server`); and backends that were unpublished, once they
 * are empty. Nothing waits for it.
 */
export class LeavingServers {
  private waitMs = firstWaitMs;
  private cancelTimer: (() => void) | undefined;
  /** When each began to leave, in monotonic ms: a wall clock that is set shortens nobody's time. */
  private readonly begun = new Map<ServerPath, { readonly since: number; readonly at: number }>();
  /** What HAProxy answered where it will not delete a server, to say so and to wonder once. */
  private readonly refusals = new Map<ServerPath, string>();
  /** Backends that HAProxy will not delete. */
  private readonly kept = new Set<string>();
  private readonly parts: LeavingParts;
  private readonly signal: AbortSignal;

  constructor(parts: LeavingParts, signal: AbortSignal) {
    this.parts = parts;
    this.signal = signal;
    signal.addEventListener("abort", () => this.cancelTimer?.(), { once: true });
  }

  /** To be called when servers have joined the leaving set. */
  wake(): void {
    // The next try is as near as it can be: one that is put off by each pass would never come.
    if (this.cancelTimer !== undefined && this.waitMs === firstWaitMs) return;
    this.waitMs = firstWaitMs;
    this.schedule();
  }

  private schedule(): void {
    this.cancelTimer?.();
    if (this.signal.aborted) return;
    this.cancelTimer = this.parts.clock.timer(this.waitMs, () => {
      this.cancelTimer = undefined;
      void this.tick();
    });
  }

  private async tick(): Promise<void> {
    const { state, mutex } = this.parts;
    if (state.up && state.believed) {
      for (const path of [...state.leaving.keys()].sort()) {
        if (this.signal.aborted) return;
        if (this.leftMs(path, state.leaving.get(path)?.since ?? 0) < lastTriesMs) continue;
        // One deletion at a time under the mutex: a change that arrives meanwhile waits for one command at most.
        await mutex.run(() => this.tryDelete(path));
      }
    }
    await this.deleteBackends();
    for (const known of [this.refusals, this.begun]) {
      for (const path of known.keys()) if (!state.leaving.has(path)) known.delete(path);
    }
    if (state.leaving.size === 0 && [...state.leavingBackends.keys()].every((name) => this.kept.has(name))) return;
    this.waitMs = Math.min(longestWaitMs, this.waitMs * 2);
    this.schedule();
  }

  /** Those that have no server any more. */
  private async deleteBackends(): Promise<void> {
    const { state, runtime, mutex, events } = this.parts;
    for (const name of this.kept) if (!state.leavingBackends.has(name)) this.kept.delete(name);
    const filled = new Set([...state.leaving.values()].map(({ backend }) => backend));
    for (const name of [...state.leavingBackends.keys()].sort()) {
      if (this.signal.aborted || !state.up || !state.believed) return;
      if (filled.has(name) || this.kept.has(name) || !state.leavingBackends.has(name)) continue;
      try {
        // Under the mutex, so that it does not come back meanwhile.
        const result = await mutex.run(() => this.ifLeaving(name, () => runtime.deleteBackend(name, this.signal)));
        if (result.kind === "busy") continue;
        if (result.kind === "refused") {
          // Unpublished it does no harm; the next reload goes without it.
          this.kept.add(name);
          const message = `HAProxy will not delete backend ${name}: ${result.answer}`;
          events.emit("operation-refused", "warn", message, { backend: name });
          continue;
        }
        state.leavingBackends.delete(name);
        events.emit("backend-deleted", "debug", `backend ${name} is deleted`, { backend: name });
      } catch {
        if (!this.signal.aborted) this.parts.onSurprise("deletion-failed");
        return;
      }
    }
  }

  private async ifLeaving(name: string, remove: () => Promise<DeleteResult>): Promise<DeleteResult> {
    return this.parts.state.leavingBackends.has(name) ? remove() : { kind: "busy" };
  }

  private async tryDelete(path: ServerPath): Promise<void> {
    const { state, runtime, events } = this.parts;
    const server = state.leaving.get(path);
    if (server === undefined || !state.believed) return;
    const leftMs = this.leftMs(path, server.since);
    const overdue = leftMs >= this.parts.drainTimeoutMs();
    try {
      const result = await runtime.deleteServer(server.backend, server.server, overdue);
      if (result.kind === "busy") return;
      if (result.kind === "refused") {
        if (this.refusals.get(path) === result.answer) return;
        this.refusals.set(path, result.answer);
        events.emit("operation-refused", "warn", `HAProxy will not delete ${path}: ${result.answer}`, { server: path });
        this.parts.onSurprise("deletion-refused");
        return;
      }
      state.leaving.delete(path);
      const how = overdue ? "its connections were shut at drainTimeout" : "it carried nothing any more";
      events.emit("server-deleted", "debug", `${path} is deleted, ${how}`, {
        server: path,
        leftMs: Math.round(leftMs),
      });
      this.parts.onChange();
      // It went only because somebody had sent it elsewhere: now it can be made anew.
      const running = state.current?.config;
      if (running !== undefined && serverLineOf(running, server.backend, server.server) !== undefined) {
        this.parts.onSurprise("deleted");
      }
    } catch {
      // The socket does not answer: the pass that reads back finds out why, this server just waits.
      this.parts.onSurprise("deletion-failed");
    }
  }

  /** How long ago it left. The wall clock is asked once for each: it may have left in the life of another operator. */
  private leftMs(path: ServerPath, since: number): number {
    const { clock } = this.parts;
    const known = this.begun.get(path);
    if (known?.since === since) return clock.now() - known.at;
    const leftMs = Math.max(0, clock.wall() - since);
    this.begun.set(path, { since, at: clock.now() - leftMs });
    return leftMs;
  }
}
