import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";
import { isShortage } from "../../support/shortage.ts";

/** How HAProxy's binary is called. */
export interface Binary {
  /** A path, or a name looked up in PATH. */
  readonly path: string;
  /** The environment it gets: configurations may refer to it. */
  readonly environment: NodeJS.ProcessEnv;
  /** Where relative paths of a configuration begin. */
  readonly directory?: string;
}

export interface BinaryRun {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  /** True when it was killed for taking longer than it may. */
  readonly late: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Of each stream so much is kept, in characters. */
const longestOutput = 1_000_000;

/**
 * Runs the binary to its end.
 *
 * @param limitMs after which it is killed
 * @throws {SluiceError} ERR_HAPROXY_MISSING when it cannot be run; ERR_HAPROXY_CHECK_FAILED, retryable, when no process
 *   could be started for want of a file descriptor or the like; the signal's reason when it aborts first, the process
 *   being killed
 */
export function runBinary(
  binary: Binary,
  args: readonly string[],
  limitMs: number,
  clock: Clock,
  signal?: AbortSignal,
): Promise<BinaryRun> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const output = { stdout: "", stderr: "" };
    let late = false;
    const child = spawn(binary.path, args, {
      env: binary.environment,
      stdio: ["ignore", "pipe", "pipe"],
      ...(binary.directory === undefined ? {} : { cwd: binary.directory }),
    });
    const onAbort = () => child.kill("SIGKILL");
    const cancelLimit = clock.timer(limitMs, () => {
      late = true;
      child.kill("SIGKILL");
    });
    const end = () => {
      cancelLimit();
      signal?.removeEventListener("abort", onAbort);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    child.on("error", (error) => {
      end();
      reject(isShortage(error) ? notRun(binary, error) : binaryMissing(binary, error));
    });
    for (const name of ["stdout", "stderr"] as const) {
      // Without a file descriptor left for them there are no streams, whatever the type says, and the error follows.
      const stream: Readable | undefined = child[name];
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        if (output[name].length < longestOutput) output[name] += chunk;
      });
    }
    child.on("close", (exitCode, endedBy) => {
      end();
      if (signal?.aborted) reject(signal.reason);
      else resolve({ exitCode: exitCode ?? undefined, signal: endedBy ?? undefined, late, ...output });
    });
  });
}

function notRun(binary: Binary, cause: unknown): SluiceError {
  const code = systemErrorCode(cause);
  return new SluiceError(
    "ERR_HAPROXY_CHECK_FAILED",
    `${binary.path} could not be run (${code}): this process or this machine is short of file descriptors or memory`,
    { retryable: true, cause, details: { binary: binary.path } },
  );
}

/** The error of a binary that could not be started. */
export function binaryMissing(binary: Binary, cause: unknown): SluiceError {
  const code = systemErrorCode(cause);
  const why = code === "ENOENT" ? "there is no such program" : (code ?? String(cause));
  return new SluiceError(
    "ERR_HAPROXY_MISSING",
    `HAProxy's binary ${binary.path} cannot be run: ${why}; install the package haproxy, 2.6 or newer, or set haproxy.binary`,
    { cause, details: { binary: binary.path } },
  );
}
