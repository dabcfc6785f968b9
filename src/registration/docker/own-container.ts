import { readFileSync } from "node:fs";

/**
 * The id of the container that this process runs in, by what Docker mounts into each: its own /etc/hostname comes from
 * the container's directory (proc(5), /proc/pid/mountinfo: the fourth field is the source, the fifth the place).
 *
 * @returns undefined outside of Docker's containers
 */
export function ownContainerId(mounts: string = readMounts()): string | undefined {
  return /^\S+ \S+ \S+ \S*\/containers\/([0-9a-f]{64})\/hostname \/etc\/hostname /m.exec(mounts)?.[1];
}

function readMounts(): string {
  try {
    return readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return "";
  }
}
