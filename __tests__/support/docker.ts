import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface RunOptions {
  /** Added to the environment of the tests, of which Sluice's own variables are left out. */
  readonly environment?: Readonly<Record<string, string>>;
  /** A command that takes longer is ended and fails. Default: 120,000. */
  readonly limitMs?: number;
}

/** A container as it is now, of `docker inspect`. */
export interface Container {
  readonly id: string;
  /** `sluice-e2e-web-1234_web_1` with docker-compose 1.29, with hyphens with v2. */
  readonly name: string;
  readonly service: string;
  /** As the container itself sees it; by default the first twelve digits of its id. */
  readonly hostname: string;
  /** Its address on the first of its networks; empty where it does not run. */
  readonly address: string;
  readonly running: boolean;
  /** Of its HEALTHCHECK: starting, healthy, unhealthy; undefined where it has none. */
  readonly health: string | undefined;
  readonly exitCode: number;
  /** The host's ports by the container's, `8000/tcp`; only those that are published. */
  readonly published: Readonly<Record<string, number>>;
}

/** Runs `docker` on the engine that DOCKER_HOST names. Rejects with what it printed when it does not end with 0. */
export async function docker(args: readonly string[], options?: RunOptions): Promise<string> {
  return (await run("docker", args, options)).stdout;
}

/** Compose as it is here: docker-compose 1.29, or the plugin of the command line (v2). The words to begin a command with. */
export async function composeCommand(): Promise<readonly string[]> {
  for (const words of [["docker", "compose"], ["docker-compose"]]) {
    const [program = "", ...args] = [...words, "version"];
    if (
      await run(program, args).then(
        () => true,
        () => false,
      )
    ) {
      return words;
    }
  }
  throw new Error("neither docker-compose nor `docker compose` is here; `sh docker/setup-engine.sh` installs one");
}

/** Containers, also those that have ended, by a filter of `docker ps`; sorted by name. */
export async function containers(...filters: readonly string[]): Promise<readonly Container[]> {
  const ids = lines(await docker(["ps", "-aq", "--no-trunc", ...filters.flatMap((filter) => ["--filter", filter])]));
  if (ids.length === 0) return [];
  // One may be removed between the two questions: those that are left are answered for all the same.
  const text = await docker(["inspect", "--type", "container", ...ids]).catch((thrown: unknown) => {
    if (thrown instanceof CommandFailed && thrown.stdout.trim().startsWith("[")) return thrown.stdout;
    throw thrown;
  });
  return (JSON.parse(text) as readonly Inspected[]).map(container).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What is left of a command that did not end with 0. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";

  readonly stdout: string;
  readonly stderr: string;

  constructor(command: string, stdout: string, stderr: string, how: string) {
    super(`${command}: ${how}\n${stderr.trim() === "" ? stdout : stderr}`.trimEnd());
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, in the repository. Rejects with CommandFailed when it does not end with 0. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { environment = {}, limitMs = 120_000 } = options;
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("SLUICE_"));
  const env = { ...Object.fromEntries(kept), ...environment };
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      { cwd: root, env, timeout: limitMs, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) resolve({ stdout, stderr });
        else {
          const how =
            error.killed === true ? `not done after ${limitMs} ms` : `ended with ${error.code ?? error.signal}`;
          reject(new CommandFailed([program, ...args].join(" "), stdout, stderr, how));
        }
      },
    );
  });
}

export function lines(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** What is used of an answer of `GET /containers/{id}/json` (Docker Engine API 1.41). */
interface Inspected {
  readonly Id: string;
  readonly Name: string;
  readonly Config: { readonly Hostname: string; readonly Labels: Readonly<Record<string, string>> | null };
  readonly State: {
    readonly Running: boolean;
    readonly ExitCode: number;
    readonly Health?: { readonly Status: string };
  };
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> | null;
    readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>> | null;
  };
}

function container(found: Inspected): Container {
  const [network] = Object.values(found.NetworkSettings.Networks ?? {});
  const ports = Object.entries(found.NetworkSettings.Ports ?? {});
  return {
    id: found.Id,
    name: found.Name.replace(/^\//, ""),
    service: found.Config.Labels?.["com.docker.compose.service"] ?? "",
    hostname: found.Config.Hostname,
    address: network?.IPAddress ?? "",
    running: found.State.Running,
    health: found.State.Health?.Status,
    exitCode: found.State.ExitCode,
    published: Object.fromEntries(
      ports.flatMap(([port, found]) => (found?.[0] === undefined ? [] : [[port, Number(found[0].HostPort)]])),
    ),
  };
}
