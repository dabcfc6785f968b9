import { readFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { isShortage } from "../../support/shortage.ts";
import { findProcess, type ProcessHandle, pidsNaming } from "./process-table.ts";

/** What makes a HAProxy ours. */
export interface OwnFiles {
  readonly configPath: string;
  readonly masterSocket: string;
  /** The pid of the master, written by HAProxy, or that of the process without one, written by us. */
  readonly pidFile: string;
}

/** What a master is started with (management guide 3: `-W`, `-S`, `-p`, `-f`); also how one of ours is known. */
export function masterArguments({ configPath, masterSocket, pidFile }: OwnFiles): readonly string[] {
  return ["-W", "-S", `${masterSocket},mode,600`, "-p", pidFile, "-f", configPath];
}

/**
 * What a process without a master is started with. HAProxy writes its pid file in the background and in master-worker
 * mode alone (management guide 3, `-p`; measured on 2.6, 3.0 and 3.2): here it is the mark by which ours are known.
 */
export function singleArguments({ configPath, pidFile }: OwnFiles): readonly string[] {
  return ["-p", pidFile, "-f", configPath];
}

/** The process of this pid, if its command line is that of a master or worker of ours. */
export function findOurs(pid: number | undefined, { configPath, masterSocket }: OwnFiles): ProcessHandle | undefined {
  const found = pid === undefined ? undefined : findProcess(pid);
  if (found === undefined) return undefined;
  const socket = found.args[found.args.indexOf("-S") + 1] ?? "";
  return found.args.includes(configPath) && socket.startsWith(`${masterSocket},`) ? found : undefined;
}

/** The process of this pid, if its command line is that of one of ours without a master. */
export function findSingle(pid: number | undefined, { configPath, pidFile }: OwnFiles): ProcessHandle | undefined {
  const found = pid === undefined ? undefined : findProcess(pid);
  if (found === undefined || found.args.includes("-S")) return undefined;
  const following = (option: string) => found.args[found.args.indexOf(option) + 1];
  return following("-f") === configPath && following("-p") === pidFile ? found : undefined;
}

/** What runs of ours. */
export interface OwnProcesses {
  /** Processes without a master, the one that was started first in front. */
  readonly singles: readonly ProcessHandle[];
  /** Masters, and workers that have none any more. */
  readonly masters: readonly ProcessHandle[];
  readonly workers: readonly ProcessHandle[];
}

/**
 * All HAProxys of ours, from the process table: one file is read of each process there is.
 *
 * @throws the system's error where that cannot be found out for want of a file descriptor or the like
 */
export function ownProcesses(files: OwnFiles): OwnProcesses {
  const pids = pidsNaming(files.configPath);
  const singles = pids.flatMap((pid) => findSingle(pid, files) ?? []);
  const ours = pids.flatMap((pid) => findOurs(pid, files) ?? []);
  const isWorker = ({ parent }: ProcessHandle) => ours.some(({ pid }) => pid === parent);
  return {
    singles: singles.sort((a, b) => Number(a.startedAt) - Number(b.startedAt) || a.pid - b.pid),
    masters: ours.filter((one) => !isWorker(one)),
    workers: ours.filter(isWorker),
  };
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
