import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { isShortage } from "../../support/shortage.ts";
import type { ProcessList } from "../runtime/observe.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import { askProcessList } from "./master-cli.ts";
import { findOurs, masterByPidFile, type OwnFiles } from "./ours.ts";
import { isAlive, type ProcessHandle } from "./process-table.ts";
import { reloadLimitMs } from "./reload.ts";

export interface SilentMasterParts extends OwnFiles {
  readonly runtimeSocket: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A port that another process holds makes a master pause its worker's listeners for 2 s (measured on 2.6.12). */
const workerPatienceMs = 3_000;
const masterAskMs = 1_000;
const pollMs = 50;

/**
 * Waits for a master of ours that runs and does not answer, as long as a worker of it does: one that loads a large
 * configuration, waits for DNS, or whose socket was removed, while traffic is served. It is not to be ended for that.
 *
 * @returns what the master says once it does; undefined when there is none, or no worker of it has answered for 3 s
 * @throws {SluiceError} ERR_HAPROXY_START, retryable, when the worker serves and the master has said nothing for as long
 *   as a reload may take
 */
export async function awaitSilentMaster(
  parts: SilentMasterParts,
  signal?: AbortSignal,
): Promise<ProcessList | undefined> {
  const { clock, logger, masterSocket } = parts;
  const deadline = clock.now() + reloadLimitMs;
  let servedAt = clock.now();
  let master = masterByPidFile(parts);
  for (let round = 0; ; round += 1) {
    const worker = await servingWorker(parts, signal);
    master = worker === undefined ? master : (findOurs(worker.parent, parts) ?? master);
    if (master === undefined || !isAlive(master)) return undefined;
    if (worker !== undefined) servedAt = clock.now();
    else if (clock.now() - servedAt >= workerPatienceMs) return undefined;
    if (round === 0 && worker !== undefined) {
      logger.warn(
        { master: master.pid, worker: worker.pid, masterSocket },
        "HAProxy's master does not answer while its worker serves; waiting for it",
      );
    }
    try {
      return await askProcessList({ path: masterSocket, clock }, masterAskMs, signal);
    } catch (thrown) {
      if (!(thrown instanceof SluiceError) || isShortage(thrown)) throw thrown;
      if (worker !== undefined && clock.now() >= deadline) throw stillSilent(parts, master, worker, thrown);
    }
    await clock.sleep(pollMs, signal);
  }
}

/** The process that answers on the runtime socket, if it is one of ours and takes new connections. */
async function servingWorker(
  parts: SilentMasterParts,
  signal: AbortSignal | undefined,
): Promise<ProcessHandle | undefined> {
  const { runtimeSocket, clock } = parts;
  try {
    const worker = await askWorkerInfo({ path: runtimeSocket, clock, deadlineMs: workerPatienceMs, signal });
    return worker.stopping ? undefined : findOurs(worker.pid, parts);
  } catch (thrown) {
    if (!(thrown instanceof SluiceError) || isShortage(thrown)) throw thrown;
    return undefined;
  }
}

function stillSilent(
  { masterSocket }: SilentMasterParts,
  master: ProcessHandle,
  worker: ProcessHandle,
  cause: SluiceError,
): SluiceError {
  return new SluiceError(
    "ERR_HAPROXY_START",
    `HAProxy serves (worker ${worker.pid}), but its master ${master.pid} has not answered on ${masterSocket} for ${reloadLimitMs} ms, so that it can be neither adopted nor reloaded; it is left alone and asked again. If the socket's file was removed, "kill -USR2 ${master.pid}" reloads HAProxy and makes it anew; else end process ${master.pid}, and another is started`,
    { retryable: true, cause, details: { master: master.pid, worker: worker.pid, socket: masterSocket } },
  );
}
