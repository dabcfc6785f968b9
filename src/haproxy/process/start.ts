import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import { type ChildExit, exitOf } from "./child-exit.ts";
import type { HaproxyLog } from "./haproxy-log.ts";
import type { OwnFiles } from "./ours.ts";
import { findProcess, type ProcessHandle, signalProcess, waitForEnd } from "./process-table.ts";
import { type Binary, binaryMissing } from "./run-binary.ts";

export interface StartParts extends OwnFiles {
  readonly binary: Binary;
  readonly runtimeSocket: string;
  readonly log: HaproxyLog;
  readonly clock: Clock;
}

export interface Launch {
  /** HAProxy's command line. */
  readonly args: readonly string[];
  readonly limitMs: number;
  /** Whether it is the new process, or its worker, that answers. */
  readonly isNew: (worker: WorkerInfo, child: ProcessHandle) => boolean;
  /** The error of a process that ended before. */
  readonly failed: (how: string, words: readonly string[]) => SluiceError;
  /** Called once it is to be followed: it serves, or the waiting was aborted, and whoever aborts decides what becomes of it. */
  readonly follow: (handle: ProcessHandle, exit: ChildExit) => void;
}

/**
 * Starts HAProxy and waits until it answers on a new connection to the runtime socket. One that does not is ended.
 *
 * @throws {SluiceError} what `failed` makes; ERR_HAPROXY_START, retryable, after `limitMs`; ERR_HAPROXY_MISSING;
 *   ERR_STATE_UNUSABLE; the signal's reason
 */
export async function launch(
  parts: StartParts,
  { args, limitMs, isNew, failed, follow }: Launch,
  signal?: AbortSignal,
): Promise<WorkerInfo> {
  const { clock, runtimeSocket, log } = parts;
  const logEnd = log.end();
  const child = await spawnDetached(parts, args);
  const exit = exitOf(child);
  const handle = findProcess(child.pid ?? 0);
  const ended = () => {
    const how = exit.how();
    return how === undefined ? undefined : failed(how, log.wordsSince(logEnd));
  };
  const isWanted = (worker: WorkerInfo) => handle !== undefined && isNew(worker, handle);
  try {
    const worker = await awaitWorker({ runtimeSocket, clock, limitMs, ended, isWanted }, signal);
    if (handle !== undefined) follow(handle, exit);
    return worker;
  } catch (thrown) {
    if (signal?.aborted && handle !== undefined) follow(handle, exit);
    else if (handle !== undefined && exit.how() === undefined) {
      // Half started is not left behind: the next try would find its ports taken.
      signalProcess(handle, "SIGTERM");
      if (!(await waitForEnd([handle], endLimitMs, clock))) signalProcess(handle, "SIGKILL");
    }
    throw thrown;
  }
}

/** After SIGTERM. */
const endLimitMs = 2_000;

/**
 * Starts HAProxy in a session of its own: neither a Ctrl-C in the operator's terminal nor the operator's death, however
 * violent, reaches it. Its output goes to the log file, which needs no reader.
 */
async function spawnDetached({ binary, log }: StartParts, args: readonly string[]): Promise<ChildProcess> {
  const output = log.open();
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(binary.path, args, {
        detached: true,
        env: binary.environment,
        stdio: ["ignore", output, output],
        ...(binary.directory === undefined ? {} : { cwd: binary.directory }),
      });
      child.once("error", (error) => reject(binaryMissing(binary, error)));
      child.once("spawn", () => {
        // The operator may end before HAProxy does.
        child.unref();
        resolve(child);
      });
    });
  } finally {
    closeSync(output);
  }
}

/**
 * Removes sockets on which nobody listens any more: without them the first answer is sure to be the new process's.
 *
 * @throws {SluiceError} ERR_STATE_UNUSABLE, retryable
 */
export async function removeSockets(sockets: readonly string[]): Promise<void> {
  for (const socket of sockets) {
    try {
      await rm(socket, { force: true });
    } catch (cause) {
      throw new SluiceError(
        "ERR_STATE_UNUSABLE",
        `HAProxy's socket ${socket} cannot be made anew (${systemErrorCode(cause) ?? String(cause)}); make its directory writable`,
        { cause, retryable: true, details: { path: socket } },
      );
    }
  }
}

export interface AwaitedWorker {
  readonly runtimeSocket: string;
  readonly clock: Clock;
  readonly limitMs: number;
  /** A sentence once the process has ended: there is nothing left to wait for. */
  readonly ended: () => SluiceError | undefined;
  /** Default: whoever does not say that it is stopping. */
  readonly isWanted?: (worker: WorkerInfo) => boolean;
}

/**
 * Waits until a worker answers on the runtime socket.
 *
 * @throws {SluiceError} what `ended` gives; ERR_HAPROXY_START, retryable, after `limitMs`
 */
export async function awaitWorker(
  { runtimeSocket, clock, limitMs, ended, isWanted = () => true }: AwaitedWorker,
  signal?: AbortSignal,
): Promise<WorkerInfo> {
  const deadline = clock.now() + limitMs;
  let last: unknown;
  for (let waitMs = 2; ; waitMs = Math.min(50, waitMs * 1.2)) {
    const failure = ended();
    if (failure !== undefined) throw failure;
    try {
      const worker = await askWorkerInfo({ path: runtimeSocket, clock, deadlineMs: 1_000, signal });
      if (!worker.stopping && isWanted(worker)) return worker;
    } catch (thrown) {
      if (!(thrown instanceof SluiceError)) throw thrown;
      last = thrown;
    }
    if (clock.now() >= deadline) {
      throw new SluiceError(
        "ERR_HAPROXY_START",
        `HAProxy runs, but no worker of it has answered on ${runtimeSocket} for ${limitMs} ms; does its configuration have that stats socket?`,
        { retryable: true, cause: last, details: { socket: runtimeSocket } },
      );
    }
    await clock.sleep(waitMs, signal);
  }
}

/** The error of a process that ended before its worker answered. */
export function startFailed(how: string, words: readonly string[], { path }: HaproxyLog): SluiceError {
  const said = words.length === 0 ? `it gave no reason, see ${path}` : words.join("; ");
  const denied = words.some((word) => word.includes("Permission denied"));
  const hint = denied
    ? "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE, else choose higher ones"
    : "";
  return new SluiceError("ERR_HAPROXY_START", `HAProxy did not start (${how}): ${said}${hint}`, {
    retryable: true,
    details: { log: path },
  });
}
