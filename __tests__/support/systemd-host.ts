import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { haproxyBinary } from "./binaries.ts";
import { processesOf } from "./sluice.ts";
import { commandWords, type UnitFile } from "./unit-file.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** A user that nobody has, with a group of the same number. */
const unusedId = 64_123;

/** A service of a unit file that was started. */
export interface StartedUnit {
  readonly pid: number;
  /** Its exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
  /** What it wrote so far. */
  output(): string;
}

/** One command line of a unit, run to its end. */
export interface UnitCommand {
  readonly status: number | null;
  readonly output: string;
}

/**
 * What systemd would do with unit files, done by hand, in a directory instead of `/`: Sluice is installed below it, the
 * units' command lines run in it, with the users' rights that the units say, where this process is root's.
 */
export class SystemdHost {
  readonly directory: string;
  /** Whether rights are taken away, which takes root's. */
  readonly confines = process.getuid?.() === 0;
  readonly #other: boolean;
  readonly #started = new Set<ChildProcess>();

  private constructor(directory: string) {
    this.directory = directory;
    this.#other = this.confines && canRun(haproxyBinary) && canRun(process.execPath);
  }

  /** Installs Sluice as docs/systemd.md says. */
  static async install(): Promise<SystemdHost> {
    const host = new SystemdHost(await mkdtemp(path.join(tmpdir(), "sluice-systemd-")));
    // mkdtemp leaves it to its owner alone.
    await chmod(host.directory, 0o755);
    const sluice = host.place("/opt/sluice");
    spawnSync(
      process.execPath,
      [
        path.join(root, "node_modules/typescript/bin/tsc"),
        "-p",
        "tsconfig.build.json",
        "--outDir",
        path.join(sluice, "dist"),
      ],
      { cwd: root },
    );
    for (const part of ["haproxy", "package.json", ...(await runtimePackages())]) {
      await cp(path.join(root, part), path.join(sluice, part), { recursive: true });
    }
    await mkdir(host.place("/etc/sluice"), { recursive: true });
    await host.reset();
    return host;
  }

  /** Where a path of the units is. */
  place(name: string): string {
    return path.join(this.directory, name);
  }

  async writeSettings(text: string): Promise<void> {
    await writeFile(this.place("/etc/sluice/sluice.yaml"), text);
  }

  /** The user the units' processes have, whichever name the units have for it. */
  get uid(): number | undefined {
    return this.#other ? unusedId : process.getuid?.();
  }

  /** Runs the lines of a key, such as `Service.ExecReload`, one after the other, until one fails. */
  run(unit: UnitFile, key: string, mainPid = 0): readonly UnitCommand[] {
    const results: UnitCommand[] = [];
    for (const line of unit.all(key)) {
      const [command = "", ...args] = this.#confined(unit, this.#words(line, mainPid));
      const done = spawnSync(command, args, { ...this.#spawnOptions(unit), encoding: "utf8", timeout: 60_000 });
      results.push({ status: done.status, output: `${done.stdout}${done.stderr}` });
      if (done.status !== 0) break;
    }
    return results;
  }

  /** `ExecStartPre`, then `ExecStart`. Throws when the first fails. */
  start(unit: UnitFile): StartedUnit {
    for (const { status, output } of this.run(unit, "Service.ExecStartPre")) {
      if (status !== 0) throw new Error(`ExecStartPre failed (${status}): ${output}`);
    }
    const [command = "", ...args] = this.#confined(unit, this.#words(unit.one("Service.ExecStart"), 0));
    const child = spawn(command, args, {
      ...this.#spawnOptions(unit),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#started.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const ended = once(child, "exit").then(([code, signal]) => {
      this.#started.delete(child);
      return (code ?? signal) as number | string;
    });
    return { pid: child.pid ?? 0, ended, output: () => output };
  }

  /** `KillSignal` to the main process, and after `TimeoutStopSec` SIGKILL, which a good end does without. */
  async stop(unit: UnitFile, started: StartedUnit): Promise<number | string> {
    const signal = (unit.all("Service.KillSignal").at(-1) ?? "SIGTERM") as NodeJS.Signals;
    const seconds = Number(/^(\d+)s$/.exec(unit.all("Service.TimeoutStopSec").at(-1) ?? "90s")?.[1]);
    process.kill(started.pid, signal);
    const timer = setTimeout(() => process.kill(started.pid, "SIGKILL"), seconds * 1_000);
    const how = await started.ended;
    clearTimeout(timer);
    return how;
  }

  /** Ends what was started; the state directory is there and empty (`StateDirectory`, `StateDirectoryMode`). */
  async reset(): Promise<void> {
    for (const child of this.#started) child.kill("SIGKILL");
    for (const pid of await processesOf(this)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended with its master.
      }
    }
    const state = this.place("/var/lib/sluice");
    await remove(state);
    await mkdir(path.dirname(state), { recursive: true });
    await mkdir(state, { mode: 0o700 });
    if (this.#other) await chown(state, unusedId, unusedId);
  }

  async remove(): Promise<void> {
    await this.reset();
    await remove(this.directory);
  }

  #words(line: string, mainPid: number): readonly string[] {
    const programs: Readonly<Record<string, string>> = {
      "/usr/bin/node": process.execPath,
      "/usr/sbin/haproxy": haproxyBinary,
    };
    return commandWords(line, { MAINPID: String(mainPid) }).map(
      (word) => programs[word] ?? word.replace(/^(?=\/(?:opt|etc|var\/lib)\/sluice)/, this.directory),
    );
  }

  /** `User`, `AmbientCapabilities`, `CapabilityBoundingSet`, `NoNewPrivileges` and `UMask`, by setpriv(1) and a shell. */
  #confined(unit: UnitFile, words: readonly string[]): readonly string[] {
    const masked = ["sh", "-c", `umask ${unit.one("Service.UMask")}; exec "$@"`, "sh", ...words];
    if (!this.confines) return masked;
    // Where they are not limited, they are all there.
    if (!unit.sets("Service.CapabilityBoundingSet")) throw new Error("the unit has no CapabilityBoundingSet");
    const ambient = capabilities(unit.all("Service.AmbientCapabilities"));
    const bounding = capabilities(unit.all("Service.CapabilityBoundingSet"));
    const user = this.#other ? [`--reuid=${unusedId}`, `--regid=${unusedId}`, "--clear-groups"] : [];
    return [
      ...["setpriv", ...user, `--inh-caps=${["-all", ...ambient].join(",")}`],
      ...[`--ambient-caps=${["-all", ...ambient].join(",")}`, `--bounding-set=${["-all", ...bounding].join(",")}`],
      ...[...(unit.one("Service.NoNewPrivileges") === "yes" ? ["--no-new-privs"] : []), ...masked],
    ];
  }

  #spawnOptions(unit: UnitFile) {
    const directory = unit.all("Service.WorkingDirectory").at(-1);
    return {
      cwd: directory === undefined ? "/" : this.place(directory),
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
    };
  }
}

/** What is being ended may still write. */
function remove(directory: string): Promise<void> {
  return rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** `CAP_NET_BIND_SERVICE` as setpriv(1) adds it: `+net_bind_service`. */
function capabilities(names: readonly string[]): readonly string[] {
  return names.flatMap((line) => line.split(/\s+/)).map((name) => `+${name.replace(/^CAP_/, "").toLowerCase()}`);
}

/** Whether another user than root can: binaries of other versions of HAProxy lie where nobody else may look. */
function canRun(binary: string): boolean {
  const user = [`--reuid=${unusedId}`, `--regid=${unusedId}`, "--clear-groups"];
  return spawnSync("setpriv", [...user, binary, "-v"]).status === 0;
}

/** The packages of package-lock.json that are not for development, each below the project's root. */
async function runtimePackages(): Promise<readonly string[]> {
  const lock = JSON.parse(await readFile(path.join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }>>;
  };
  return Object.entries(lock.packages).flatMap(([at, { dev, devOptional }]) =>
    /^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(at) && dev !== true && devOptional !== true ? [at] : [],
  );
}
