import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { isShortage } from "../../support/shortage.ts";
import { RuntimeConnection } from "../runtime/connection.ts";
import { parseInfo } from "../runtime/observe.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import { endProcesses } from "./end-processes.ts";
import { isListening } from "./process-sockets.ts";
import { isAlive, type ProcessHandle } from "./process-table.ts";

export interface PredecessorParts {
  readonly runtimeSocket: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Whoever of ours runs when another HAProxy is to take its place. */
export interface Running {
  /** Who is told to finish: masters, and processes without one. */
  readonly told: readonly ProcessHandle[];
  /** Workers of the masters among them. */
  readonly workers?: readonly ProcessHandle[];
}

/** Of ours, who was told to finish stops listening within a few ms (measured); one that hangs does not. */
const finishLimitMs = 1_000;
/** A process that was told to finish and still listens gets so much more for its requests, and is then ended. */
const softStopMs = 1_000;
const askLimitMs = 1_000;
const pollMs = 2;

/**
 * The HAProxy that another one replaces by `-sf` (management guide 3: `-sf`, `-x`; 4, "seamless reloads"): the new
 * process gets the listeners of the old one over its runtime socket, and tells the old one to finish once it listens
 * itself. Until it has heard that the old one takes connections too, also those to the runtime socket: with 25 reloads
 * in a row one of ten connections made behind the new process's first answer still came to the old one (measured on
 * 2.6.12). A connection that was opened before tells when that is over.
 */
export class Predecessors {
  readonly #parts: PredecessorParts;
  readonly #running: Running;
  /** To the one that serves; undefined where none answers. */
  readonly #connection: RuntimeConnection | undefined;
  /** Who answers on the runtime socket. */
  readonly serving: WorkerInfo | undefined;

  private constructor(parts: PredecessorParts, running: Running, connection?: RuntimeConnection, serving?: WorkerInfo) {
    this.#parts = parts;
    this.#running = running;
    this.#connection = connection;
    this.serving = serving;
  }

  /**
   * Connects to the one that serves; to be closed.
   *
   * @throws the system's error where that cannot be found out for want of a file descriptor or the like; the signal's reason
   */
  static async of(parts: PredecessorParts, running: Running, signal?: AbortSignal): Promise<Predecessors> {
    const { runtimeSocket: path, clock } = parts;
    let connection: RuntimeConnection | undefined;
    try {
      connection = await RuntimeConnection.open({ path, clock, deadlineMs: askLimitMs, signal });
      const serving = parseInfo(await connection.ask("show info", signal));
      return new Predecessors(parts, running, connection, serving);
    } catch (thrown) {
      connection?.close();
      if (!(thrown instanceof SluiceError) || isShortage(thrown)) throw thrown;
      return new Predecessors(parts, running);
    }
  }

  /**
   * What goes on the command line of the new process. Where nobody answers there are no listeners to be had: it would end
   * with "Failed to get the sockets from the old process!" (measured). It then binds beside the old one (SO_REUSEPORT),
   * which costs some connections.
   */
  arguments(): readonly string[] {
    const pids = this.#running.told.filter(isAlive).map(({ pid }) => String(pid));
    const listeners = this.#connection === undefined ? [] : ["-x", this.#parts.runtimeSocket];
    return [...listeners, ...(pids.length === 0 ? [] : ["-sf", ...pids])];
  }

  /** Waits until they take no new connections. Those that still do after a second hang, and are ended. */
  async finish(signal?: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const deadline = clock.now() + finishLimitMs;
    for (;;) {
      const said = await this.#says(signal);
      const late = clock.now() >= deadline;
      if (said !== "serves" || late) {
        const hanging = this.#listening(said === "stops" ? this.serving?.pid : undefined);
        if (hanging.length === 0) return;
        if (late) return this.#end(hanging);
      }
      await clock.sleep(pollMs, signal);
    }
  }

  close(): void {
    this.#connection?.close();
  }

  /** Who of them takes connections, but for this one. */
  #listening(except: number | undefined): readonly ProcessHandle[] {
    const all = [...this.#running.told, ...(this.#running.workers ?? [])];
    return all.filter((handle) => handle.pid !== except && isAlive(handle) && isListening(handle));
  }

  /** Ends them, and a master that has not told its worker. */
  async #end(hanging: readonly ProcessHandle[]): Promise<void> {
    const { clock, logger } = this.#parts;
    const masters = this.#running.told.filter(({ pid }) => hanging.some(({ parent }) => parent === pid));
    logger.warn({ pids: hanging.map(({ pid }) => pid) }, "HAProxy was replaced and still listens; it is ended");
    await endProcesses({ clock, logger, softStopMs }, [...new Set([...hanging, ...masters])]);
  }

  /** What the one that served says; "nothing" where it has ended, hangs, or did not answer to begin with. */
  async #says(signal?: AbortSignal): Promise<"serves" | "stops" | "nothing"> {
    if (this.#connection?.open !== true) return "nothing";
    try {
      return parseInfo(await this.#connection.ask("show info", signal)).stopping ? "stops" : "serves";
    } catch (thrown) {
      if (!(thrown instanceof SluiceError)) throw thrown;
      return "nothing";
    }
  }
}
