import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { eventually, type LogLine } from "./sluice.ts";
import type { Scene } from "./system.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** `sluice registrar` in a process of its own, from the sources. */
export interface RegistrarProcess {
  lines(): readonly LogLine[];
  /** Waits for a line of the log whose message begins so, at or behind index `from`. */
  logged(msg: string, from?: number): Promise<LogLine>;
  /** Sends a signal and waits for the end; the exit code, or the signal's name. */
  end(signal?: NodeJS.Signals): Promise<number | string>;
}

export function runRegistrar(scene: Scene, args: readonly string[]): RegistrarProcess {
  const own = Object.entries(process.env).filter(([name]) => !/^(SLUICE|CONSUL|DOCKER)_/.test(name));
  const child = spawn(process.execPath, ["--import", "tsx", "src/main.ts", "registrar", "--json", ...args], {
    cwd: root,
    env: Object.fromEntries(own),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: LogLine[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part !== "") lines.push(JSON.parse(part) as LogLine);
  });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const end = async (signal: NodeJS.Signals = "SIGTERM") => {
    child.kill(signal);
    return ended;
  };
  scene.defer(() => end("SIGKILL"));
  return {
    lines: () => lines,
    logged: async (msg, from = 0) => {
      const find = () => lines.slice(from).find((line) => line.msg.startsWith(msg));
      await eventually(`logged: ${msg}`, () => find() !== undefined, 30_000).catch((thrown) => {
        throw new Error(`${thrown.message}\n${lines.map((line) => JSON.stringify(line)).join("\n")}`);
      });
      return find() as LogLine;
    },
    end,
  };
}

/** Stands before an engine's socket: what is asked is written down, and the engine can be away. */
export interface EngineProxy {
  readonly socketPath: string;
  /** `GET /v1.41/events?…`, one for each request. */
  readonly asked: readonly string[];
  /** As a restart of the engine looks from outside: connections break, and new ones are refused until it is back. */
  become(there: boolean): Promise<void>;
}

/** @param engine the path of its socket */
export async function proxyEngine(scene: Scene, engine: string): Promise<EngineProxy> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-engine-"));
  const socketPath = path.join(directory, "docker.sock");
  const asked: string[] = [];
  const open = new Set<Socket>();
  const server = createServer((front) => {
    const back = connect(engine);
    for (const socket of [front, back]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        open.delete(socket);
        front.destroy();
        back.destroy();
      });
    }
    front.on("data", (chunk: Buffer) => {
      // A request without a body begins with a chunk of its own.
      for (const [, line = ""] of chunk.toString().matchAll(/^([A-Z]+ \S+) HTTP\/1\.1\r$/gm)) asked.push(line);
    });
    front.pipe(back);
    back.pipe(front);
  });
  const become = async (there: boolean) => {
    if (there === server.listening) return;
    if (there) await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    else {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    }
  };
  await become(true);
  scene.defer(async () => {
    await become(false);
    await rm(directory, { recursive: true, force: true });
  });
  return { socketPath, asked, become };
}
