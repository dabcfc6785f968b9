import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";

const program = fileURLToPath(new URL("./instance.mjs", import.meta.url));
/** A loopback connection that takes longer is not going to be. */
const droppedMs = 150;

/** An instance in a process of its own; see instance.mjs for what it answers. */
export interface InstanceProcess {
  readonly name: string;
  readonly port: number;
  /** The IDs of the requests it has carried out, of those that had one (`X-Once`). */
  readonly did: readonly string[];
  /** Ends it as the kernel does: without a word to anybody. Resolves when it is gone and all it said has been read. */
  kill(): Promise<void>;
  /** Stops it where it is: the kernel goes on accepting for it, and nobody answers. */
  freeze(): void;
  thaw(): void;
  /**
   * Makes its address one of a host that is gone: what was connected is cut, and who connects then hears nothing at all.
   * Until that is so some connections are still taken: let nobody connect meanwhile.
   */
  vanish(): Promise<void>;
}

/**
 * Starts an instance on a free port of 127.0.0.1. It ends with this process at the latest.
 *
 * @param backlog connections that wait to be accepted; few for one that is to vanish
 */
export async function startInstanceProcess(name: string, backlog = 511): Promise<InstanceProcess> {
  const child = spawn(process.execPath, [program, name, String(backlog)], { stdio: ["pipe", "pipe", "inherit"] });
  // It may be gone when it is told something.
  child.stdin.on("error", () => undefined);
  const closed = once(child, "close");
  const did: string[] = [];
  const held: Socket[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [word, value = ""] = line.split(" ");
      if (word === "did") did.push(value);
      else resolve(Number(value));
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${name} ended before it listened`)));
  });
  return {
    name,
    port,
    did,
    kill: async () => {
      for (const socket of held) socket.destroy();
      child.kill("SIGKILL");
      await closed;
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    vanish: async () => {
      child.stdin.write("cut\n");
      await eventually(() => stateOf(child.pid) === "T", `${name} to stop`);
      for (let dropped = false; !dropped; ) {
        const socket = connect({ port, host: "127.0.0.1" });
        held.push(socket.on("error", () => undefined));
        dropped = await Promise.race([once(socket, "connect").then(() => false), sleep(droppedMs, true)]);
      }
    },
  };
}

/** The letter of proc(5) for what a process does; T: it is stopped. */
function stateOf(pid: number | undefined): string | undefined {
  return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1];
}
