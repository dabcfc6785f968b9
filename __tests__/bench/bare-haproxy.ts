import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { haproxyBinary } from "../support/binaries.ts";
import { eventually, socketCommand } from "../support/sluice.ts";

export interface BareHaproxy {
  readonly socket: string;
  stop(): Promise<void>;
}

/** HAProxy in the foreground, without Sluice. `body` follows behind a `global` with a socket. */
export async function startBareHaproxy(body: string): Promise<BareHaproxy> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-bare-"));
  const [socket, file] = [path.join(directory, "runtime.sock"), path.join(directory, "haproxy.cfg")];
  await writeFile(file, `global\n  stats socket ${socket} mode 600 level admin\n  stats timeout 1h\n${body}`);
  const child = spawn(haproxyBinary, ["-db", "-f", file], { stdio: "ignore" });
  const ended = once(child, "exit");
  await eventually("HAProxy answers", () =>
    socketCommand(socket, "show info").then(
      () => true,
      () => false,
    ),
  );
  return {
    socket,
    stop: async () => {
      child.kill();
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
