import type { ConfigProblem, Verdict } from "../../reconciler/ports.ts";
import { type Clock, systemClock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import { parseVersion, supportedVersion } from "../runtime/capabilities.ts";
import { haproxyEnvironment } from "./environment.ts";
import { parseOutput, sentence } from "./haproxy-output.ts";
import { type Binary, type BinaryRun, runBinary } from "./run-binary.ts";

const validateLimitMs = 30_000;
const versionLimitMs = 5_000;

export interface ValidateOptions {
  readonly binary: string;
  readonly file: string;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** Default: this process's, without what `haproxyEnvironment` takes out. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Where relative paths of the file begin. Default: the current directory. */
  readonly directory?: string;
}

/**
 * Asks `haproxy -c` about a file (management guide 3, `-c`): exit code 0 valid, 1 refused, 2 nothing to listen on.
 * One that crashes has refused.
 *
 * @throws {SluiceError} ERR_HAPROXY_MISSING when the binary cannot be run; ERR_HAPROXY_CHECK_FAILED, retryable, when it
 *   was ended by another's signal (by the kernel for want of memory, say) or took more than 30 s: that says nothing about the
 *   file; the abort signal's reason when that comes first
 */
export async function validateConfig(options: ValidateOptions): Promise<Verdict> {
  const { binary, file, clock, signal, directory } = options;
  const environment = options.environment ?? haproxyEnvironment(process.env);
  const called: Binary = { path: binary, environment, ...(directory === undefined ? {} : { directory }) };
  const run = await runBinary(called, ["-c", "-f", file], validateLimitMs, clock, signal);
  const { problems, warnings } = parseOutput(run.stderr, file);
  if (run.exitCode === 0) return { ok: true, warnings };
  if (run.signal !== undefined && crashes.has(run.signal)) {
    const message = `haproxy -c crashed (${run.signal}) on this file; a file that does that is not loaded. Report it to HAProxy's makers`;
    return { ok: false, stage: "validate", problems: [...problems, { message }] };
  }
  const interruption = howInterrupted(run);
  if (interruption !== undefined) throw checkFailed(interruption, file, problems);
  return { ok: false, stage: "validate", problems: problems.length > 0 ? problems : [{ message: unexplained(run) }] };
}

/** Signals by which a program ends by its own fault: it would do so again, and the worker that loads the file too. */
const crashes: ReadonlySet<NodeJS.Signals> = new Set(["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"]);

/** Why it did not come to its end; undefined where it did. */
function howInterrupted({ late, signal }: BinaryRun): string | undefined {
  if (late)
    return `did not end within ${validateLimitMs} ms; does the file name hosts that DNS does not answer for, or is this machine overloaded?`;
  return signal === undefined ? undefined : `was ended by ${signal}; has this machine run out of memory?`;
}

function checkFailed(interruption: string, file: string, problems: readonly ConfigProblem[]): SluiceError {
  const said = problems.length === 0 ? "" : `; until then it said: ${problems.map(sentence).join("; ")}`;
  return new SluiceError("ERR_HAPROXY_CHECK_FAILED", `haproxy -c -f ${file} ${interruption} It is tried again${said}`, {
    retryable: true,
    details: { file },
  });
}

function unexplained({ exitCode, stdout }: BinaryRun): string {
  if (exitCode === 2) return "the configuration has nothing to listen on; give it a bind line";
  const said = stdout.trim();
  return `haproxy -c ended with exit code ${exitCode}${said === "" ? " without a word" : `: ${said}`}`;
}

export interface BinaryVersion {
  /** `2.6.12-1+deb12u4` */
  readonly text: string;
  readonly version: readonly [number, number, number];
}

/**
 * Asks the binary for its version (`haproxy -v`).
 *
 * @throws {SluiceError} ERR_HAPROXY_MISSING when it cannot be run or is no HAProxy; ERR_HAPROXY_TOO_OLD below 2.6
 */
export async function checkBinary(
  binary: string,
  clock: Clock = systemClock,
  signal?: AbortSignal,
): Promise<BinaryVersion> {
  const called: Binary = { path: binary, environment: haproxyEnvironment(process.env) };
  const run = await runBinary(called, ["-v"], versionLimitMs, clock, signal);
  // `HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/`; before 2.4 `HA-Proxy version …`.
  const text = /^HA-?Proxy version (\S+)/m.exec(run.stdout)?.[1];
  if (text === undefined || parseVersion(text) === undefined) {
    throw new SluiceError(
      "ERR_HAPROXY_MISSING",
      `${binary} -v does not say that it is HAProxy but ${JSON.stringify(run.stdout.slice(0, 80))}; set haproxy.binary to HAProxy 2.6 or newer`,
      { details: { binary } },
    );
  }
  return { text, version: supportedVersion(text, binary) };
}
