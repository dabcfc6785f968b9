import { type ConnectionOptions, RuntimeConnection } from "./connection.ts";
import { parseInfo } from "./observe.ts";
import type { WorkerInfo } from "./types.ts";

/**
 * Which worker answers on the socket now: `show info` on a connection of its own, since an old one may talk to an old
 * worker.
 *
 * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE or ERR_HAPROXY_ANSWER
 */
export async function askWorkerInfo(options: ConnectionOptions): Promise<WorkerInfo> {
  const connection = await RuntimeConnection.open(options);
  try {
    return parseInfo(await connection.ask("show info", options.signal));
  } finally {
    connection.close();
  }
}
