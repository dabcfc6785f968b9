import { SluiceError } from "../../support/errors.ts";
import type { ProcessList } from "../runtime/observe.ts";
import { askMaster, type MasterCli } from "./master-cli.ts";

/** "serving": at least one of them serves. "ending": all of them finish what they have. "unknown": neither shows. */
export type WorkersAre = "serving" | "ending" | "unknown";

const deadlineMs = 1_000;

/**
 * What a master's workers say of themselves, over the master's socket (management guide 9.4, `@!<pid>`). It answers where
 * the runtime socket does not: a worker that was told to finish (SIGUSR1) closes that one at once, and says `Stopping: 1`
 * here until its end (measured on 2.6.12, 3.0.11, 3.2.26).
 */
export async function askWorkers(
  master: MasterCli,
  { workers, oldWorkers }: ProcessList,
  signal?: AbortSignal,
): Promise<WorkersAre> {
  let are: WorkersAre | undefined;
  for (const pid of [...workers, ...oldWorkers]) {
    const stopping = await askStopping(master, pid, signal);
    if (stopping === "0") return "serving";
    are = stopping === "1" && are !== "unknown" ? "ending" : "unknown";
  }
  return are ?? "unknown";
}

async function askStopping(master: MasterCli, pid: number, signal: AbortSignal | undefined) {
  try {
    const { text } = await askMaster(master, `@!${pid} show info;quit`, deadlineMs, signal);
    return /^Stopping: (\d)$/m.exec(text)?.[1];
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown;
    return undefined;
  }
}
