import { rm, writeFile } from "node:fs/promises";
import type { Verdict } from "../../reconciler/ports.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import type { BinaryWatch } from "./binary-watch.ts";
import { endProcesses } from "./end-processes.ts";
import { Following } from "./following.ts";
import type { HaproxyProcess } from "./haproxy-process.ts";
import { type ManagedProcessOptions, startParts, validateWith } from "./managed-options.ts";
import { countConnections, type OldWorker } from "./old-workers.ts";
import { ownProcesses, singleArguments } from "./ours.ts";
import { Predecessors, type Running } from "./predecessors.ts";
import { preflightConfig } from "./preflight.ts";
import { isListening } from "./process-sockets.ts";
import { isAlive, isAmong, type ProcessHandle } from "./process-table.ts";
import { reloadLimitMs } from "./reload.ts";
import { resumePaused } from "./resume-paused.ts";
import { rightsOfNext } from "./rights.ts";
import { awaitServing, whoServes } from "./serving-single.ts";
import { launch, removeSockets, type StartParts, startFailed } from "./start.ts";

const startLimitMs = 30_000;

/**
 * A HAProxy that is one process, without a master; Sluice starts it and reloads it by starting another one, with `-sf`
 * and `-x` (management guide 3 and 4). It outlives Sluice: after a restart the operator adopts it. A master of ours that
 * runs instead, as the setting was another, is replaced in the same way as by a reload.
 */
export class SingleProcess implements HaproxyProcess {
  readonly #parts: StartParts;
  readonly #logger: Logger;
  readonly #softStopMs: number;
  readonly #binaryWatch: BinaryWatch | undefined;
  readonly #following: Following;
  /** Those that were replaced, as long as they finish connections. */
  #old: readonly ProcessHandle[] = [];

  constructor(options: ManagedProcessOptions) {
    this.#parts = startParts(options);
    this.#logger = options.logger;
    this.#softStopMs = options.softStopMs ?? 1_000;
    this.#binaryWatch = options.binaryWatch;
    this.#following = new Following(this.#parts);
  }

  /** @throws {SluiceError} ERR_HAPROXY_MISSING, ERR_HAPROXY_TOO_OLD; ERR_HAPROXY_CHECK_FAILED when it did not come to its end */
  async validate(candidatePath: string, signal?: AbortSignal): Promise<Verdict> {
    await this.#binaryWatch?.look(signal);
    return validateWith(this.#parts, candidatePath, signal);
  }

  /** Never throws but the signal's reason. */
  preflight(candidateText: string, runningText: string | undefined, signal?: AbortSignal): Promise<Verdict> {
    const { handle } = this.#following;
    const rights = handle === undefined ? undefined : rightsOfNext(handle.pid);
    return preflightConfig({ candidateText, runningText, rights, signal });
  }

  /**
   * Replaces whoever of ours serves, also where somebody else has reloaded meanwhile. Where the old process does not
   * answer on its socket its listeners cannot be had: the new one then binds anew, which may cost some connections, and
   * is reachable again.
   *
   * @throws {SluiceError} ERR_HAPROXY_RELOAD when the old process goes on; ERR_HAPROXY_UNREACHABLE when none runs;
   *   ERR_HAPROXY_START when several run and another HAProxy holds our runtime socket; ERR_HAPROXY_MISSING or
   *   ERR_HAPROXY_TOO_OLD for the binary; what kept it from asking who runs, for want of a file descriptor or the like
   */
  async reload(signal?: AbortSignal): Promise<WorkerInfo> {
    signal?.throwIfAborted();
    await this.#binaryWatch?.look(signal);
    const followed = this.#following.handle;
    if (followed === undefined) {
      throw new SluiceError("ERR_HAPROXY_UNREACHABLE", "no HAProxy of ours runs that could be reloaded", {
        retryable: true,
      });
    }
    const running = this.#untold();
    const alone = running.told.every((one) => isAmong([followed], one));
    const old = alone ? followed : await this.#followServing(followed, running.told, signal);
    const { log, configPath } = this.#parts;
    const failed = (how: string, words: readonly string[]) => {
      const said = words.length === 0 ? `it gave no reason (${how}), see ${log.path}` : words.join("; ");
      const goesOn = isAlive(old) ? `; worker ${old.pid} goes on with the old one` : "";
      return new SluiceError("ERR_HAPROXY_RELOAD", `HAProxy did not take the new configuration${goesOn}: ${said}`, {
        retryable: true,
        details: { outcome: "failed", config: configPath, log: log.path },
      });
    };
    return this.#following.replacing(() => this.#replace(running, reloadLimitMs, failed, signal));
  }

  /**
   * @throws {SluiceError} ERR_HAPROXY_START when HAProxy ends before it answers, with its own words, or another HAProxy
   *   holds our runtime socket; ERR_HAPROXY_MISSING when the binary cannot be run; what kept it from asking whether one
   *   runs, for want of a file descriptor or the like: nothing has been done then
   */
  async adoptOrStart(signal?: AbortSignal): Promise<{ readonly adopted: boolean; readonly worker: WorkerInfo }> {
    const parts = { ...this.#parts, logger: this.#logger };
    const { worker: serving, own } = await awaitServing(parts, signal);
    const single = own.singles.find(({ pid }) => pid === serving?.pid);
    if (serving !== undefined && single !== undefined) {
      if (this.#following.handle?.pid !== single.pid) this.#following.adopted(single);
      this.#old = own.singles.filter((one) => one !== single);
      await this.#writePid(single.pid);
      // A reload that an earlier operator has begun may have left them so.
      await resumePaused(this.#parts, signal);
      return { adopted: true, worker: serving };
    }
    this.#following.release();
    const { singles, masters, workers } = own;
    const running = { told: [...masters, ...singles], workers };
    const failed = (how: string, words: readonly string[]) => startFailed(how, words, this.#parts.log);
    await this.#binaryWatch?.look(signal);
    const { runtimeSocket, masterSocket, clock } = this.#parts;
    if (running.told.length === 0) await removeSockets([runtimeSocket, masterSocket]);
    try {
      return { adopted: false, worker: await this.#replace(running, startLimitMs, failed, signal) };
    } catch (thrown) {
      const hanging = [...running.told, ...workers].filter(isAlive);
      if (signal?.aborted || serving !== undefined || hanging.length === 0) throw thrown;
      // Nobody answers, and what is left may hold what the new one needs.
      const ending = { clock, logger: this.#logger, softStopMs: this.#softStopMs };
      await endProcesses(ending, hanging);
      return { adopted: false, worker: await this.#replace({ told: [] }, startLimitMs, failed, signal) };
    }
  }

  /** Those without a master that were replaced; what is counted is told at `clientConnections`. Never throws. */
  async oldWorkers(): Promise<readonly OldWorker[]> {
    this.#old = this.#old.filter(isAlive);
    return countConnections(this.#old);
  }

  /** Throws where that cannot be found out for want of a file descriptor or the like. */
  async running(): Promise<boolean> {
    return (await whoServes(this.#parts)) !== undefined;
  }

  onExit(listener: (detail: string) => void): () => void {
    return this.#following.onExit(listener);
  }

  suspect(): void {
    this.#following.suspect();
  }

  release(): void {
    this.#following.release();
  }

  /**
   * Ends HAProxy within a bounded time, also processes that still finish connections: requests under way may finish for
   * `softStopMs` (SIGUSR1, management guide 4), then SIGTERM, then SIGKILL. Listeners of `onExit` are not called. Does
   * nothing when none runs.
   */
  async stop(): Promise<void> {
    const { clock, runtimeSocket, masterSocket, pidFile } = this.#parts;
    this.release();
    const { singles, masters, workers } = ownProcesses(this.#parts);
    const told = [...masters, ...singles];
    if (told.length === 0) return;
    const ending = { clock, logger: this.#logger, softStopMs: this.#softStopMs };
    await endProcesses(ending, [...told, ...workers], told);
    await Promise.all([runtimeSocket, masterSocket, pidFile].map((file) => rm(file, { force: true })));
  }

  /** Who of ours is to be told to finish: also those that somebody else has started, by a reload by hand. */
  #untold(): Running {
    const { singles, masters, workers } = ownProcesses(this.#parts);
    const untold = (one: ProcessHandle) => !isAmong(this.#old, one);
    return { told: [...masters, ...singles].filter(untold), workers: workers.filter(untold) };
  }

  /** Of several, the one that serves is followed, whoever has started it: so its end is told if the reload fails. */
  async #followServing(
    followed: ProcessHandle,
    all: readonly ProcessHandle[],
    signal?: AbortSignal,
  ): Promise<ProcessHandle> {
    const serving = await whoServes(this.#parts, signal);
    const single = all.find(({ pid }) => pid === serving?.pid);
    if (single === undefined || isAmong([followed], single)) return followed;
    this.#following.adopted(single);
    // One that still listens has not been told to finish.
    if (isAlive(followed) && !isListening(followed)) this.#old = [...this.#old, followed];
    return single;
  }

  /** Starts a process in the place of those that run, if any; what becomes of them is settled when it returns. */
  async #replace(
    running: Running,
    limitMs: number,
    failed: (how: string, words: readonly string[]) => SluiceError,
    signal?: AbortSignal,
  ): Promise<WorkerInfo> {
    const parts = { ...this.#parts, logger: this.#logger };
    const predecessors = await Predecessors.of(parts, running, signal);
    try {
      const args = [...predecessors.arguments(), ...singleArguments(this.#parts)];
      const worker = await launch(
        this.#parts,
        {
          args,
          limitMs,
          failed,
          isNew: ({ pid }, child) => pid === child.pid,
          follow: (handle, exit) => this.#following.child(handle, exit),
        },
        signal,
      );
      const before = [...running.told, ...(running.workers ?? [])];
      this.#old = [...this.#old.filter((one) => !isAmong(before, one)), ...before].filter(isAlive);
      await this.#writePid(worker.pid);
      await predecessors.finish(signal);
      await resumePaused(this.#parts, signal);
      return worker;
    } finally {
      predecessors.close();
    }
  }

  /** For people and their tools; who is ours is told by the process table. */
  async #writePid(pid: number): Promise<void> {
    await writeFile(this.#parts.pidFile, `${pid}\n`, { mode: 0o600 }).catch(() => undefined);
  }
}
