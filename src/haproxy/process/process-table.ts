import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "../../support/clock.ts";
import { systemErrorCode } from "../../support/errors.ts";
import { isShortage } from "../../support/shortage.ts";

/** A process, told apart from a later one of the same pid by when it was started. */
export interface ProcessHandle {
  readonly pid: number;
  /** Its parent when it was looked up. */
  readonly parent: number;
  /** Clock ticks from boot to its start. */
  readonly startedAt: string;
  /** Its command line. */
  readonly args: readonly string[];
}

/**
 * The process of this pid (proc(5), `/proc/<pid>/stat` and `cmdline`).
 *
 * @returns undefined where there is none, or only its exit status is left (a zombie)
 * @throws the system's error where that cannot be found out for want of a file descriptor or the like
 */
export function findProcess(pid: number): ProcessHandle | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // `<pid> (<name, any characters>) <state> <parent> <18 more fields> <start time> …`
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state = "", startedAt = ""] = [fields[0], fields[19]];
    if (state === "Z" || state === "X") return undefined;
    const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return { pid, parent: Number(fields[1]), startedAt, args };
  } catch (thrown) {
    if (isShortage(thrown)) throw thrown;
    return undefined;
  }
}

/**
 * The pids of all processes that have this word on their command line.
 *
 * @throws the system's error where /proc cannot be read
 */
export function pidsNaming(word: string): readonly number[] {
  const names = readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name));
  return names.filter((pid) => commandLine(pid).includes(word)).map(Number);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch (thrown) {
    if (isShortage(thrown)) throw thrown;
    return "";
  }
}

/** Pids of its children (proc(5), `/proc/<pid>/task/<tid>/children`); none where the kernel does not tell. */
export function childrenOf({ pid }: ProcessHandle): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  } catch {
    return [];
  }
}

/** Whether this process is one of those, whenever it was looked up. */
export function isAmong(handles: readonly ProcessHandle[], { pid, startedAt }: ProcessHandle): boolean {
  return handles.some((one) => one.pid === pid && one.startedAt === startedAt);
}

/** Whether it still runs. Where /proc cannot be read for want of a file descriptor, any process of its pid counts. */
export function isAlive(handle: ProcessHandle): boolean {
  try {
    return findProcess(handle.pid)?.startedAt === handle.startedAt;
  } catch {
    return isThere(handle.pid);
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return systemErrorCode(thrown) === "EPERM";
  }
}

/** Sends a signal, if it still runs. */
export function signalProcess(handle: ProcessHandle, signal: NodeJS.Signals): void {
  if (!isAlive(handle)) return;
  try {
    process.kill(handle.pid, signal);
  } catch {
    // It ended meanwhile, or is not ours to signal: whoever waits for its end finds out.
  }
}

/** Waits until none of them runs, at most `limitMs`. True when none does. */
export async function waitForEnd(
  handles: readonly ProcessHandle[],
  limitMs: number,
  clock: Clock,
  signal?: AbortSignal,
): Promise<boolean> {
  const deadline = clock.now() + limitMs;
  let waitMs = 1;
  while (handles.some(isAlive)) {
    if (clock.now() >= deadline) return false;
    await clock.sleep(waitMs, signal);
    waitMs = Math.min(50, waitMs * 2);
  }
  return true;
}
