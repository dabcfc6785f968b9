import path from "node:path";
import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import { RuntimeConnection } from "../runtime/connection.ts";
import { parseEnv, parseInfo } from "../runtime/observe.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import { askWorkers } from "./ask-workers.ts";
import { askProcessList } from "./master-cli.ts";
import { lifeOf, probeSocket } from "./socket-life.ts";

export interface ExternalPaths {
  readonly config: string;
  readonly masterSocket: string;
  readonly runtimeSocket: string;
}

export type FoundExternal =
  | { readonly kind: "serves"; readonly worker: WorkerInfo; readonly life: string | undefined }
  /** In words, for the person who starts HAProxy; the same for the same. */
  | {
      readonly kind: "missing";
      readonly missing: string;
      /** Whether a worker serves that its master lists, and nobody listens on the runtime socket. */
      readonly socketLost?: boolean;
    };

const askMs = 1_000;
const ending = "waiting for HAProxy, which is ending; it has to be started again";

/** Looks for a HAProxy whose master and worker answer on these sockets, and that runs on this file. */
export async function findExternal(paths: ExternalPaths, clock: Clock, signal?: AbortSignal): Promise<FoundExternal> {
  const { config, masterSocket, runtimeSocket } = paths;
  const how = `haproxy.mode is external, so that somebody else starts it: haproxy -W -S ${masterSocket},mode,600 -f ${config}`;
  const refuses = async () => (await probeSocket(runtimeSocket, askMs, clock)) === "refuses";
  const life = lifeOf(runtimeSocket);
  const told = await orSaid(() => askWorker(runtimeSocket, clock, signal));
  const list = await orSaid(() => askProcessList({ path: masterSocket, clock }, askMs, signal));
  if (typeof told === "string" && typeof list === "string") {
    return missing(`waiting for HAProxy, which does not answer (${told}; ${list}); ${how}`);
  }
  if (typeof told === "string") {
    const sentence = `waiting for HAProxy: its master answers, but no worker of it on ${runtimeSocket} (${told}); it has to run on ${config}, and what it says of it is in its own output`;
    if (typeof list === "string" || !(await refuses())) return missing(sentence);
    const workers = await askWorkers({ path: masterSocket, clock }, list, signal);
    if (workers === "ending") return missing(ending);
    // Asked anew: a worker of 3.2 that was still loading has answered when it had its socket.
    return { kind: "missing", missing: sentence, socketLost: workers === "serving" && (await refuses()) };
  }
  if (typeof list === "string") {
    return missing(`waiting for HAProxy's master: a worker answers, but no master (${list}); ${how}`);
  }
  const { worker, files } = told;
  if (worker.stopping) return missing(ending);
  if (![...list.workers, ...list.oldWorkers].includes(worker.pid)) {
    return missing(
      `waiting for HAProxy: who answers on ${runtimeSocket} is no worker of the master on ${masterSocket}; there are two of them, end one`,
    );
  }
  if (files !== undefined && !files.split(";").some((file) => mayBe(file, config))) {
    return missing(`waiting for another HAProxy: the one that answers runs on ${files}; ${how}`);
  }
  return { kind: "serves", worker, life };
}

async function askWorker(socket: string, clock: Clock, signal: AbortSignal | undefined) {
  const connection = await RuntimeConnection.open({ path: socket, clock, deadlineMs: askMs, signal });
  try {
    const worker = parseInfo(await connection.ask("show info", signal));
    // Configuration manual 2.3: the files it was started on, with a semicolon between them.
    const files = parseEnv(await connection.ask("show env HAPROXY_CFGFILES", signal), "HAPROXY_CFGFILES");
    return { worker, files };
  } finally {
    connection.close();
  }
}

/** A path that is relative to a directory we do not know may be the one that is meant. */
function mayBe(file: string, config: string): boolean {
  return path.isAbsolute(file) ? path.normalize(file) === config : path.basename(file) === path.basename(config);
}

async function orSaid<T extends object>(ask: () => Promise<T>): Promise<T | string> {
  try {
    return await ask();
  } catch (thrown) {
    if (!(thrown instanceof SluiceError)) throw thrown;
    return thrown.message;
  }
}

function missing(sentence: string): FoundExternal {
  return { kind: "missing", missing: sentence };
}
