import path from "node:path";
import type { Verdict } from "../../reconciler/ports.ts";
import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import { askWorkers } from "./ask-workers.ts";
import type { BinaryWatch } from "./binary-watch.ts";
import { haproxyEnvironment } from "./environment.ts";
import { ExternalWatch } from "./external-watch.ts";
import { findExternal } from "./find-external.ts";
import type { HaproxyProcess } from "./haproxy-process.ts";
import type { ProcessPaths } from "./managed-options.ts";
import { askProcessList } from "./master-cli.ts";
import { askOldWorkers, type OldWorker } from "./old-workers.ts";
import { preflightConfig } from "./preflight.ts";
import { type ReloadParts, reloadMaster } from "./reload.ts";
import { lifeOf, listensHere, probeSocket } from "./socket-life.ts";
import { validateConfig } from "./validate.ts";

export interface ExternalProcessOptions {
  /** Judges configurations. A path, or a name looked up in PATH. */
  readonly binary: string;
  readonly paths: Omit<ProcessPaths, "haproxyLog">;
  readonly clock: Clock;
  /** Asked before the binary is used. Default: nobody looks whether it is still the same. */
  readonly binaryWatch?: BinaryWatch;
  /** Called when a HAProxy was found, or reloaded, that is of another version than the binary here. */
  readonly onOtherVersion?: (versions: OtherVersion) => void;
  /** How long `adoptOrStart` waits before it says what is missing. Default: 1000 ms. */
  readonly patienceMs?: number;
}

export interface OtherVersion {
  readonly running: string;
  readonly binary: string;
}

/** Nobody listens on the master's socket for this long: it has ended. On 2.6 it refuses for tens of ms at each reload. */
const masterGoneMs = 3_000;
const probeEveryMs = 100;
/** Between two reloads for the sake of the socket. */
const mendEveryMs = 10_000;
const probeMs = 1_000;

/**
 * A HAProxy in master-worker mode that somebody else starts and ends: another container, systemd, supervisord. It may
 * live in other namespaces of pids, network and mounts: all that is known of it comes over its two sockets, which lie
 * where the state directory has them, on the configuration that lies there.
 */
export class ExternalProcess implements HaproxyProcess {
  readonly startedByOthers = true;
  readonly #options: ExternalProcessOptions;
  readonly #binary: string;
  readonly #environment = haproxyEnvironment(process.env);
  readonly #patienceMs: number;
  readonly #listeners = new Set<(detail: string) => void>();
  #watch: ExternalWatch | undefined;
  #mendAt = Number.NEGATIVE_INFINITY;
  /** The life and version that were last told to be another than the binary's. */
  #told: string | undefined;

  constructor(options: ExternalProcessOptions) {
    const { binary, patienceMs = 1_000 } = options;
    this.#options = options;
    this.#binary = binary.includes("/") ? path.resolve(binary) : binary;
    this.#patienceMs = patienceMs;
  }

  /** @throws {SluiceError} ERR_HAPROXY_MISSING, ERR_HAPROXY_TOO_OLD; ERR_HAPROXY_CHECK_FAILED when it did not come to its end */
  async validate(candidatePath: string, signal?: AbortSignal): Promise<Verdict> {
    const { paths, clock, binaryWatch } = this.#options;
    await binaryWatch?.look(signal);
    const directory = path.dirname(paths.config);
    const environment = this.#environment;
    return validateConfig({ binary: this.#binary, file: candidatePath, clock, signal, environment, directory });
  }

  /**
   * Chroot and socket directories, which HAProxy must see as the operator does. Whether ports are free is found out only
   * where HAProxy runs and is in the operator's network namespace; what HAProxy may do is not known.
   */
  preflight(candidateText: string, runningText: string | undefined, signal?: AbortSignal): Promise<Verdict> {
    const tryAddresses = runningText !== undefined && listensHere(this.#options.paths.runtimeSocket);
    return preflightConfig({ candidateText, runningText, rights: undefined, tryAddresses, signal });
  }

  /**
   * Resolves also when HAProxy was ended and started again meanwhile: it has read the file that is in place.
   *
   * @throws {SluiceError} ERR_HAPROXY_RELOAD when the old worker goes on, or HAProxy has ended; ERR_HAPROXY_UNREACHABLE
   *   when no master answers to begin with, or all its workers are ending: a reload would give it one that serves
   */
  async reload(signal?: AbortSignal): Promise<WorkerInfo> {
    const { paths, clock } = this.#options;
    await this.#refuseEnding(signal);
    const before = lifeOf(paths.runtimeSocket);
    const presence = new AbortController();
    const stop = signal === undefined ? presence.signal : AbortSignal.any([presence.signal, signal]);
    const parts: ReloadParts = {
      configPath: paths.config,
      masterSocket: paths.masterSocket,
      runtimeSocket: paths.runtimeSocket,
      log: itsOwnLog,
      clock,
      masterAlive: this.#masterPresence(stop),
      startedAnew: () => lifeOf(paths.runtimeSocket) !== before,
    };
    // 3.2 makes the socket anew by the reload that follows a failed one: no sign of another life meanwhile.
    this.release();
    try {
      const worker = await reloadMaster(parts, signal);
      this.#sayVersion(worker);
      return worker;
    } finally {
      presence.abort();
      this.#follow(lifeOf(paths.runtimeSocket));
    }
  }

  /**
   * Waits a moment for a HAProxy that runs on our sockets. It is never started. One whose worker serves and whose runtime
   * socket leads nowhere is reloaded: 3.2 leaves it so after two reloads in a row that failed (measured on 3.2.26).
   *
   * @throws {SluiceError} ERR_HAPROXY_AWAITED, retryable, when there is none: what is missing, and how to start it
   */
  async adoptOrStart(signal?: AbortSignal): Promise<{ readonly adopted: boolean; readonly worker: WorkerInfo }> {
    const { paths, clock } = this.#options;
    const deadline = clock.now() + this.#patienceMs;
    for (let waitMs = 5; ; waitMs = Math.min(50, waitMs * 1.5)) {
      const found = await findExternal(paths, clock, signal);
      if (found.kind === "serves") {
        this.#follow(found.life);
        this.#sayVersion(found.worker);
        return { adopted: true, worker: found.worker };
      }
      if (found.socketLost === true && clock.now() >= this.#mendAt) {
        this.#mendAt = clock.now() + mendEveryMs;
        const worker = await this.reload(signal).catch(() => undefined);
        signal?.throwIfAborted();
        if (worker !== undefined) return { adopted: true, worker };
      }
      if (clock.now() >= deadline) {
        throw new SluiceError("ERR_HAPROXY_AWAITED", found.missing, {
          retryable: true,
          details: { masterSocket: paths.masterSocket, runtimeSocket: paths.runtimeSocket },
        });
      }
      await clock.sleep(waitMs, signal);
    }
  }

  /** @throws {SluiceError} ERR_HAPROXY_UNREACHABLE or ERR_HAPROXY_ANSWER when the master does not tell */
  oldWorkers(signal?: AbortSignal): Promise<readonly OldWorker[]> {
    const { paths, clock } = this.#options;
    return askOldWorkers({ path: paths.masterSocket, clock }, signal);
  }

  /** Whether anybody listens on one of its sockets. Never throws. */
  async running(): Promise<boolean> {
    const { paths, clock } = this.#options;
    const asked = [paths.runtimeSocket, paths.masterSocket].map((socket) => probeSocket(socket, probeMs, clock));
    return (await Promise.all(asked)).some((answer) => answer !== "refuses");
  }

  onExit(listener: (detail: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  suspect(): void {
    this.#watch?.suspect();
  }

  release(): void {
    this.#watch?.stop();
    this.#watch = undefined;
  }

  /** Lets go: who has started HAProxy ends it. */
  async stop(): Promise<void> {
    this.release();
  }

  #follow(life: string | undefined): void {
    const { paths, clock } = this.#options;
    this.release();
    // Gone between its answer and now: whatever is told to it next fails, and it is looked for again.
    const watch: ExternalWatch = new ExternalWatch({
      masterSocket: paths.masterSocket,
      runtimeSocket: paths.runtimeSocket,
      life: life ?? "",
      clock,
      onEnd: (how) => this.#gone(watch, how),
    });
    this.#watch = watch;
  }

  #sayVersion({ versionText: running }: WorkerInfo): void {
    const { binaryWatch, onOtherVersion } = this.#options;
    const binary = binaryWatch?.version.text;
    if (binary === undefined || binary === running) {
      this.#told = undefined;
      return;
    }
    if (this.#told === `${running} ${binary}`) return;
    this.#told = `${running} ${binary}`;
    onOtherVersion?.({ running, binary });
  }

  #gone(watch: ExternalWatch, how: string): void {
    if (this.#watch !== watch) return;
    this.release();
    for (const listener of [...this.#listeners]) listener(how);
  }

  async #refuseEnding(signal: AbortSignal | undefined): Promise<void> {
    const { paths, clock } = this.#options;
    const master = { path: paths.masterSocket, clock };
    const list = await askProcessList(master, probeMs, signal).catch((thrown) => {
      if (!(thrown instanceof SluiceError)) throw thrown;
      return undefined;
    });
    if (list === undefined || (await askWorkers(master, list, signal)) !== "ending") return;
    throw new SluiceError("ERR_HAPROXY_UNREACHABLE", "HAProxy is ending: it is not reloaded", { retryable: true });
  }

  /** Asks again and again until the signal aborts; says whether anybody listened for the master lately. */
  #masterPresence(signal: AbortSignal): () => boolean {
    const { paths, clock } = this.#options;
    let seenAt = clock.now();
    const ask = async () => {
      while (!signal.aborted) {
        if ((await probeSocket(paths.masterSocket, probeMs, clock)) !== "refuses") seenAt = clock.now();
        await clock.sleep(probeEveryMs, signal).catch(() => undefined);
      }
    };
    void ask();
    return () => clock.now() - seenAt < masterGoneMs;
  }
}

/** What HAProxy writes goes where whoever starts it sends it. From 3.0 on the master's answer says why a reload failed. */
const itsOwnLog: ReloadParts["log"] = {
  path: "HAProxy's own output (docker logs, journalctl)",
  end: () => 0,
  wordsSince: () => [],
};
