import type { ComposeProject } from "./compose.ts";
import type { Container } from "./docker.ts";
import { eventually } from "./sluice.ts";
import { type StatsRow, statsRows } from "./stats-page.ts";
import { ask } from "./system.ts";

export interface PoolOptions {
  /** The service of compose.yml, and of Consul. */
  readonly service: string;
  /** The port its containers register. */
  readonly port: number;
  readonly path?: string;
  /** HAProxy's ports on this host. */
  readonly traffic: number;
  readonly stats: number;
  /** The host name of the container that gave this answer. */
  readonly nameIn: (body: string) => string | undefined;
}

const limitMs = 60_000;

/** The containers of a service, each with an agent of its own, as HAProxy has them. */
export class ComposePool {
  private readonly project: ComposeProject;
  private readonly options: PoolOptions;

  constructor(project: ComposeProject, options: PoolOptions) {
    this.project = project;
    this.options = options;
  }

  running(): Promise<readonly Container[]> {
    return this.project.running(this.options.service);
  }

  /** The names that so many requests one after the other are answered with, each once, sorted; what fails has none. */
  async names(requests: number): Promise<readonly string[]> {
    const { traffic, path = "/", nameIn } = this.options;
    const found = new Set<string>();
    for (let count = 0; count < requests; count += 1) {
      const answer = await ask(traffic, { path }).catch(() => undefined);
      const name = answer?.status === 200 ? nameIn(answer.body) : undefined;
      if (name !== undefined) found.add(name);
    }
    return [...found].sort();
  }

  /** Waits until every container that runs has answered; gives how long that took, ms. */
  async untilAllAnswer(timeoutMs = limitMs): Promise<number> {
    const begin = performance.now();
    const wanted = (await this.running()).map(({ hostname }) => hostname);
    const found = new Set<string>();
    await eventually(
      `all of ${wanted.join(", ")} answer`,
      async () => {
        for (const name of await this.names(wanted.length)) found.add(name);
        return wanted.every((name) => found.has(name));
      },
      timeoutMs,
    );
    return Math.round(performance.now() - begin);
  }

  /** What the stats page calls a container's server. */
  serverOf({ hostname, address }: Container): string {
    return `${hostname}_${address}:${this.options.port}`;
  }

  rows(): Promise<readonly StatsRow[]> {
    return statsRows(this.options.stats, this.options.service);
  }

  /** Waits until the stats page has these containers, no more and no less, each of them up. */
  async untilShown(containers: readonly Container[]): Promise<void> {
    const wanted = containers.map((container) => ({ server: this.serverOf(container), status: "UP" }));
    const text = (rows: readonly StatsRow[]) =>
      rows
        .map(({ server, status }) => `${server} ${status}`)
        .sort()
        .join(", ");
    let rows: readonly StatsRow[] = [];
    await eventually(
      "the stats page has exactly these containers",
      async () => {
        rows = await this.rows();
        return text(rows) === text(wanted);
      },
      limitMs,
    ).catch((thrown: unknown) => {
      throw new Error(`the stats page has ${text(rows)}, wanted ${text(wanted)}`, { cause: thrown });
    });
  }
}
