import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { HaproxyProcess } from "../../src/haproxy/process/haproxy-process.ts";
import type { ManagedProcessOptions } from "../../src/haproxy/process/managed-options.ts";
import { ManagedProcess } from "../../src/haproxy/process/managed-process.ts";
import { SingleProcess } from "../../src/haproxy/process/single-process.ts";
import { RuntimeClient } from "../../src/haproxy/runtime/client.ts";
import { askWorkerInfo } from "../../src/haproxy/runtime/worker-info.ts";
import { systemClock } from "../../src/support/clock.ts";
import { silentLogger } from "../../src/support/logger.ts";
import { haproxyBinary } from "./binaries.ts";
import { freePort } from "./free-port.ts";
import type { ReloadKind } from "./reload-kind.ts";

/** A directory with a real HAProxy that can be started in it. */
export interface HaproxyHome {
  readonly directory: string;
  readonly config: string;
  readonly masterSocket: string;
  readonly runtimeSocket: string;
  readonly haproxyLog: string;
  /** A free port of 127.0.0.1 for `body` to bind. */
  readonly port: number;
  /** Writes the live file: `global` with Sluice's lines, `defaults`, and this behind them. */
  write(body: string, global?: string): Promise<void>;
  /** Another process object on the same directory, as an operator that was started again has; of another kind, if so said. */
  managed(other?: Partial<ManagedProcessOptions> & { readonly kind?: ReloadKind }): HaproxyProcess;
  runtime(): RuntimeClient;
  /** Pids of all processes whose command line names our master socket or our pid file. */
  pids(): readonly number[];
  /** Ends all that was started, and removes the directory. */
  remove(): Promise<void>;
}

/** Makes a home under the system's temporary directory. */
export async function haproxyHome(usual: ReloadKind = "master"): Promise<HaproxyHome> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-ha-"));
  const below = (name: string) => path.join(directory, name);
  const paths = {
    config: below("haproxy.cfg"),
    masterSocket: below("master.sock"),
    runtimeSocket: below("runtime.sock"),
    haproxyLog: below("haproxy.log"),
  };
  const clients: RuntimeClient[] = [];
  const processes: HaproxyProcess[] = [];
  const managed: HaproxyHome["managed"] = ({ kind = usual, ...other } = {}) => {
    const options: ManagedProcessOptions = {
      binary: haproxyBinary,
      paths,
      clock: systemClock,
      logger: silentLogger,
      softStopMs: 100,
      ...other,
    };
    const created = kind === "sf" ? new SingleProcess(options) : new ManagedProcess(options);
    processes.push(created);
    return created;
  };
  return {
    directory,
    ...paths,
    port: await freePort(),
    write: (body, global = "") => writeFile(paths.config, configuration(paths.runtimeSocket, body, global)),
    managed,
    runtime: () => {
      const client = new RuntimeClient({
        socketPath: paths.runtimeSocket,
        clock: systemClock,
        logger: silentLogger,
        deadlineMs: 20_000,
      });
      clients.push(client);
      return client;
    },
    pids: () => pidsNaming(paths.masterSocket, directory),
    remove: async () => {
      for (const client of clients) client.close();
      for (const other of processes) other.release();
      await managed().stop();
      // What a test has broken so that it could not be stopped.
      for (const pid of pidsNaming(paths.masterSocket, directory)) killIfThere(pid);
      while (pidsNaming(paths.masterSocket, directory).length > 0) await systemClock.sleep(5);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A configuration as a home writes it. */
export function configuration(runtimeSocket: string, body: string, global = ""): string {
  return [
    "global",
    "  setenv SLUICE_STRUCTURE test-structure",
    `  stats socket ${runtimeSocket} mode 600 level admin expose-fd listeners`,
    "  hard-stop-after 3s",
    global,
    "defaults",
    "  mode http",
    "  timeout connect 2s",
    "  timeout client 20s",
    "  timeout server 20s",
    "  option idle-close-on-response",
    body,
    "",
  ].join("\n");
}

/** Master and workers alike have the master socket's path on their command line, a process without one the pid file's. */
function pidsNaming(masterSocket: string, directory: string): readonly number[] {
  const pids = readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number);
  return pids.filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      if (/\) [ZX] /.test(stat)) return false;
      const args = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return args.includes(`${masterSocket},`) || args.includes(`${directory}/haproxy.pid\0`);
    } catch {
      return false;
    }
  });
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

/** A web server that answers with its name. */
export interface NamedServer {
  readonly port: number;
  /** Requests it has not answered yet. */
  openRequests(): number;
  close(): Promise<void>;
}

/** @param delayMs how long each answer takes */
export async function namedServer(name: string, delayMs = 0): Promise<NamedServer> {
  let open = 0;
  const server = createServer((_request, response) => {
    open += 1;
    const timer = setTimeout(() => response.end(name), delayMs);
    response.on("close", () => {
      open -= 1;
      clearTimeout(timer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    openRequests: () => open,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A HAProxy without Sluice, to measure or ask by hand. */
export interface BareHaproxy {
  readonly pid: number;
  /** Path of its Runtime API. */
  readonly socket: string;
  stop(): Promise<void>;
}

/** Starts HAProxy on this configuration, in which `{socket}` stands for the path of its stats socket. */
export async function startHaproxy(config: string): Promise<BareHaproxy> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-bare-"));
  const socket = path.join(directory, "runtime.sock");
  const file = path.join(directory, "haproxy.cfg");
  await writeFile(file, config.replaceAll("{socket}", socket));
  const child = spawn(haproxyBinary, ["-db", "-f", file], { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors = (errors + chunk).slice(-4_000);
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", (error) => {
      errors += String(error);
      resolve();
    });
  });
  const killWithUs = () => child.kill("SIGKILL");
  process.once("exit", killWithUs);
  const stop = async () => {
    process.off("exit", killWithUs);
    child.kill("SIGKILL");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  const isUp = () =>
    askWorkerInfo({ path: socket, clock: systemClock }).then(
      () => true,
      () => false,
    );
  const deadline = Date.now() + 20_000;
  while (!(await isUp())) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop();
      throw new Error(`haproxy did not come up: ${errors}`);
    }
    await systemClock.sleep(10);
  }
  return { pid: child.pid ?? -1, socket, stop };
}
