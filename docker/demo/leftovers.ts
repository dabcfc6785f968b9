import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";

/**
 * Ends processes of this demo that outlived who started them: an operator that crashed leaves HAProxy serving, and a
 * `sluice register` that was killed its server, as they should, but a demo leaves nothing behind. They are known by
 * their binaries' names and by the demo's own directory on their command line. Synchronous, so that it can be the last
 * thing a process does.
 *
 * @returns how many were ended
 */
export function endLeft(binaries: readonly string[], directory: string): number {
  const names = binaries.map((binary) => basename(binary));
  const left = commandLines().filter(
    ({ args }) => names.includes(basename(args[0] ?? "")) && args.some((arg) => arg.includes(`${directory}/`)),
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
