import { readFileSync } from "node:fs";
import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import { awaitProcessList } from "./master-cli.ts";
import { findProcess, isAlive, type ProcessHandle, signalProcess, waitForEnd } from "./process-table.ts";
import { isOurs } from "./start.ts";

export interface LeftoverParts {
  readonly configPath: string;
  readonly masterSocket: string;
  readonly runtimeSocket: string;
  readonly pidFile: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A master that is loading does not answer; a busy port makes it load for 2 s. */
const masterPatienceMs = 5_000;
const terminatePatienceMs = 2_000;
/** A worker ends by itself within a few ms of its master (measured on 2.6.12). */
const workerPatienceMs = 100;

/**
 * Ends what an earlier master may have left: itself, when it runs and does not answer on its socket, and a worker that
 * outlived it. Pids come from our own pid file and our own socket, and nothing is signalled whose command line does not
 * name our configuration and our master socket.
 *
 * @returns true when the master answers after all: it is to be adopted
 */
export async function endLeftovers(parts: LeftoverParts, signal?: AbortSignal): Promise<boolean> {
  const master = ours(parts, pidOf(parts.pidFile));
  if (master !== undefined) {
    if (await answersInTime(parts, master, signal)) return true;
    await end(parts, master, terminatePatienceMs, signal);
  }
  const worker = ours(parts, await workerPid(parts, signal));
  if (worker !== undefined && !(await waitForEnd([worker], workerPatienceMs, parts.clock, signal))) {
    await end(parts, worker, 0, signal);
  }
  return false;
}

function ours(parts: LeftoverParts, pid: number | undefined): ProcessHandle | undefined {
  const found = pid === undefined ? undefined : findProcess(pid);
  return found !== undefined && isOurs(found.args, parts) ? found : undefined;
}

function pidOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, "latin1").trim());
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

async function answersInTime(
  { masterSocket, clock }: LeftoverParts,
  master: ProcessHandle,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    await awaitProcessList({ path: masterSocket, clock }, masterPatienceMs, () => isAlive(master), signal);
    return true;
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown;
    return false;
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
