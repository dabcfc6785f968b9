import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";
import type { WorkerInfo } from "../runtime/types.ts";
import { askWorkerInfo } from "../runtime/worker-info.ts";
import type { HaproxyLog } from "./haproxy-log.ts";
import { masterArguments, type OwnFiles } from "./ours.ts";
import { type Binary, binaryMissing } from "./run-binary.ts";

export interface StartParts extends OwnFiles {
  readonly binary: Binary;
  readonly runtimeSocket: string;
  readonly log: HaproxyLog;
  readonly clock: Clock;
}

/**
 * Starts HAProxy in master-worker mode (management guide 3, `-W`, `-S`), in a session of its own: neither a Ctrl-C in the
 * operator's terminal nor the operator's death, however violent, reaches it. Its output goes to the log file, which
 * needs no reader.
 *
 * @throws {SluiceError} ERR_HAPROXY_MISSING when the binary cannot be run; ERR_STATE_UNUSABLE, retryable, when its files
 *   cannot be made
 */
export async function spawnMaster(parts: StartParts): Promise<ChildProcess> {
  const { binary, masterSocket, runtimeSocket, log } = parts;
  // Nobody listens on them any more; without them the first answer is sure to be the new process's.
  for (const socket of [masterSocket, runtimeSocket]) await removeSocket(socket);
  const output = log.open();
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(binary.path, masterArguments(parts), {
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

async function removeSocket(socket: string): Promise<void> {
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

export interface AwaitedWorker {
  readonly runtimeSocket: string;
  readonly clock: Clock;
  readonly limitMs: number;
  /** A sentence once the process has ended: there is nothing left to wait for. */
  readonly ended: () => SluiceError | undefined;
}

/**
 * Waits until a worker answers on the runtime socket.
 *
 * @throws {SluiceError} what `ended` gives; ERR_HAPROXY_START, retryable, after `limitMs`
 */
export async function awaitWorker(
  { runtimeSocket, clock, limitMs, ended }: AwaitedWorker,
  signal?: AbortSignal,
): Promise<WorkerInfo> {
  const deadline = clock.now() + limitMs;
  let last: unknown;
  for (let waitMs = 2; ; waitMs = Math.min(50, waitMs * 1.2)) {
    const failure = ended();
    if (failure !== undefined) throw failure;
    try {
      const worker = await askWorkerInfo({ path: runtimeSocket, clock, deadlineMs: 1_000, signal });
      if (!worker.stopping) return worker;
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
