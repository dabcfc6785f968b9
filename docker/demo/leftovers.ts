import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

/**
 * Ends HAProxy processes of this demo that outlived their operator: one that crashed leaves HAProxy serving, as it
 * should, but a demo leaves nothing behind. They are known by their binary's name and by the demo's own directory on
 * their command line. Synchronous, so that it can be the last thing a process does.
 *
 * @returns how many were ended
 */
export function endLeftHaproxies(binary: string, directory: string): number {
  const left = commandLines().filter(
    ({ args }) => basename(args[0] ?? "") === basename(binary) && args.some((arg) => arg.includes(`${directory}/`)),
  );
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
  return left.length;
}

interface CommandLine {
  readonly pid: number;
  readonly args: readonly string[];
}

function commandLines(): readonly CommandLine[] {
  const pids = processDirectories();
  // Without /proc (macOS), ps has the same, its arguments joined by spaces.
  if (pids === undefined) return listedByPs();
  return pids.flatMap((pid) => {
    try {
      return [{ pid, args: readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0") }];
    } catch {
      return [];
    }
  });
}

function processDirectories(): readonly number[] | undefined {
  try {
    const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
    return pids.length === 0 ? undefined : pids;
  } catch {
    return undefined;
  }
}

function listedByPs(): readonly CommandLine[] {
  const { stdout } = spawnSync("ps", ["-Ao", "pid=,args="], { encoding: "utf8" });
  return (stdout ?? "").split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(.*)$/.exec(line);
    return match === null ? [] : [{ pid: Number(match[1]), args: (match[2] ?? "").split(" ") }];
  });
}
