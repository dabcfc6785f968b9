import { readFileSync } from "node:fs";

/** What a running process may do; what its workers inherit from it. */
export interface Rights {
  /** Effective user and group. */
  readonly uid: number;
  readonly gid: number;
  /** The most files it may have open, as far as it may raise its limit itself; Infinity for no limit. */
  readonly openFiles: number;
  /** Whether it has a capability in force (capabilities(7)). */
  has(capability: Capability): boolean;
}

export type Capability = keyof typeof bits;

const bits = {
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_NET_BIND_SERVICE: 10,
  CAP_SYS_CHROOT: 18,
  CAP_SYS_RESOURCE: 24,
} as const;

/**
 * Reads `/proc/<pid>/status` and `/proc/<pid>/limits` (proc(5)); undefined where there is no such process.
 *
 * ```text
 * Uid:    1000    1000    1000    1000                       real, effective, saved, file system
 * CapEff: 0000000000000400
 * Max open files            1024                 4096                 files
 * ```
 */
export function rightsOf(pid: number): Rights | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
    const effective = (name: string) => Number(new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)`, "m").exec(status)?.[1]);
    const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
    const has = (capability: Capability) => ((mask >> BigInt(bits[capability])) & 1n) === 1n;
    const hard = /^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1];
    const openFiles = hard === undefined || has("CAP_SYS_RESOURCE") ? Number.POSITIVE_INFINITY : Number(hard);
    return { uid: effective("Uid"), gid: effective("Gid"), openFiles, has };
  } catch {
    return undefined;
  }
}
