import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { isShortage } from "../../support/shortage.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import { findOurs, masterByPidFile, type OwnFiles } from "./ours.ts";
import { childrenOf, isAlive, type ProcessHandle, signalProcess, waitForEnd } from "./process-table.ts";

export interface LeftoverParts extends OwnFiles {
  readonly runtimeSocket: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** After SIGUSR1: requests under way may finish. */
const softPatienceMs = 1_000;
/** After SIGTERM, and again after SIGKILL. */
const hardPatienceMs = 2_000;
/** A worker ends by itself within a few ms of its master (measured on 2.6.12), unless it hangs. */
const workerPatienceMs = 100;

/**
 * Ends what an earlier master may have left: itself, which has been given time to answer on its socket and none of whose
 * workers serves (`awaitSilentMaster`), and workers that outlived it. Requests under way may finish for a second. Pids
 * come from our own pid file, our own socket and the master's children, and nothing is signalled whose command line does
 * not name our configuration and our master socket.
 */
export async function endLeftovers(parts: LeftoverParts, signal?: AbortSignal): Promise<void> {
  const master = masterByPidFile(parts);
  const children = master === undefined ? [] : childrenOf(master);
  if (master !== undefined) await end(parts, master, signal);
  const answering = await workerPid(parts, signal);
  const workers = [...new Set([...children, answering])].flatMap((pid) => findOurs(pid, parts) ?? []);
  if (await waitForEnd(workers, workerPatienceMs, parts.clock, signal)) return;
  await Promise.all(workers.filter(isAlive).map((worker) => end(parts, worker, signal)));
}

/** The pid of whoever answers on the runtime socket. */
async function workerPid({ runtimeSocket, clock }: LeftoverParts, signal?: AbortSignal): Promise<number | undefined> {
  try {
    const { pid } = await askWorkerInfo({ path: runtimeSocket, clock, deadlineMs: 500, signal });
    return pid;
  } catch (thrown) {
    if (!(thrown instanceof SluiceError) || isShortage(thrown)) throw thrown;
    return undefined;
  }
}

async function end(
  { clock, logger }: LeftoverParts,
  handle: ProcessHandle,
  signal: AbortSignal | undefined,
): Promise<void> {
  logger.warn({ pid: handle.pid }, "ending a HAProxy of ours that an earlier run left behind");
  // Management guide 4: SIGUSR1 stops softly, SIGTERM at once.
  signalProcess(handle, "SIGUSR1");
  if (await waitForEnd([handle], softPatienceMs, clock, signal)) return;
  signalProcess(handle, "SIGTERM");
  if (await waitForEnd([handle], hardPatienceMs, clock, signal)) return;
  signalProcess(handle, "SIGKILL");
  await waitForEnd([handle], hardPatienceMs, clock, signal);
}
