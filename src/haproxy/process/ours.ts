import { readFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { isShortage } from "../../support/shortage.ts";
import { findProcess, type ProcessHandle } from "./process-table.ts";

/** What makes a HAProxy ours. */
export interface OwnFiles {
  readonly configPath: string;
  readonly masterSocket: string;
  /** HAProxy writes its master's pid there. */
  readonly pidFile: string;
}

/** What a master is started with (management guide 3: `-W`, `-S`, `-p`, `-f`); also how one of ours is known. */
export function masterArguments({ configPath, masterSocket, pidFile }: OwnFiles): readonly string[] {
  return ["-W", "-S", `${masterSocket},mode,600`, "-p", pidFile, "-f", configPath];
}

/** The process of this pid, if its command line is that of a master or worker of ours. */
export function findOurs(pid: number | undefined, { configPath, masterSocket }: OwnFiles): ProcessHandle | undefined {
  const found = pid === undefined ? undefined : findProcess(pid);
  if (found === undefined) return undefined;
  const socket = found.args[found.args.indexOf("-S") + 1] ?? "";
  return found.args.includes(configPath) && socket.startsWith(`${masterSocket},`) ? found : undefined;
}

/**
 * The master that our pid file names, whether it answers or not. The file of a master that has ended stays.
 *
 * @throws the system's error where that cannot be found out for want of a file descriptor or the like
 */
export function masterByPidFile(files: OwnFiles): ProcessHandle | undefined {
  try {
    const pid = Number(readFileSync(files.pidFile, "latin1").trim());
    return Number.isInteger(pid) && pid > 1 ? findOurs(pid, files) : undefined;
  } catch (thrown) {
    if (isShortage(thrown)) throw thrown;
    return undefined;
  }
}

/** HAProxy makes its pid file anew at each start and reload, for everybody to read (0644, measured): narrows it to 0600. */
export async function closePidFile({ pidFile }: OwnFiles): Promise<void> {
  await chmod(pidFile, 0o600).catch(() => undefined);
}
