import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";

/** A process that is registered as long as it runs. */
export interface WrappedProcess {
  readonly pid: number;
  /** Its status, 128 and the signal's number where a signal ended it, as a shell has it. Resolves once it has ended. */
  readonly ended: Promise<number>;
  /** To the process alone; what it started is its own business. Nothing happens where it has ended. */
  signal(name: NodeJS.Signals): void;
  /** SIGKILL, to it and to what it started. */
  kill(): void;
}

/**
 * Starts a command with our standard streams. It has a session of its own (setsid(2)): Ctrl-C on a terminal goes to us
 * alone, and reaches it when it is drained.
 *
 * @param env what it has, but for `SLUICE_…`: settings of ours, with passwords and a token, that are none of its business
 * @throws {SluiceError} ERR_REGISTER_COMMAND; `details.status` is what a shell would exit with, 127 or 126
 */
export async function startProcess(command: readonly string[], env: NodeJS.ProcessEnv): Promise<WrappedProcess> {
  const [program = "", ...args] = command;
  const theirs = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("SLUICE_")));
  const child = spawn(program, args, { env: theirs, stdio: "inherit", detached: true });
  const ended = new Promise<number>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
  try {
    await once(child, "spawn");
  } catch (cause) {
    const code = systemErrorCode(cause);
    throw new SluiceError("ERR_REGISTER_COMMAND", `${program} cannot be started: ${code ?? "unknown reason"}`, {
      cause,
      details: { command: program, status: code === "ENOENT" ? 127 : 126 },
    });
  }
  const pid = child.pid as number;
  return {
    pid,
    ended,
    signal: (name) => void child.kill(name),
    kill: () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    },
  };
}
