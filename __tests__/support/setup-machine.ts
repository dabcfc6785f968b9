import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the set-up scripts use of an ordinary machine. */
const ordinaryPrograms =
  "cat chmod cksum cmp cp date dirname env find head id mkdir mktemp mv rm sed setsid sh sleep tail tr".split(" ");

/** A machine to try the set-up scripts on: a work tree, a cache, and a PATH with nothing but what a test puts there. */
export interface SetupMachine {
  readonly directory: string;
  readonly tree: string;
  readonly bin: string;
  readonly cache: string;
  /** Puts a shell script there, by default on PATH. */
  program(name: string, body?: string, directory?: string): void;
  /** The lines the programs have written to `<directory>/calls`. */
  calls(): string[];
  environment(env?: Readonly<Record<string, string>>): Record<string, string>;
  /** Runs a script of `docker/` to its end. */
  run(
    script: string,
    argument?: string,
    env?: Readonly<Record<string, string>>,
  ): { readonly status: number | null; readonly stdout: string; readonly stderr: string };
  remove(): void;
}

/** @param scripts the files of `docker/` that are to be in the work tree */
export function setupMachine(scripts: readonly string[]): SetupMachine {
  const directory = mkdtempSync(join(tmpdir(), "sluice-setup-"));
  const tree = join(directory, "tree");
  const bin = join(directory, "bin");
  for (const made of [join(tree, "docker"), bin]) mkdirSync(made, { recursive: true });
  for (const script of scripts) {
    cpSync(fileURLToPath(new URL(`../../docker/${script}`, import.meta.url)), join(tree, "docker", script));
  }
  for (const name of ordinaryPrograms) symlinkSync(realPath(name), join(bin, name));
  const environment = (env: Readonly<Record<string, string>> = {}) => ({
    PATH: bin,
    XDG_CACHE_HOME: join(directory, "cache"),
    SETUP_SEARCH_DIRS: "",
    SETUP_POLICY_PATH: join(directory, "policy-rc.d"),
    ...env,
  });
  return {
    directory,
    tree,
    bin,
    cache: join(directory, "cache", "sluice"),
    program: (name, body = ":", where = bin) => {
      // What stands there may be a link to the real program: writing would go through it.
      rmSync(join(where, name), { force: true });
      writeFileSync(join(where, name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(where, name), 0o755);
    },
    calls: () => readFileSync(join(directory, "calls"), "utf8").trim().split("\n"),
    environment,
    run: (script, argument = "", env = {}) => {
      const args = [join(tree, "docker", script), argument];
      const options = { env: environment(env), encoding: "utf8" } as const;
      const { status, stdout, stderr } = spawnSync(join(bin, "sh"), args, options);
      return { status, stdout, stderr };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function realPath(name: string): string {
  return spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
}
