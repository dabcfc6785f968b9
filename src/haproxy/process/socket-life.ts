import { readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import type { Clock } from "../../support/clock.ts";
import { systemErrorCode } from "../../support/errors.ts";

/**
 * What tells one life of HAProxy from the next, by its runtime socket alone: the socket's file. HAProxy makes it anew
 * when it is started, and keeps it through reloads, also through those that fail (measured on 2.6.12, 3.0.11, 3.2.26;
 * the master's own socket is made anew by each reload). Pids do not tell: a container that is started again may well
 * give the same ones. Undefined where there is no such file.
 */
export function lifeOf(runtimeSocket: string): string | undefined {
  try {
    const { dev, ino, ctimeNs } = statSync(runtimeSocket, { bigint: true });
    return `${dev} ${ino} ${ctimeNs}`;
  } catch {
    return undefined;
  }
}

/**
 * Whether somebody listens on a Unix socket. Only `refuses` is proof that nobody does; whoever accepts may still be too
 * busy to answer. Never throws.
 */
export function probeSocket(path: string, timeoutMs: number, clock: Clock): Promise<"accepts" | "refuses" | "silent"> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (answer: "accepts" | "refuses" | "silent") => {
      cancel();
      socket.destroy();
      resolve(answer);
    };
    const cancel = clock.timer(timeoutMs, () => end("silent"));
    socket.once("connect", () => end("accepts"));
    socket.once("error", (error) => {
      const code = systemErrorCode(error);
      end(code === "ECONNREFUSED" || code === "ENOENT" ? "refuses" : "silent");
    });
  });
}

/**
 * Whether the process that listens on this Unix socket is in our own network namespace, so that its ports are ours: a
 * kernel lists the sockets of one namespace to those who are in it (proc(5), `/proc/net/unix`; Flags 00010000:
 * listening). HAProxy's has the name it was bound under, before it was renamed:
 *
 * ```text
 * Num       RefCount Protocol Flags    Type St Inode Path
 * 00000000432e977a: 00000002 00000000 00010000 0001 01 67961270 /var/lib/sluice/sockets/runtime.sock.14155.tmp
 * ```
 */
export function listensHere(path: string, table: () => string = ourSockets): boolean {
  try {
    return table()
      .split("\n")
      .some((line) => {
        const [, , , flags, , , , ...name] = line.split(" ").filter((word) => word !== "");
        const bound = name.join(" ");
        return flags === "00010000" && (bound === path || (bound.startsWith(`${path}.`) && bound.endsWith(".tmp")));
      });
  } catch {
    return false;
  }
}

function ourSockets(): string {
  return readFileSync("/proc/self/net/unix", "utf8");
}
