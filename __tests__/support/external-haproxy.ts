import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { haproxyBinary } from "./binaries.ts";
import type { SluiceHome } from "./sluice.ts";
import type { Scene } from "./system.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const shipped = path.join(root, "docker/sluice/haproxy.sh");

/** The settings of an operator whose HAProxy somebody else starts. */
export const externalMode = { mode: "external", onStop: "leave" } as const;

/** A HAProxy that the tests start as its container or unit would: by the script, in a process of its own. */
export interface ExternalHaproxy {
  /** Of the main program; in namespaces of its own, the one seen from outside. */
  readonly pid: number;
  /** What it wrote so far. */
  output(): string;
  readonly ended: Promise<number | string>;
  /** Sends a signal to the main program and waits for its end; the exit code, or the signal's name. */
  end(signal?: NodeJS.Signals): Promise<number | string>;
}

export interface ExternalOptions {
  /** Default: that of the tests. */
  readonly binary?: string;
  /** Default: the one that ships. */
  readonly script?: string;
  /** Namespaces of its own, as a container has; for root alone. Default: none. */
  readonly namespaces?: readonly ("pid" | "net")[];
}

/** Starts HAProxy for a home, and ends it with the scene, before the home goes. */
export async function startExternal(
  scene: Scene,
  home: SluiceHome,
  options: ExternalOptions = {},
): Promise<ExternalHaproxy> {
  const { binary = haproxyBinary, namespaces = [], script = shipped } = options;
  const [program = "sh", ...words] = unshared(namespaces, ["sh", script, "--settings", home.settingsFile]);
  const child = spawn(program, words, {
    env: {
      ...process.env,
      PATH: `${await sluiceInPath(home)}:${process.env["PATH"]}`,
      SLUICE_HAPROXY_DIRECTORY: home.state,
      SLUICE_HAPROXY_BINARY: binary,
      // What would set settings: variables of the tests.
      SLUICE_HAPROXY: undefined,
      SLUICE_CONSUL: undefined,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  const ended = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | string);
  const external: ExternalHaproxy = {
    pid: child.pid ?? 0,
    output: () => output,
    ended,
    end: (signal = "SIGTERM") => endChild(child, ended, signal),
  };
  scene.defer(() => endChild(child, ended, "SIGKILL"));
  return external;
}

/** Starts HAProxy again each time it has ended, as systemd and Docker do, until the scene ends. */
export async function superviseExternal(
  scene: Scene,
  home: SluiceHome,
  options: ExternalOptions = {},
): Promise<{ current(): ExternalHaproxy; starts(): number }> {
  let current = await startExternal(scene, home, options);
  let starts = 1;
  let over = false;
  const keep = async () => {
    while (!over) {
      await current.ended;
      await sleep(100);
      if (over) return;
      current = await startExternal(scene, home, options);
      starts += 1;
    }
  };
  const keeping = keep();
  scene.defer(async () => {
    over = true;
    await current.end("SIGKILL");
    await keeping;
  });
  return { current: () => current, starts: () => starts };
}

/** The command in namespaces of its own, as a container has. */
function unshared(namespaces: ExternalOptions["namespaces"], command: readonly string[]): readonly string[] {
  if (namespaces === undefined || namespaces.length === 0) return command;
  const pid = namespaces.includes("pid") ? ["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"] : [];
  const net = namespaces.includes("net") ? ["--net"] : [];
  const inside = namespaces.includes("net")
    ? ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...command]
    : command;
  return ["unshare", ...pid, ...net, ...inside];
}

/** `unshare` takes what is in its namespaces along by SIGKILL, whatever ended it. */
async function endChild(
  child: ChildProcess,
  ended: Promise<number | string>,
  signal: NodeJS.Signals,
): Promise<number | string> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  return ended;
}

/** `sluice` as the script calls it, from the sources. */
async function sluiceInPath(home: SluiceHome): Promise<string> {
  const directory = path.join(home.directory, "bin");
  const program = path.join(directory, "sluice");
  await mkdir(directory, { recursive: true });
  const loader = fileURLToPath(import.meta.resolve("tsx"));
  await writeFile(program, `#!/bin/sh\nexec ${process.execPath} --import ${loader} ${root}src/main.ts "$@"\n`);
  await chmod(program, 0o755);
  return directory;
}
