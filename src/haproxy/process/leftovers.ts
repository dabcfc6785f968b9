import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import { findOurs, masterByPidFile, type OwnFiles } from "./ours.ts";
import { type ProcessHandle, signalProcess, waitForEnd } from "./process-table.ts";

export interface LeftoverParts extends OwnFiles {
  readonly runtimeSocket: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const terminatePatienceMs = 2_000;
/** A worker ends by itself within a few ms of its master (measured on 2.6.12). */
const workerPatienceMs = 100;

/**
 * Ends what an earlier master may have left: itself, which has been given time to answer on its socket, and a worker that
 * outlived it. Pids come from our own pid file and our own socket, and nothing is signalled whose command line does not
 * name our configuration and our master socket.
 */
export async function endLeftovers(parts: LeftoverParts, signal?: AbortSignal): Promise<void> {
  const master = masterByPidFile(parts);
  if (master !== undefined) await end(parts, master, terminatePatienceMs, signal);
  const worker = findOurs(await workerPid(parts, signal), parts);
  if (worker !== undefined && !(await waitForEnd([worker], workerPatienceMs, parts.clock, signal))) {
    await end(parts, worker, 0, signal);
  }
}

/** The pid of whoever answers on the runtime socket. */
async function workerPid({ runtimeSocket, clock }: LeftoverParts, signal?: AbortSignal): Promise<number | undefined> {
  try {
    const { pid } = await askWorkerInfo({ path: runtimeSocket, clock, deadlineMs: 500, signal });
    return pid;
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown;
    return undefined;
  }
}

async function end(
  { clock, logger }: LeftoverParts,
  handle: ProcessHandle,
  patienceMs: number,
  signal?: AbortSignal,
): Promise<void> {
  logger.warn({ pid: handle.pid }, "ending a HAProxy of ours that an earlier run left behind and that does not answer");
  signalProcess(handle, "SIGTERM");
  if (await waitForEnd([handle], patienceMs, clock, signal)) return;
  signalProcess(handle, "SIGKILL");
  await waitForEnd([handle], terminatePatienceMs, clock, signal);
}
