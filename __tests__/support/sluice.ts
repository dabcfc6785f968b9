import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { haproxyBinary } from "./binaries.ts";
import { freePort } from "./free-port.ts";
import { reloadKind } from "./reload-kind.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const fromSources = ["--import", "tsx", path.join(root, "src/main.ts")];

/** A place for an operator: its state directory, its settings file, its ports. Survives restarts of the operator. */
export interface SluiceHome {
  readonly directory: string;
  readonly state: string;
  readonly settingsFile: string;
  readonly httpPort: number;
  readonly statsPort: number;
  /** Writes the settings file: these over the defaults of a test. */
  configure(settings: Readonly<Record<string, unknown>>): Promise<void>;
  /** Ends HAProxy if it still runs, and removes the directory. */
  remove(): Promise<void>;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly event?: string;
  readonly [field: string]: unknown;
}

export interface RunningSluice {
  readonly process: ChildProcess;
  readonly pid: number;
  /** All lines logged so far. */
  lines(): readonly LogLine[];
  /**
   * The first line at or behind index `from` (default: all, also those of the past) that satisfies the test. Rejects
   * after `timeoutMs`, or when the operator has ended, with the log's end.
   */
  logged(test: (line: LogLine) => boolean, timeoutMs?: number, from?: number): Promise<LogLine>;
  /** What it wrote to its standard error so far. */
  errors(): string;
  /** Resolves with the exit code, or the signal's name, once it has ended and all it wrote has been read. */
  readonly ended: Promise<number | string>;
  /** Sends a signal and waits for the end; the exit code, or the signal's name. */
  end(signal?: NodeJS.Signals): Promise<number | string>;
}

export interface CommandResult {
  readonly code: number | string;
  readonly out: string;
  readonly err: string;
}

/** Makes a home. `consul` is the agent's address; more settings by key, as in the settings file. */
export async function sluiceHome(consul: string, more: Readonly<Record<string, unknown>> = {}): Promise<SluiceHome> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-"));
  const state = path.join(directory, "state");
  const settingsFile = path.join(directory, "sluice.yaml");
  const [httpPort, statsPort] = [await freePort(), await freePort()];
  const configure = async (settings: Readonly<Record<string, unknown>>) => {
    const all = {
      consul: { address: consul, ...(settings["consul"] as object) },
      haproxy: { binary: haproxyBinary, directory: state, onStop: "stop", ...reloaded(settings["haproxy"]) },
      http: { bind: `127.0.0.1:${httpPort}`, ...(settings["http"] as object) },
      stats: { bind: `127.0.0.1:${statsPort}`, ...(settings["stats"] as object) },
    };
    await writeFile(settingsFile, stringify({ ...settings, ...all }));
  };
  await configure(more);
  return {
    directory,
    state,
    settingsFile,
    httpPort,
    statsPort,
    configure,
    remove: async () => {
      await stopMaster(path.join(state, "sockets", "master.sock"));
      // A worker whose master was killed.
      for (const pid of await processesOf({ directory })) signalProcess(pid, "SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The section `haproxy` of a test, with its kind of reload where it does not choose one, or who starts HAProxy. */
function reloaded(section: unknown): Readonly<Record<string, unknown>> {
  const own = (section ?? {}) as Readonly<Record<string, unknown>>;
  return own["mode"] === "external" || reloadKind === "master" ? own : { reload: reloadKind, ...own };
}

/** Starts `sluice run` in a process of its own, from the sources. */
export function runSluice(home: SluiceHome, args: readonly string[] = []): RunningSluice {
  return start(fromSources, home, args);
}

/** Starts `sluice run` from `dist`, as users do. */
export function runBuiltSluice(home: SluiceHome, args: readonly string[] = []): RunningSluice {
  return start([path.join(root, "dist/main.js")], home, args);
}

/** Starts the operator by a main program of the tests, which takes the same arguments, with variables of its own. */
export function runProgram(
  program: string,
  home: SluiceHome,
  env: Readonly<Record<string, string>> = {},
): RunningSluice {
  return start(["--import", "tsx", program], home, [], env);
}

/** Runs one command of `sluice`, from the sources, to its end. */
export async function sluiceCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd: string = root,
): Promise<CommandResult> {
  // tsx must be found from wherever the command runs.
  const loader = import.meta.resolve("tsx");
  const child = spawn(process.execPath, ["--import", loader, path.join(root, "src/main.ts"), ...args], {
    cwd,
    env: { ...cleanEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    err += chunk;
  });
  const [code, signal] = await once(child, "close");
  return { code: (code ?? signal) as number | string, out, err };
}

/** Ours without what would set settings: variables of the tests, or of the machine they run on. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(SLUICE|CONSUL)_/.test(name));
  return Object.fromEntries(entries);
}

function start(
  program: readonly string[],
  home: SluiceHome,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): RunningSluice {
  const child = spawn(process.execPath, [...program, "run", "--json", "--settings", home.settingsFile, ...args], {
    cwd: root,
    env: { ...cleanEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const endWithUs = () => child.kill("SIGTERM");
  process.once("exit", endWithUs);
  const lines: LogLine[] = [];
  let rest = "";
  let errors = "";
  let over = false;
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part !== "") lines.push(parseLine(part));
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  const ended = once(child, "close").then(([code, signal]) => {
    over = true;
    process.off("exit", endWithUs);
    return (code ?? signal) as number | string;
  });
  return {
    process: child,
    pid: child.pid ?? 0,
    lines: () => lines,
    errors: () => errors,
    ended,
    logged: async (test, timeoutMs = 15_000, from = 0) => {
      const deadline = performance.now() + timeoutMs;
      for (let at = from; ; ) {
        for (; at < lines.length; at += 1) {
          const line = lines[at];
          if (line !== undefined && test(line)) return line;
        }
        if (performance.now() > deadline || over) {
          const tail = lines.slice(-15).map((one) => `${one.level} ${one.msg}`);
          const what = over ? "not logged before the operator ended" : `not logged within ${timeoutMs} ms`;
          throw new Error(`${what}:\n${tail.join("\n")}\n${errors}`);
        }
        await sleep(20);
      }
    },
    end: async (signal = "SIGTERM") => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      return ended;
    },
  };
}

/** What is not JSON should not be there, but a test had better show it than fail in a listener. */
function parseLine(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { level: "not JSON", msg: text };
  }
}

/** One command on the Runtime API of a home's HAProxy. */
export function runtimeCommand(home: SluiceHome, command: string): Promise<string> {
  return socketCommand(path.join(home.state, "sockets", "runtime.sock"), command);
}

/** One command on the master CLI of a home's HAProxy. */
export function masterCommand(home: SluiceHome, command: string): Promise<string> {
  return socketCommand(path.join(home.state, "sockets", "master.sock"), command);
}

export function socketCommand(socketPath: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(`${command}\n`));
    // A process that is being killed may accept and never answer.
    socket.setTimeout(5_000, () => socket.destroy(new Error(`no answer to ${command} on ${socketPath}`)));
    let answer = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      answer += chunk;
    });
    socket.on("end", () => resolve(answer));
    socket.on("error", reject);
  });
}

/** The worker's pid, as `show info` has it. */
export async function workerPid(home: SluiceHome): Promise<number> {
  return Number(/^Pid: (\d+)/m.exec(await runtimeCommand(home, "show info"))?.[1]);
}

/** The master's pid, as `show proc` has it. */
export async function masterPid(home: SluiceHome): Promise<number> {
  return Number(/^(\d+)\s+master/m.exec(await masterCommand(home, "show proc;quit"))?.[1]);
}

export async function liveConfig(home: SluiceHome): Promise<string> {
  return readFile(path.join(home.state, "haproxy.cfg"), "utf8");
}

/** Waits until a condition holds; rejects after `timeoutMs`, naming it. A condition that throws does not hold yet. */
export async function eventually(
  what: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let problem: unknown;
    try {
      if (await condition()) return;
    } catch (thrown) {
      problem = thrown;
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, problem === undefined ? {} : { cause: problem });
    }
    await sleep(20);
  }
}

/** Pids of the processes that have a home's directory on their command line: its operator, its HAProxy. */
export async function processesOf(home: Pick<SluiceHome, "directory">): Promise<readonly number[]> {
  const pids: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // Gone meanwhile, or a zombie, which has none.
    const commandLine = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (commandLine.includes(`${home.directory}/`)) pids.push(Number(name));
  }
  return pids;
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}

async function stopMaster(socketPath: string): Promise<void> {
  let answer: string;
  try {
    answer = await socketCommand(socketPath, "show proc;quit");
  } catch {
    return;
  }
  const pid = Number(/^(\d+)\s+master/m.exec(answer)?.[1]);
  if (!(pid > 1)) return;
  signalProcess(pid, "SIGTERM");
  await eventually("HAProxy's master has ended", () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
}
