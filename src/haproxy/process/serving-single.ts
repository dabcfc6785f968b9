import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { isShortage } from "../../support/shortage.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import { findOurs, findSingle, type OwnFiles, type OwnProcesses, ownProcesses } from "./ours.ts";

export interface ServingParts extends OwnFiles {
  readonly runtimeSocket: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One that runs and does not answer may be loading: a busy port alone makes that last 2 s. */
const silenceLimitMs = 5_000;
/** So long a reload of an earlier operator may still be under way. */
const reloadUnderWayMs = 10_000;
const askLimitMs = 1_000;
const pollMs = 20;

export interface Serving {
  /** Undefined where nobody answers, though whoever of ours runs was given 5 s. */
  readonly worker: WorkerInfo | undefined;
  readonly own: OwnProcesses;
}

/**
 * Who answers on the runtime socket and is ours, with a master or without, and what runs of ours; waits for what is under way: a process that
 * loads, or that a reload of an earlier operator has started and that has not taken over yet.
 *
 * @throws {SluiceError} ERR_HAPROXY_START, retryable, where a HAProxy answers that is not ours; what kept it from asking
 *   for want of a file descriptor or the like; the signal's reason
 */
export async function awaitServing(parts: ServingParts, signal?: AbortSignal): Promise<Serving> {
  const { clock, logger } = parts;
  const begun = clock.now();
  for (let round = 0; ; round += 1) {
    const worker = await whoServes(parts, signal);
    const own = ownProcesses(parts);
    const waitedMs = clock.now() - begun;
    const last = own.singles.at(-1);
    if (worker !== undefined) {
      const takingOver = last?.pid !== worker.pid && own.singles.some(({ pid }) => pid === worker.pid);
      if (!takingOver || waitedMs >= reloadUnderWayMs) return { worker, own };
    } else {
      const none = last === undefined && own.masters.length === 0;
      if (none || waitedMs >= silenceLimitMs) return { worker, own };
      if (round === 0) logger.warn({ pid: last?.pid }, "a HAProxy of ours runs and does not answer; waiting for it");
    }
    await clock.sleep(pollMs, signal);
  }
}

/**
 * Who answers on the runtime socket, takes new connections, and is ours.
 *
 * @throws {SluiceError} as `awaitServing`
 */
export async function whoServes(
  parts: Pick<ServingParts, "runtimeSocket" | "clock"> & OwnFiles,
  signal?: AbortSignal,
): Promise<WorkerInfo | undefined> {
  const { runtimeSocket, clock, configPath } = parts;
  let worker: WorkerInfo;
  try {
    worker = await askWorkerInfo({ path: runtimeSocket, clock, deadlineMs: askLimitMs, signal });
  } catch (thrown) {
    if (!(thrown instanceof SluiceError) || isShortage(thrown)) throw thrown;
    return undefined;
  }
  if (worker.stopping) return undefined;
  if ((findSingle(worker.pid, parts) ?? findOurs(worker.pid, parts)) !== undefined) return worker;
  throw new SluiceError(
    "ERR_HAPROXY_START",
    `process ${worker.pid} answers on ${runtimeSocket}, but was not started by Sluice on ${configPath}; end it, or use another haproxy.directory`,
    { retryable: true, details: { pid: worker.pid } },
  );
}
