import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { ProcessHandle } from "./process-table.ts";

/** A TCP socket as the kernel lists it. */
interface TcpSocket {
  readonly inode: string;
  readonly localPort: string;
  /** Hexadecimal, of include/net/tcp_states.h: 01 established, 08 close wait, 0A listen, … */
  readonly state: string;
}

const listening = "0A";
/** Established, or closed by one side: FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT. */
const connected: ReadonlySet<string> = new Set(["01", "04", "05", "08"]);

/** Whether it listens on a TCP port; false where its descriptors may not be read. */
export function isListening({ pid }: ProcessHandle): boolean {
  const own = socketsOf(pid);
  if (own === undefined || own.size === 0) return false;
  const read = (name: string) => {
    try {
      return readFileSync(`/proc/${pid}/net/${name}`, "latin1");
    } catch {
      return "";
    }
  };
  return ["tcp", "tcp6"].some((name) =>
    parseTcp(read(name)).some(({ inode, state }) => state === listening && own.has(inode)),
  );
}

/**
 * How many TCP connections of clients a process has that listens no more: those whose local port is one that somebody
 * listens on, its successor namely. Those to servers have a port of their own. Connections over a frontend that its
 * successor does not have, over Unix sockets and QUIC are not counted.
 *
 * @returns undefined where its descriptors may not be read: it belongs to another user, or its binary has capabilities
 */
export async function clientConnections({ pid }: ProcessHandle): Promise<number | undefined> {
  const own = socketsOf(pid);
  if (own === undefined) return undefined;
  if (own.size === 0) return 0;
  const read = (name: string) => readFile(`/proc/${pid}/net/${name}`, "latin1").catch(() => "");
  const all = (await Promise.all(["tcp", "tcp6"].map(read))).flatMap(parseTcp);
  const ports = new Set(all.filter(({ state }) => state === listening).map(({ localPort }) => localPort));
  return all.filter(({ inode, localPort, state }) => connected.has(state) && own.has(inode) && ports.has(localPort))
    .length;
}

/** Inodes of the sockets a process has open (proc(5), `/proc/<pid>/fd`: `socket:[4711]`). */
function socketsOf(pid: number): ReadonlySet<string> | undefined {
  let names: readonly string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return undefined;
  }
  const found = new Set<string>();
  for (const name of names) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1];
      if (inode !== undefined) found.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  return found;
}

/**
 * `/proc/<pid>/net/tcp` and `tcp6` (proc(5)), of the network namespace of that process; numbers hexadecimal but for the
 * inode:
 *
 * ```text
 *   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode …
 *    0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 …
 * ```
 */
export function parseTcp(text: string): readonly TcpSocket[] {
  const found: TcpSocket[] = [];
  for (const line of text.split("\n").slice(1)) {
    const words = line.trim().split(/\s+/);
    const [, local = "", , state = ""] = words;
    const inode = words[9];
    if (inode !== undefined) found.push({ inode, localPort: local.slice(local.lastIndexOf(":") + 1), state });
  }
  return found;
}
