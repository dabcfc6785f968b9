import { type Container, composeCommand, containers, docker, lines, run } from "./docker.ts";
import { freePort } from "./free-port.ts";

/** What the names of the tests' projects begin with; with the process's id at the end of it a leftover can be told. */
const projectPrefix = "sluice-e2e";
/** Images are there, or are built on the way: a build takes minutes. */
const upLimitMs = 600_000;
/** Of each container's log when a test fails. */
const logLines = 120;

export interface ComposeOptions {
  /** The default stack is always there; with profiles, those of compose.yml. */
  readonly profiles?: readonly string[];
  /** Default: compose.yml. */
  readonly files?: readonly string[];
  /** Variables that compose.yml reads, besides its ports. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** The host's ports that compose.yml publishes, each by the variable it reads. */
const portVariables = {
  http: "SLUICE_HTTP_PORT",
  stats: "SLUICE_STATS_PORT",
  consul: "SLUICE_CONSUL_PORT",
  clusterHttp: "SLUICE_CLUSTER_HTTP_PORT",
  clusterStats: "SLUICE_CLUSTER_STATS_PORT",
  clusterConsul: "SLUICE_CLUSTER_CONSUL_PORT",
} as const;

export type ComposePorts = Readonly<Record<keyof typeof portVariables, number>>;

/**
 * A project of its own of compose.yml, for one test, on ports of its own. What it starts is gone when the body has
 * ended; when that failed, what all containers have said last is printed first.
 *
 * @param name what the test is about, `web`; part of the project's name
 */
export async function withProject(
  name: string,
  options: ComposeOptions,
  body: (project: ComposeProject) => Promise<void>,
): Promise<void> {
  const project = await openProject(name, options);
  try {
    await body(project);
  } catch (thrown) {
    process.stdout.write(`${await project.logs().catch(String)}\n`);
    throw thrown;
  } finally {
    await project.remove();
  }
}

/** The project, with nothing started. The caller has to remove it. */
export async function openProject(name: string, options: ComposeOptions = {}): Promise<ComposeProject> {
  const command = await composeCommand();
  const ports: Record<string, number> = {};
  for (const key of Object.keys(portVariables)) {
    do ports[key] = await freePort();
    while (Object.entries(ports).some(([other, port]) => other !== key && port === ports[key]));
  }
  return new ComposeProject(`${projectPrefix}-${name}-${process.pid}`, command, ports as ComposePorts, options);
}

export class ComposeProject {
  readonly name: string;
  readonly ports: ComposePorts;
  private readonly command: readonly string[];
  private readonly options: ComposeOptions;

  constructor(name: string, command: readonly string[], ports: ComposePorts, options: ComposeOptions) {
    this.name = name;
    this.command = command;
    this.ports = ports;
    this.options = options;
  }

  /** Runs a command of compose for this project, `compose("stop", "operator")`; what it printed on standard output. */
  async compose(...args: readonly string[]): Promise<string> {
    const { files = ["compose.yml"], profiles = [], environment } = this.options;
    const [program = "", ...words] = this.command;
    const all = [
      ...words,
      ...["-p", this.name],
      ...files.flatMap((file) => ["-f", file]),
      ...profiles.flatMap((profile) => ["--profile", profile]),
      ...args,
    ];
    const ports = Object.entries(portVariables).map(([key, variable]) => [
      variable,
      String(this.ports[key as keyof ComposePorts]),
    ]);
    const ran = await run(program, all, {
      environment: { ...Object.fromEntries(ports), ...environment },
      limitMs: upLimitMs,
    });
    return ran.stdout;
  }

  /**
   * `up -d` with `--scale` for each service that is named here. Images that are there are not built anew.
   *
   * @param services only these and what they depend on. Default: all of the profiles
   */
  async up(scale: Readonly<Record<string, number>> = {}, ...services: readonly string[]): Promise<void> {
    const flags = Object.entries(scale).map(([service, count]) => `--scale=${service}=${count}`);
    await this.compose("up", "-d", ...flags, ...services);
  }

  /** `up -d --no-recreate --scale web=5 web`: other services are left as they are. */
  async scale(service: string, count: number): Promise<void> {
    await this.compose("up", "-d", "--no-deps", "--no-recreate", `--scale=${service}=${count}`, service);
  }

  /** The same project, as compose.yml makes it with more variables. */
  with(environment: Readonly<Record<string, string>>): ComposeProject {
    const options = { ...this.options, environment: { ...this.options.environment, ...environment } };
    return new ComposeProject(this.name, this.command, this.ports, options);
  }

  /** The containers of a service, also those that have ended; without a service, of all. */
  containers(service?: string): Promise<readonly Container[]> {
    const filters = [`label=com.docker.compose.project=${this.name}`, "label=com.docker.compose.oneoff=False"];
    return containers(...filters, ...(service === undefined ? [] : [`label=com.docker.compose.service=${service}`]));
  }

  /** Those of a service that run. */
  async running(service: string): Promise<readonly Container[]> {
    return (await this.containers(service)).filter(({ running }) => running);
  }

  /** The one container of a service. Rejects where there is none, or more than one. */
  async container(service: string): Promise<Container> {
    const [one, ...more] = await this.containers(service);
    if (one === undefined || more.length > 0) {
      throw new Error(`${service} has ${one === undefined ? "no container" : `${more.length + 1} containers`}`);
    }
    return one;
  }

  /** Runs a command in the one container of a service; what it printed. */
  async exec(service: string, ...command: readonly string[]): Promise<string> {
    return docker(["exec", (await this.container(service)).id, ...command]);
  }

  /** The last lines of each container, also of those that have ended. */
  async logs(): Promise<string> {
    const parts: string[] = [];
    for (const { id, name, running, exitCode } of await this.containers()) {
      const { stdout, stderr } = await run("docker", ["logs", "--tail", String(logLines), id]);
      parts.push(`--- ${name}${running ? "" : ` (ended with ${exitCode})`}\n${stdout}${stderr}`);
    }
    return parts.join("\n");
  }

  /** What the engine still has of this project: containers, networks and volumes, by name. */
  async leftovers(): Promise<readonly string[]> {
    const filter = ["--filter", `label=com.docker.compose.project=${this.name}`];
    return [
      ...lines(await docker(["ps", "-a", "--format", "{{.Names}}", ...filter])),
      ...lines(await docker(["network", "ls", "--format", "{{.Name}}", ...filter])),
      ...lines(await docker(["volume", "ls", "--format", "{{.Name}}", ...filter])),
    ];
  }

  /** `down -v`, as a user would end it. */
  async down(): Promise<void> {
    await this.compose("down", "-v", "--remove-orphans");
  }

  /** Ends all at once, whatever state it is in. */
  async remove(): Promise<void> {
    const ids = (await this.containers()).map(({ id }) => id);
    if (ids.length > 0) await docker(["rm", "-f", "-v", ...ids]).catch(() => undefined);
    await this.down();
  }
}
