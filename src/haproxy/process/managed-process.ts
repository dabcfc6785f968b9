import { rm } from "node:fs/promises";
import type { Verdict } from "../../reconciler/ports.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { isShortage } from "../../support/shortage.ts";
import type { ProcessList } from "../runtime/observe.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import type { BinaryWatch } from "./binary-watch.ts";
import { endProcesses } from "./end-processes.ts";
import { Following } from "./following.ts";
import type { HaproxyProcess } from "./haproxy-process.ts";
import { endLeftovers } from "./leftovers.ts";
import { type ManagedProcessOptions, startParts, validateWith } from "./managed-options.ts";
import { awaitProcessList } from "./master-cli.ts";
import { askOldWorkers, countConnections, type OldWorker } from "./old-workers.ts";
import { closePidFile, findOurs, masterArguments, masterByPidFile, ownProcesses } from "./ours.ts";
import { Predecessors } from "./predecessors.ts";
import { preflightConfig } from "./preflight.ts";
import { childrenOf, isAlive, type ProcessHandle } from "./process-table.ts";
import { reloadMaster } from "./reload.ts";
import { resumePaused } from "./resume-paused.ts";
import { rightsOf } from "./rights.ts";
import { awaitSilentMaster } from "./silent-master.ts";
import { awaitWorker, launch, removeSockets, type StartParts, startFailed } from "./start.ts";

/** A master that runs and does not answer may be loading: a busy port alone makes that last 2 s. */
const masterPatienceMs = 5_000;
const startLimitMs = 30_000;
const adoptLimitMs = 10_000;

/**
 * A HAProxy in master-worker mode that Sluice starts, and that outlives Sluice: after a restart the operator adopts it.
 * Its process tree is one: a worker ends when its master does, and the master when its worker does (measured on 2.6.12),
 * so that the master alone is followed.
 */
export class ManagedProcess implements HaproxyProcess {
  readonly #parts: StartParts;
  readonly #logger: Logger;
  readonly #softStopMs: number;
  readonly #binaryWatch: BinaryWatch | undefined;
  readonly #following: Following;
  /** Processes without a master that were replaced, as the setting was another, as long as they finish connections. */
  #singles: readonly ProcessHandle[] = [];

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
    const master = this.#following.handle;
    const rights = master === undefined ? undefined : rightsOf(master.pid);
    return preflightConfig({ candidateText, runningText, rights, signal });
  }

  /**
   * @throws {SluiceError} ERR_HAPROXY_RELOAD when the old worker goes on; ERR_HAPROXY_UNREACHABLE when no master answers;
   *   ERR_HAPROXY_MISSING or ERR_HAPROXY_TOO_OLD for the binary, which the master would run anew
   */
  async reload(signal?: AbortSignal): Promise<WorkerInfo> {
    await this.#binaryWatch?.look(signal);
    const handle = this.#master();
    const worker = await reloadMaster(
      { ...this.#parts, masterAlive: () => handle === undefined || isAlive(handle) },
      signal,
    );
    this.#following.mark();
    await closePidFile(this.#parts);
    return worker;
  }

  /**
   * A HAProxy of ours that serves is never ended, however long its master is silent.
   *
   * @throws {SluiceError} ERR_HAPROXY_START when HAProxy ends before its worker answers, with its own words, another
   *   HAProxy holds our master socket, or our master is silent for over a minute while its worker serves;
   *   ERR_HAPROXY_MISSING when the binary cannot be run; what kept it from asking whether one runs, for want of a file
   *   descriptor or the like: nothing has been done then
   */
  async adoptOrStart(signal?: AbortSignal): Promise<{ readonly adopted: boolean; readonly worker: WorkerInfo }> {
    const parts = { ...this.#parts, logger: this.#logger };
    const list = (await this.#ask(signal)) ?? (await awaitSilentMaster(parts, signal));
    if (list !== undefined) return this.#adopt(list, signal);
    this.release();
    await endLeftovers(parts, signal);
    return this.#start(signal);
  }

  /** @throws {SluiceError} ERR_HAPROXY_UNREACHABLE or ERR_HAPROXY_ANSWER when the master does not tell */
  async oldWorkers(signal?: AbortSignal): Promise<readonly OldWorker[]> {
    const { masterSocket, clock } = this.#parts;
    this.#singles = this.#singles.filter(isAlive);
    const workers = await askOldWorkers({ path: masterSocket, clock }, signal);
    return [...workers, ...(await countConnections(this.#singles))];
  }

  /** Throws where that cannot be found out for want of a file descriptor or the like. */
  async running(): Promise<boolean> {
    return (await this.#ask()) !== undefined;
  }

  onExit(listener: (detail: string) => void): () => void {
    return this.#following.onExit(listener);
  }

  /** A connection to HAProxy broke: looks at once whether it still runs, instead of waiting to be told. */
  suspect(): void {
    this.#following.suspect();
  }

  /** Lets go of the process without touching it: nothing of it keeps the operator from ending. */
  release(): void {
    this.#following.release();
  }

  /**
   * Ends HAProxy within a bounded time, also processes without a master that still finish connections: requests under
   * way may finish for `softStopMs` (SIGUSR1, management guide 4), then SIGTERM, then SIGKILL. Listeners of `onExit` are
   * not called. Does nothing when none runs.
   */
  async stop(): Promise<void> {
    const { clock, masterSocket, runtimeSocket, pidFile } = this.#parts;
    const list = await this.#ask().catch(() => undefined);
    const master = this.#master() ?? findOurs(list?.master.pid, this.#parts);
    this.release();
    const told = [...(master === undefined ? [] : [master]), ...ownProcesses(this.#parts).singles];
    if (told.length === 0) return;
    // A master that does not answer may have workers that hang as it does.
    const known = list === undefined ? [] : [...list.workers, ...list.oldWorkers];
    const pids = list === undefined && master !== undefined ? childrenOf(master) : known;
    const workers = pids.flatMap((pid) => findOurs(pid, this.#parts) ?? []);
    const ending = { clock, logger: this.#logger, softStopMs: this.#softStopMs };
    await endProcesses(ending, [...told, ...workers], told);
    await Promise.all([masterSocket, runtimeSocket, pidFile].map((file) => rm(file, { force: true })));
  }

  /** The master, whether it answers or not. */
  #master(): ProcessHandle | undefined {
    return this.#following.handle ?? masterByPidFile(this.#parts);
  }

  /** Undefined where no master answers. Throws where it could not be asked: that is no sign that there is none. */
  async #ask(signal?: AbortSignal): Promise<ProcessList | undefined> {
    const { masterSocket, clock } = this.#parts;
    const handle = this.#master();
    const alive = () => handle !== undefined && isAlive(handle);
    try {
      return await awaitProcessList({ path: masterSocket, clock }, masterPatienceMs, alive, signal);
    } catch (thrown) {
      if (!(thrown instanceof SluiceError) || isShortage(thrown)) throw thrown;
      return undefined;
    }
  }

  async #adopt(list: ProcessList, signal?: AbortSignal) {
    const { clock, runtimeSocket, configPath, masterSocket } = this.#parts;
    const { pid } = list.master;
    const handle = findOurs(pid, this.#parts);
    if (handle === undefined) {
      throw new SluiceError(
        "ERR_HAPROXY_START",
        `process ${pid} answers on ${masterSocket}, but does not run on ${configPath}; end it, or use another haproxy.directory`,
        { retryable: true, details: { pid } },
      );
    }
    if (this.#following.handle?.pid !== pid) this.#following.adopted(handle, masterSocket);
    const ended = () =>
      isAlive(handle) ? undefined : startFailed("the master ended while it was adopted", [], this.#parts.log);
    const worker = await awaitWorker({ runtimeSocket, clock, limitMs: adoptLimitMs, ended }, signal);
    await closePidFile(this.#parts);
    this.#singles = ownProcesses(this.#parts).singles;
    return { adopted: true, worker };
  }

  /** Processes of ours without a master, where the setting was another: the new worker takes over from them. */
  async #start(signal?: AbortSignal) {
    const { runtimeSocket, masterSocket, log } = this.#parts;
    await this.#binaryWatch?.look(signal);
    const told = ownProcesses(this.#parts).singles;
    // Nobody listens on them any more.
    await removeSockets(told.length > 0 ? [masterSocket] : [masterSocket, runtimeSocket]);
    const predecessors = await Predecessors.of({ ...this.#parts, logger: this.#logger }, { told }, signal);
    try {
      const worker = await launch(
        this.#parts,
        {
          args: [...predecessors.arguments(), ...masterArguments(this.#parts)],
          limitMs: startLimitMs,
          isNew: ({ pid }) => !told.some((old) => old.pid === pid),
          failed: (how, words) => startFailed(how, words, log),
          follow: (handle, exit) => this.#following.child(handle, exit),
        },
        signal,
      );
      await closePidFile(this.#parts);
      this.#singles = told;
      await predecessors.finish(signal);
      await resumePaused(this.#parts, signal);
      return { adopted: false, worker };
    } finally {
      predecessors.close();
    }
  }
}
