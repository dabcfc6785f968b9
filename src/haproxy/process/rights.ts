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

/**
 * What a process may do that this one starts as it has started that one. One that runs as the same user has what the next
 * one will have, whatever its binary adds or takes away. One that has become another user (`user`, `group`) has given up
 * what it was started with: then it is this process's rights, with the capabilities that are left to the running one.
 */
export function rightsOfNext(running: number): Rights | undefined {
  const own = rightsOf(process.pid);
  const before = rightsOf(running);
  if (own === undefined || before === undefined || own.uid === before.uid) return before ?? own;
  return { ...own, has: (capability) => own.has(capability) || before.has(capability) };
}
