import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import type { HaproxyLog } from "./haproxy-log.ts";
import { parseOutput, sentence } from "./haproxy-output.ts";
import { askMaster, askProcessList, awaitProcessList } from "./master-cli.ts";
import { resumePaused } from "./resume-paused.ts";

export interface ReloadParts {
  readonly configPath: string;
  readonly masterSocket: string;
  readonly runtimeSocket: string;
  readonly log: Pick<HaproxyLog, "path" | "end" | "wordsSince">;
  readonly clock: Clock;
  /** Whether the master still runs. */
  readonly masterAlive: () => boolean;
  /** Whether HAProxy was started anew meanwhile, so that a worker of a known pid is another. Default: never. */
  readonly startedAnew?: () => boolean;
}

/** A reload of 50,000 servers takes one second; a busy port makes it two longer; DNS can make it any time. */
export const reloadLimitMs = 60_000;
const firstPollMs = 5;
const longestPollMs = 50;
/** A master that is loading takes connections and does not answer them. */
const askLimitMs = 1_000;
const masterPatienceMs = 5_000;

type Outcome = { readonly kind: "taken"; readonly worker: WorkerInfo } | NotTaken;

type NotTaken =
  | { readonly kind: "failed"; readonly words: readonly string[] }
  | { readonly kind: "master-ended" }
  | { readonly kind: "late" };

/**
 * Reloads through the master CLI (management guide 9.4, `reload`) and resolves when a worker that was not there before
 * answers on a new connection.
 *
 * From 3.0 on the master's own answer tells whether it worked. 2.6 closes the connection before anything has happened:
 * there, a failure is told by `show proc`, whose counter of failed reloads rises.
 *
 * @throws {SluiceError} ERR_HAPROXY_RELOAD when the old worker goes on, or HAProxy has ended over it;
 *   ERR_HAPROXY_UNREACHABLE when the master did not answer to begin with: nothing was asked of it
 */
export async function reloadMaster(parts: ReloadParts, signal?: AbortSignal): Promise<WorkerInfo> {
  const { masterSocket, runtimeSocket, clock, log } = parts;
  const master = { path: masterSocket, clock };
  const before = await awaitProcessList(master, masterPatienceMs, parts.masterAlive, signal);
  // A worker that does not answer any more is no reason not to load a new one.
  const old = await ask(runtimeSocket, clock, signal);
  // One that was too slow to answer just now may do so later: the master knows it as well.
  const known = new Set([...before.workers, ...before.oldWorkers, ...(old === undefined ? [] : [old.pid])]);
  const logEnd = log.end();

  const watch = new AbortController();
  const stop = signal === undefined ? watch.signal : AbortSignal.any([watch.signal, signal]);
  try {
    const outcome = await Promise.race([
      newWorker(parts, known, stop),
      failure(parts, before.master.reloads, logEnd, stop),
      clock.sleep(reloadLimitMs, stop).then((): Outcome => ({ kind: "late" })),
    ]);
    if (outcome.kind === "taken") {
      await resumePaused(parts, signal);
      return outcome.worker;
    }
    throw notTaken(parts, outcome, old);
  } finally {
    watch.abort();
  }
}

/** Waits until a worker answers that was not there before. */
async function newWorker(
  { runtimeSocket, clock, startedAnew = () => false }: ReloadParts,
  known: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<Outcome> {
  for (let waitMs = firstPollMs; ; waitMs = Math.min(longestPollMs, waitMs * 1.1)) {
    const worker = await ask(runtimeSocket, clock, signal);
    if (worker !== undefined && !worker.stopping && (!known.has(worker.pid) || startedAnew())) {
      return { kind: "taken", worker };
    }
    await clock.sleep(waitMs, signal);
  }
}

/** Tells the master to reload and waits until it has failed; never resolves when it has not. */
async function failure(
  { configPath, masterSocket, clock, log, masterAlive }: ReloadParts,
  reloadsBefore: number,
  logEnd: number,
  signal: AbortSignal,
): Promise<Outcome> {
  const master = { path: masterSocket, clock };
  const { text } = await askMaster(master, "reload", reloadLimitMs, signal);
  const success = /^Success=([01])/m.exec(text)?.[1];
  if (success === "0") {
    const { problems } = parseOutput(text.slice(text.indexOf("--\n") + 3), configPath);
    return { kind: "failed", words: problems.map(sentence) };
  }
  for (let waitMs = firstPollMs; ; waitMs = Math.min(longestPollMs, waitMs * 1.5)) {
    if (!masterAlive()) return { kind: "master-ended" };
    const list = await askProcessList(master, askLimitMs, signal).catch((thrown) => {
      if (!(thrown instanceof SluiceError)) throw thrown;
      return undefined;
    });
    const state = list?.master;
    if (state !== undefined && state.reloads > reloadsBefore && state.failed > 0) {
      return { kind: "failed", words: log.wordsSince(logEnd) };
    }
    await clock.sleep(waitMs, signal);
  }
}

async function ask(path: string, clock: Clock, signal?: AbortSignal): Promise<WorkerInfo | undefined> {
  try {
    return await askWorkerInfo({ path, clock, deadlineMs: askLimitMs, signal });
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown;
    return undefined;
  }
}

function notTaken(
  { log, masterSocket, configPath }: ReloadParts,
  outcome: NotTaken,
  old: WorkerInfo | undefined,
): SluiceError {
  const goesOn = old === undefined ? "" : `; worker ${old.pid} goes on with the old one`;
  const options = { retryable: true, details: { outcome: outcome.kind, config: configPath, log: log.path } };
  switch (outcome.kind) {
    case "failed": {
      const words = outcome.words.length === 0 ? `it gave no reason, see ${log.path}` : outcome.words.join("; ");
      return new SluiceError(
        "ERR_HAPROXY_RELOAD",
        `HAProxy did not take the new configuration${goesOn}: ${words}`,
        options,
      );
    }
    case "master-ended":
      return new SluiceError(
        "ERR_HAPROXY_RELOAD",
        `HAProxy ended while it loaded the new configuration, see ${log.path}; it has to be started again`,
        options,
      );
    case "late":
      return new SluiceError(
        "ERR_HAPROXY_RELOAD",
        `no new worker of HAProxy answers ${reloadLimitMs} ms after the reload${goesOn}; ask "show proc" on ${masterSocket}, see ${log.path}`,
        options,
      );
  }
}
