import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { OperatorStatus } from "../../src/admin/server.ts";
import type { ConsulAgent } from "./consul-agent.ts";
import { printLoad } from "./fault-report.ts";
import type { Load, LoadReport } from "./load.ts";
import { eventually, type RunningSluice, type SluiceHome } from "./sluice.ts";
import { answers, type Scene, serversRunning, statusNow } from "./system.ts";
import { registration, type WebInstance } from "./web-instance.ts";

const host = "web.service.local";
/** The first second of a load is its slowest. */
const leastSeconds = 5;

/** Where instances are registered: an agent, or what stands for one. */
export type Registrar = Pick<ConsulAgent, "register" | "deregister">;

/**
 * An operator and HAProxy that follow a Consul with which something is to happen, and clients that ask all the while.
 * The catalog begins with `web` of four instances, which is asked, and with `other` and `more` of two each.
 */
export class ConsulWorld {
  readonly scene: Scene;
  readonly home: SluiceHome;
  readonly sluice: RunningSluice;
  /** All that is registered, by service. */
  readonly members: { readonly service: string; readonly web: WebInstance }[] = [];
  /** What the operator asks. */
  private readonly address: string;
  private readonly startedLoad: { load?: Load } = {};

  private constructor(scene: Scene, home: SluiceHome, address: string) {
    this.address = address;
    this.scene = scene;
    this.home = home;
    this.sluice = scene.run(home);
  }

  /**
   * @param consul who takes the registrations
   * @param address what the operator asks
   * @param settings more than the defaults of a test, as in the settings file
   */
  static async begin(
    scene: Scene,
    consul: Registrar,
    address: string,
    settings: Readonly<Record<string, unknown>> = {},
  ): Promise<ConsulWorld> {
    const world = new ConsulWorld(scene, await scene.home(address, settings), address);
    for (const name of ["web-1", "web-2", "web-3", "web-4"]) await world.join(consul, "web", name);
    for (const service of ["other", "more"]) {
      for (const number of [1, 2]) await world.join(consul, service, `${service}-${number}`);
    }
    for (const service of ["web", "other", "more"]) await answers(world.home, `${service}.service.local`, 60_000);
    await eventually("all servers run", async () => (await serversRunning(world.home)).length === 8, 30_000);
    return world;
  }

  async join(consul: Registrar, service: string, name: string): Promise<WebInstance> {
    const web = await this.scene.instance(name);
    await consul.register(registration(service, web));
    this.members.push({ service, web });
    return web;
  }

  /** Registers all once more, as their agents do with a Consul that has lost them. */
  async registerAgain(consul: Registrar): Promise<void> {
    // An agent tells its servers only what it believes to be news to them.
    const Tags = ["haproxy.enable=true", "again"];
    for (const { service, web } of this.members) await consul.register(registration(service, web, { Tags }));
  }

  /** Sixteen clients that never try again, from now on. */
  load(): Load {
    const load = this.scene.load({
      port: this.home.httpPort,
      keepAlive: 8,
      oneShot: 8,
      headers: { host },
      pauseMs: 2,
    });
    this.startedLoad.load = load;
    return load;
  }

  /**
   * Waits until the clients are served by an instance of `web`.
   *
   * @returns ms since `from`, a `performance.now()`
   */
  async servedBy(name: string, from: number, timeoutMs = 30_000): Promise<number> {
    const { load } = this.startedLoad;
    if (load === undefined) throw new Error("nobody asks");
    const deadline = performance.now() + timeoutMs;
    while (load.report().bodies[name] === undefined) {
      if (performance.now() > deadline) {
        throw new Error(`${name} does not serve within ${timeoutMs} ms\n${await this.whoHasWhat()}\n${this.words()}`);
      }
      await sleep(2);
    }
    return Math.round(performance.now() - from);
  }

  /** Whether the clients have been served by an instance so far. */
  hasServed(name: string): boolean {
    return this.startedLoad.load?.report().bodies[name] !== undefined;
  }

  /** Waits for what `sluice status` says of the catalog. */
  async catalogSays(
    what: string,
    test: (catalog: OperatorStatus["catalog"]) => boolean,
    timeoutMs = 30_000,
  ): Promise<OperatorStatus["catalog"]> {
    let last: OperatorStatus["catalog"] | undefined;
    await eventually(
      what,
      async () => {
        last = (await statusNow(this.home)).catalog;
        return test(last);
      },
      timeoutMs,
    ).catch(async (thrown) => {
      throw new Error(`${String(thrown)}: ${JSON.stringify(last)}\n${await this.whoHasWhat()}\n${this.words()}`);
    });
    if (last === undefined) throw new Error("no status");
    return last;
  }

  /** Waits until nothing is stale. */
  fresh(timeoutMs?: number): Promise<OperatorStatus["catalog"]> {
    return this.catalogSays(
      "all is fresh",
      ({ stale, outage }) => stale.length === 0 && outage === undefined,
      timeoutMs,
    );
  }

  /** Waits until every watch is stale, with since when, and one at least for this reason. */
  allStale(reason: RegExp, timeoutMs?: number): Promise<OperatorStatus["catalog"]> {
    return this.catalogSays(
      `all is stale: ${reason}`,
      ({ stale, watches }) =>
        stale.length === watches &&
        stale.every(({ since }) => Date.parse(since) > 0) &&
        stale.some((one) => reason.test(one.reason)),
      timeoutMs,
    );
  }

  /** Waits until Consul as a whole is said to be away or wrong, and every watch is stale. */
  async outage(reason: RegExp, timeoutMs?: number): Promise<{ readonly since: string; readonly reason: string }> {
    const { outage } = await this.catalogSays(
      `an outage: ${reason}`,
      ({ outage: said, stale, watches }) => said !== undefined && reason.test(said.reason) && stale.length === watches,
      timeoutMs,
    );
    if (outage === undefined) throw new Error("no outage");
    return outage;
  }

  /** Ends the load, once it has lasted for long enough to mean something, and prints its line. */
  async end(scenario: string, ...more: readonly string[]): Promise<LoadReport> {
    const { load } = this.startedLoad;
    if (load === undefined) throw new Error("nobody asks");
    await sleep(Math.max(0, leastSeconds - load.report().seconds) * 1_000);
    const report = await load.stop();
    if (report.failures.length > 0) {
      process.stdout.write(`${JSON.stringify(report.failures.slice(0, 20))}\n${this.words()}\n`);
    }
    printLoad(scenario, report, ...more);
    return report;
  }

  /** The most memory the operator ever had, MiB. */
  async mostMemory(): Promise<number> {
    const status = await readFile(`/proc/${this.sluice.pid}/status`, "utf8");
    return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1_024);
  }

  /** What Consul has of `web`, by a plain read and by its streaming view, and what the operator has of Consul. */
  private async whoHasWhat(): Promise<string> {
    const ask = async (query: string) => {
      const answer = await fetch(`${this.address}/v1/health/service/web?${query}`, {
        signal: AbortSignal.timeout(5_000),
      });
      const ids = (await answer.text()).match(/"ID":\s*"web-[^"]*"/g);
      return `${query}: ${answer.status}, index ${answer.headers.get("x-consul-index")}, ${ids?.join()}`;
    };
    const views = [ask("near=_agent"), ask("index=2&wait=1s")].map((view) => view.catch(String));
    const { catalog } = await statusNow(this.home);
    return [...(await Promise.all(views)), JSON.stringify(catalog)].join("\n");
  }

  /** What the operator logged last, for a test that fails. */
  words(): string {
    const lines = this.sluice.lines().slice(-30);
    return `${lines.map(({ time, level, msg, reason }) => `${time} ${level} ${msg} ${reason ?? ""}`).join("\n")}\n${this.sluice.errors()}`;
  }
}
