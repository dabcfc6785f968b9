import type { Clock } from "../../support/clock.ts";
import type { Logger } from "../../support/logger.ts";
import { type ProcessHandle, signalProcess, waitForEnd } from "./process-table.ts";

/** After SIGTERM, and again after SIGKILL. */
const endLimitMs = 2_000;

export interface EndParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long requests under way may finish. */
  readonly softStopMs: number;
}

/**
 * Ends processes within a bounded time: SIGUSR1 stops softly, SIGTERM at once (management guide 4), SIGKILL all the rest.
 *
 * @param all who has to end; SIGKILL is for all of them
 * @param told who gets the other signals, and hands them on to its workers. Default: all
 */
export async function endProcesses(
  { clock, logger, softStopMs }: EndParts,
  all: readonly ProcessHandle[],
  told: readonly ProcessHandle[] = all,
): Promise<void> {
  for (const handle of told) signalProcess(handle, "SIGUSR1");
  if (await waitForEnd(all, softStopMs, clock)) return;
  for (const handle of told) signalProcess(handle, "SIGTERM");
  if (await waitForEnd(all, endLimitMs, clock)) return;
  for (const handle of all) signalProcess(handle, "SIGKILL");
  if (await waitForEnd(all, endLimitMs, clock)) return;
  logger.error({ pids: all.map(({ pid }) => pid) }, "HAProxy does not end, not even by SIGKILL");
}
