import { rm } from "node:fs/promises";
import path from "node:path";
import type { ProcessPort, Verdict } from "../../reconciler/ports.ts";
import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { isShortage } from "../../support/shortage.ts";
import type { ProcessList } from "../runtime/observe.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import type { BinaryWatch } from "./binary-watch.ts";
import { type ChildExit, exitOf } from "./child-exit.ts";
import { DeathWatch } from "./death-watch.ts";
import { haproxyEnvironment } from "./environment.ts";
import { HaproxyLog } from "./haproxy-log.ts";
import { endLeftovers } from "./leftovers.ts";
import { awaitProcessList } from "./master-cli.ts";
import { askOldWorkers, type OldWorker } from "./old-workers.ts";
import { closePidFile, findOurs, masterByPidFile } from "./ours.ts";
import { preflightConfig } from "./preflight.ts";
import { childrenOf, findProcess, isAlive, type ProcessHandle, signalProcess, waitForEnd } from "./process-table.ts";
import { reloadMaster } from "./reload.ts";
import { rightsOf } from "./rights.ts";
import type { Binary } from "./run-binary.ts";
import { awaitSilentMaster } from "./silent-master.ts";
import { awaitWorker, type StartParts, spawnMaster, startFailed } from "./start.ts";
import { validateConfig } from "./validate.ts";

/** Where HAProxy's files lie; all absolute. */
export interface ProcessPaths {
  /** The live configuration. */
  readonly config: string;
  readonly masterSocket: string;
  /** The stats socket that the configuration has. */
  readonly runtimeSocket: string;
  readonly haproxyLog: string;
}

export interface ManagedProcessOptions {
  /** A path, or a name looked up in PATH. */
  readonly binary: string;
  readonly paths: ProcessPaths;
  readonly clock: Clock;
  readonly logger: Logger;
  /** HAProxy's environment. Default: this process's, without what `haproxyEnvironment` takes out. */
  readonly environment?: NodeJS.ProcessEnv;
  /** How long `stop` lets requests finish. Default: 1000 ms. */
  readonly softStopMs?: number;
  /** Asked before the binary is used. Default: nobody looks whether it is still the same. */
  readonly binaryWatch?: BinaryWatch;
}

/** A master that runs and does not answer may be loading: a busy port alone makes that last 2 s. */
const masterPatienceMs = 5_000;
const startLimitMs = 30_000;
const adoptLimitMs = 10_000;
/** After SIGTERM, and again after SIGKILL. */
const endLimitMs = 2_000;

/** The master that is followed. */
interface Followed {
  readonly handle: ProcessHandle;
  readonly suspect: () => void;
  /** Its log is no longer kept bounded, too. */
  readonly release: () => void;
}

/**
 * A HAProxy in master-worker mode that Sluice starts, and that outlives Sluice: after a restart the operator adopts it.
 * Its process tree is one: a worker ends when its master does, and the master when its worker does (measured on 2.6.12),
 * so that the master alone is followed.
 */
export class ManagedProcess implements ProcessPort {
  readonly #parts: StartParts;
  readonly #logger: Logger;
  readonly #softStopMs: number;
  readonly #binaryWatch: BinaryWatch | undefined;
  readonly #listeners = new Set<(detail: string) => void>();
  #followed: Followed | undefined;
  /** Errors in the log behind this place belong to the structure that runs. */
  #logMark = 0;

  constructor({ binary, paths, clock, logger, environment, softStopMs = 1_000, binaryWatch }: ManagedProcessOptions) {
    const called: Binary = {
      // Taken before the working directory becomes the state directory.
      path: binary.includes("/") ? path.resolve(binary) : binary,
      environment: environment ?? haproxyEnvironment(process.env),
      directory: path.dirname(paths.config),
    };
    this.#parts = {
      binary: called,
      configPath: paths.config,
      masterSocket: paths.masterSocket,
      runtimeSocket: paths.runtimeSocket,
      pidFile: path.join(path.dirname(paths.masterSocket), "haproxy.pid"),
      log: new HaproxyLog(paths.haproxyLog, paths.config),
      clock,
    };
    this.#logger = logger;
    this.#softStopMs = softStopMs;
    this.#binaryWatch = binaryWatch;
  }

  /** @throws {SluiceError} ERR_HAPROXY_MISSING, ERR_HAPROXY_TOO_OLD; ERR_HAPROXY_CHECK_FAILED when it did not come to its end */
  async validate(candidatePath: string, signal?: AbortSignal): Promise<Verdict> {
    const { binary, clock } = this.#parts;
    await this.#binaryWatch?.look(signal);
    const { path: program, environment, directory } = binary;
    return validateConfig({
      binary: program,
      file: candidatePath,
      clock,
      signal,
      environment,
      ...(directory === undefined ? {} : { directory }),
    });
  }

  /** Never throws but the signal's reason. */
  preflight(candidateText: string, runningText: string | undefined, signal?: AbortSignal): Promise<Verdict> {
    const master = this.#followed?.handle;
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
    this.#logMark = this.#parts.log.end();
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
  oldWorkers(signal?: AbortSignal): Promise<readonly OldWorker[]> {
    const { masterSocket, clock } = this.#parts;
    return askOldWorkers({ path: masterSocket, clock }, signal);
  }

  /** Throws where that cannot be found out for want of a file descriptor or the like. */
  async running(): Promise<boolean> {
    return (await this.#ask()) !== undefined;
  }

  onExit(listener: (detail: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A connection to HAProxy broke: looks at once whether it still runs, instead of waiting to be told. */
  suspect(): void {
    this.#followed?.suspect();
  }

  /** Lets go of the process without touching it: nothing of it keeps the operator from ending. */
  release(): void {
    this.#followed?.release();
    this.#followed = undefined;
  }

  /**
   * Ends HAProxy within a bounded time: requests under way may finish for `softStopMs` (SIGUSR1, management guide 4),
   * then SIGTERM, then SIGKILL. Listeners of `onExit` are not called. Does nothing when none runs.
   */
  async stop(): Promise<void> {
    const { clock, masterSocket, runtimeSocket, pidFile } = this.#parts;
    const list = await this.#ask().catch(() => undefined);
    const master = this.#master() ?? findOurs(list?.master.pid, this.#parts);
    this.release();
    if (master === undefined) return;
    // A master that does not answer may have workers that hang as it does.
    const pids = list === undefined ? childrenOf(master) : [...list.workers, ...list.oldWorkers];
    const workers = pids.flatMap((pid) => findOurs(pid, this.#parts) ?? []);
    const all = [master, ...workers];
    signalProcess(master, "SIGUSR1");
    if (!(await waitForEnd(all, this.#softStopMs, clock))) {
      signalProcess(master, "SIGTERM");
      if (!(await waitForEnd(all, endLimitMs, clock))) {
        for (const handle of all) signalProcess(handle, "SIGKILL");
        if (!(await waitForEnd(all, endLimitMs, clock))) {
          this.#logger.error({ pids: all.map(({ pid }) => pid) }, "HAProxy does not end, not even by SIGKILL");
        }
      }
    }
    await Promise.all([masterSocket, runtimeSocket, pidFile].map((file) => rm(file, { force: true })));
  }

  /** The master, whether it answers or not. */
  #master(): ProcessHandle | undefined {
    return this.#followed?.handle ?? masterByPidFile(this.#parts);
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
    if (this.#followed?.handle.pid !== pid) this.#followAdopted(handle);
    const ended = () =>
      isAlive(handle) ? undefined : startFailed("the master ended while it was adopted", [], this.#parts.log);
    const worker = await awaitWorker({ runtimeSocket, clock, limitMs: adoptLimitMs, ended }, signal);
    await closePidFile(this.#parts);
    return { adopted: true, worker };
  }

  async #start(signal?: AbortSignal) {
    const { clock, runtimeSocket, log } = this.#parts;
    await this.#binaryWatch?.look(signal);
    const logEnd = log.end();
    const child = await spawnMaster(this.#parts);
    const exit = exitOf(child);
    const handle = findProcess(child.pid ?? 0);
    const ended = () => {
      const how = exit.how();
      return how === undefined ? undefined : startFailed(how, log.wordsSince(logEnd), log);
    };
    try {
      const worker = await awaitWorker({ runtimeSocket, clock, limitMs: startLimitMs, ended }, signal);
      if (handle !== undefined) this.#followChild(handle, exit);
      await closePidFile(this.#parts);
      return { adopted: false, worker };
    } catch (thrown) {
      if (signal?.aborted && handle !== undefined) {
        // Whoever aborts decides by `stop` or `release` what becomes of it.
        this.#followChild(handle, exit);
      } else if (handle !== undefined && exit.how() === undefined) {
        // Half started is not left behind: the next try would find its ports taken.
        signalProcess(handle, "SIGTERM");
        if (!(await waitForEnd([handle], endLimitMs, clock))) signalProcess(handle, "SIGKILL");
      }
      throw thrown;
    }
  }

  #followChild(handle: ProcessHandle, exit: ChildExit): void {
    const followed = this.#follow(
      handle,
      () => undefined,
      () => exit.forget(),
    );
    exit.onEnd((how) => this.#gone(followed, how));
  }

  #followAdopted(handle: ProcessHandle): void {
    const { clock, masterSocket: socketPath } = this.#parts;
    const onEnd = () => this.#gone(followed, "the adopted process ended");
    const watch = new DeathWatch({ handle, socketPath, clock, onEnd });
    const followed = this.#follow(
      handle,
      () => watch.suspect(),
      () => watch.stop(),
    );
  }

  #follow(handle: ProcessHandle, suspect: () => void, letGo: () => void): Followed {
    this.#followed?.release();
    const { clock, log } = this.#parts;
    const endBounding = log.keepBounded(clock);
    const release = () => {
      endBounding();
      letGo();
    };
    const followed: Followed = { handle, suspect, release };
    this.#followed = followed;
    this.#logMark = log.end();
    return followed;
  }

  #gone(followed: Followed, how: string): void {
    if (this.#followed !== followed) return;
    this.release();
    const last = this.#parts.log.wordsSince(this.#logMark).at(-1);
    const detail = `pid ${followed.handle.pid}, ${how}${last === undefined ? "" : `, last error in its log: ${last}`}`;
    for (const listener of [...this.#listeners]) listener(detail);
  }
}
