import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { ConsulAgent } from "./consul-agent.ts";
import { freePort } from "./free-port.ts";
import { eventually, type LogLine } from "./sluice.ts";
import type { Scene } from "./system.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const app = fileURLToPath(new URL("./register-app.mjs", import.meta.url));

/** `sluice register` in a process of its own, from the sources. */
export interface RegisterCommand {
  readonly pid: number;
  /** Its log, which is its standard error. */
  lines(): readonly LogLine[];
  /** What the wrapped command wrote to its standard output. */
  out(): string;
  /** Waits for a line of the log. */
  logged(msg: string, timeoutMs?: number): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** The exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
}

/** Starts it; the scene ends it and what it wraps, if they still run. */
export function runRegister(
  scene: Scene,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): RegisterCommand {
  const own = Object.entries(process.env).filter(([name]) => !/^(SLUICE|CONSUL)_/.test(name));
  const child = spawn(process.execPath, ["--import", "tsx", "src/main.ts", "register", "--json", ...args], {
    cwd: root,
    env: { ...Object.fromEntries(own), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: LogLine[] = [];
  let out = "";
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part !== "") lines.push(lineOf(part));
  });
  const ended = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | string);
  const wrapped = () => lines.map(({ pid }) => pid).find((pid) => typeof pid === "number") as number | undefined;
  scene.defer(async () => {
    child.kill("SIGKILL");
    await ended;
    const pid = wrapped();
    if (pid !== undefined && isRunning(pid)) process.kill(pid, "SIGKILL");
  });
  return {
    pid: child.pid ?? 0,
    lines: () => lines,
    out: () => out,
    logged: async (msg, timeoutMs = 30_000) => {
      const find = () => lines.find((line) => line.msg.includes(msg));
      await eventually(`logged: ${msg}`, () => find() !== undefined, timeoutMs).catch((thrown) => {
        throw new Error(`${thrown.message}\n${lines.map((line) => JSON.stringify(line)).join("\n")}`);
      });
      return find() as LogLine;
    },
    signal: (name) => void child.kill(name),
    ended,
  };
}

/** Names a free port and the command of a web server for it; `--stubborn` makes one that SIGTERM does not end. */
export async function webApp(name: string, ...flags: readonly string[]) {
  const port = await freePort();
  return {
    port,
    args: ["--name", "web", "--port", String(port)],
    command: ["--", process.execPath, app, String(port), name, ...flags],
  };
}

interface HealthEntry {
  readonly Service: {
    readonly ID: string;
    readonly Address: string;
    readonly Port: number;
    readonly Tags: readonly string[];
    readonly Meta: Readonly<Record<string, string>>;
  };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly Type: string }[];
}

/** A service as the catalog has it: its instances, each with its own checks by id. */
export async function instancesOf(consul: ConsulAgent, service: string) {
  const entries = (await consul.get(`/v1/health/service/${service}`)) as readonly HealthEntry[];
  return entries.map(({ Service, Checks }) => ({
    id: Service.ID,
    address: Service.Address,
    port: Service.Port,
    tags: Service.Tags,
    meta: Service.Meta,
    checks: Object.fromEntries(
      Checks.filter(({ CheckID }) => CheckID !== "serfHealth").map(({ CheckID, Status }) => [CheckID, Status]),
    ),
  }));
}

/** Whether a process is there and is no zombie. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function lineOf(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return { level: "not JSON", msg: text };
  }
}
