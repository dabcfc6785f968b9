import { spawn } from "node:child_process";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";

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
 * @throws {SluiceError} ERR_HAPROXY_MISSING when it cannot be run; the signal's reason when it aborts first, the
 *   process being killed
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
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8");
      child[name].on("data", (chunk: string) => {
        if (output[name].length < longestOutput) output[name] += chunk;
      });
    }
    child.on("error", (error) => {
      end();
      reject(binaryMissing(binary, error));
    });
    child.on("close", (exitCode, endedBy) => {
      end();
      if (signal?.aborted) reject(signal.reason);
      else resolve({ exitCode: exitCode ?? undefined, signal: endedBy ?? undefined, late, ...output });
    });
  });
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
