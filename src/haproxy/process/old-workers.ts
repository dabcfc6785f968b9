import { SluiceError } from "../../support/errors.ts";
import { askMaster, askProcessList, type MasterCli } from "./master-cli.ts";
import { clientConnections } from "./process-sockets.ts";
import { isAlive, type ProcessHandle } from "./process-table.ts";

/** A worker that a reload replaced and that still finishes its connections. */
export interface OldWorker {
  readonly pid: number;
  /** Connections of clients that it still has; undefined where that cannot be known. */
  readonly connections: number | undefined;
}

const deadlineMs = 1_000;

/**
 * The workers that finish what they have, from the master (management guide 9.4: `show proc`, and `@!<pid>` for a
 * worker's own `show info`). After a reload that failed, 3.2 and newer list the worker that serves among the old ones:
 * only one that says `Stopping: 1` is.
 *
 * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE or ERR_HAPROXY_ANSWER when the master does not tell
 */
export async function askOldWorkers(master: MasterCli, signal?: AbortSignal): Promise<readonly OldWorker[]> {
  const { oldWorkers } = await askProcessList(master, deadlineMs, signal);
  const found: OldWorker[] = [];
  for (const pid of oldWorkers) {
    const { text } = await askMaster(master, `@!${pid} show info;quit`, deadlineMs, signal);
    // One that has ended meanwhile is not there any more: "Can't find the target PID matching the prefix '@!4711'".
    if (text.startsWith("Can't find the target")) continue;
    const connections = /^CurrConns: (\d+)$/m.exec(text)?.[1];
    if (connections === undefined) {
      throw new SluiceError("ERR_HAPROXY_ANSWER", `old worker ${pid} does not say how many connections it has`, {
        retryable: true,
        details: { pid },
      });
    }
    if (/^Stopping: 1$/m.test(text)) found.push({ pid, connections: Number(connections) });
  }
  return found;
}

/** Those of them that still run, with what `clientConnections` counts. Never throws. */
export async function countConnections(handles: readonly ProcessHandle[]): Promise<readonly OldWorker[]> {
  const counted = await Promise.all(
    handles.map(async (handle) => ({ handle, connections: await clientConnections(handle) })),
  );
  return counted.flatMap(({ handle, connections }) => (isAlive(handle) ? { pid: handle.pid, connections } : []));
}
