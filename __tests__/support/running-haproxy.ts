import { spawn } from "node:child_process";
import path from "node:path";
import { haproxyBinary } from "./binaries.ts";
import { reloadKind } from "./reload-kind.ts";
import { masterCommand, masterPid, type SluiceHome, workerPid } from "./sluice.ts";

/** A process of HAProxy; a process without a master is its worker. */
export type HaproxyRole = "master" | "worker";

/** Those that a HAProxy of the tests has. */
export const haproxyRoles: readonly HaproxyRole[] = reloadKind === "sf" ? ["worker"] : ["master", "worker"];

/** The pid of one of them; a master's part is that of the process itself where there is none. */
export function pidOf(home: SluiceHome, role: HaproxyRole): Promise<number> {
  return role === "master" && reloadKind === "master" ? masterPid(home) : workerPid(home);
}

/** Reloads HAProxy as somebody else does, by hand: over the master's socket, or by a process with `-sf` and `-x`. */
export async function reloadByHand(home: SluiceHome): Promise<void> {
  if (reloadKind === "master") {
    await masterCommand(home, "reload");
    return;
  }
  const sockets = path.join(home.state, "sockets");
  const takeOver = ["-x", path.join(sockets, "runtime.sock"), "-sf", String(await workerPid(home))];
  const own = ["-p", path.join(sockets, "haproxy.pid"), "-f", path.join(home.state, "haproxy.cfg")];
  spawn(haproxyBinary, [...takeOver, ...own], { cwd: home.state, detached: true, stdio: "ignore" }).unref();
}

/** The same by another way, where there is one: a signal to the master. */
export async function reloadBySignal(home: SluiceHome): Promise<void> {
  if (reloadKind === "master") process.kill(await masterPid(home), "SIGUSR2");
  else await reloadByHand(home);
}
