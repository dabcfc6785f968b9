import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Clock } from "../../src/support/clock.ts";
import type { Child } from "./child.ts";
import { openConnection } from "./connection.ts";
import { consulAnswers, startConsul } from "./consul.ts";
import { endLeft } from "./leftovers.ts";
import { startOperator, statsPath } from "./operator.ts";
import { commandHelp, type DemoOptions, parseCommand } from "./options.ts";
import { overview, type Places } from "./overview.ts";
import { Pool } from "./pool.ts";
import { anyPort, findPort } from "./ports.ts";
import { quotesLoad } from "./quotes-load.ts";
import { requests, type Traffic } from "./traffic.ts";

export interface StageOptions extends DemoOptions {
  readonly root: string;
  /** The demo's own directory, which its owner removes. */
  readonly directory: string;
  /** The binaries. */
  readonly haproxy: string;
  readonly consul: string;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly say: (line: string) => void;
}

/** How long Consul, then the whole, may take to come up. A first start on a busy machine is slow. */
const startLimitMs = 60_000;
/** How long instances that joined may take until they answer through HAProxy before the demo says that they do not. */
const joinLimitMs = 15_000;

/** Everything the demo runs: starts it, tells the person what there is, does what is typed, stops it. */
export class Stage {
  private readonly options: StageOptions;
  private consul: Child | undefined;
  private operator: Child | undefined;
  private pool: Pool | undefined;
  private traffic: Traffic | undefined;
  private flowing = false;
  private stopping = false;

  constructor(options: StageOptions) {
    this.options = options;
  }

  /**
   * Runs until `quit` is typed. Throws when a part does not come up, or the signal's reason when that aborts.
   */
  async run(input: NodeJS.ReadStream, signal: AbortSignal): Promise<void> {
    const { clock, say } = this.options;
    const begin = clock.now();
    const places = await this.findPlaces();
    const consulAddress = `http://127.0.0.1:${places.consul}`;
    const pool = await this.start(places, consulAddress, signal);
    const traffic = this.openTraffic(places.traffic);
    await this.untilTrafficFlows(traffic, pool, signal);
    this.flowing = true;
    say(overview({ ...this.options, places, tookMs: clock.now() - begin, instances: pool.serving.length }));
    await this.obey(input, { pool, traffic, places, consulAddress, signal });
  }

  /** Stops all parts, the operator first: it ends HAProxy. Resolves when no process is left. */
  async stop(): Promise<void> {
    this.stopping = true;
    const { clock } = this.options;
    this.traffic?.kill?.();
    await this.operator?.stop("SIGTERM", 10_000, clock);
    await this.pool?.stop();
    await this.consul?.stop("SIGINT", 3_000, clock);
    this.kill();
  }

  /** Ends what is left at once, without waiting. */
  kill(): void {
    this.stopping = true;
    this.traffic?.kill?.();
    this.operator?.kill();
    this.pool?.kill();
    this.consul?.kill();
    endLeft([this.options.haproxy, process.execPath, "python3"], this.options.directory);
  }

  private async findPlaces(): Promise<Places> {
    const taken = new Set<number>();
    const find = async (what: string, wanted: number) => {
      const { port, note } = await findPort(what, wanted, taken);
      if (note !== undefined) this.options.say(note);
      return port;
    };
    return {
      taken,
      traffic: await find("traffic", this.options.trafficPort),
      stats: await find("the stats page", this.options.statsPort),
      consul: await find("Consul", this.options.consulPort),
      consulServer: await anyPort(taken),
      consulSerf: await anyPort(taken),
    };
  }

  /** Starts all parts; resolves when the instances are registered. */
  private async start(places: Places, consulAddress: string, signal: AbortSignal): Promise<Pool> {
    const { options } = this;
    const { clock, env, say } = options;
    const consul = startConsul({
      binary: options.consul,
      root: join(options.directory, "consul"),
      log: join(options.directory, "consul.log"),
      httpPort: places.consul,
      serverPort: places.consulServer,
      serfPort: places.consulSerf,
      env,
    });
    this.consul = consul;
    void consul.ended.then((how) => this.lost(consul, how, "What runs goes on; nothing changes any more. Start anew."));
    // The instances start meanwhile and try until Consul is there, as an application would.
    const { root, directory, world } = options;
    const statsUrl = `http://127.0.0.1:${places.stats}${statsPath}`;
    const { taken } = places;
    const pool = new Pool({ world, root, directory, consulAddress, statsUrl, taken, clock, env, say });
    this.pool = pool;
    const scaled = pool.scaleTo(options.instances);
    if (!(await consulAnswers(consulAddress, consul, { clock, timeoutMs: startLimitMs, signal }))) {
      throw new Error(`Consul does not come up.${quoted(consul)}`);
    }
    this.startOperator(places, consulAddress);
    await unlessAborted(scaled, signal);
    return pool;
  }

  private openTraffic(port: number): Traffic {
    const { world, root, directory, env } = this.options;
    const address = `127.0.0.1:${port}`;
    this.traffic =
      world.asked === "connection"
        ? openConnection({ address, root, env, log: join(directory, "client.log") })
        : requests(`http://${address}${world.asked.path}`, world.asked.name);
    return this.traffic;
  }

  private startOperator(places: Places, consulAddress: string): void {
    const { root, directory, haproxy, env, world } = this.options;
    const operator = startOperator({
      root,
      directory,
      log: join(directory, "operator.log"),
      haproxy,
      consulAddress,
      trafficPort: places.traffic,
      statsPort: places.stats,
      ...(world.isDefault && { defaultService: world.service }),
      env,
    });
    this.operator = operator;
    void operator.ended.then((how) =>
      this.lost(operator, how, 'HAProxy serves on; nothing changes any more. Type "restart" to go on.'),
    );
  }

  /** Says that a part ended without being asked. */
  private lost(child: Child, how: string, consequence: string): void {
    if (this.stopping) return;
    this.options.say(`${child.name} ended unasked (${how}). ${this.flowing ? consequence : ""}${quoted(child)}`);
  }

  private async untilTrafficFlows(traffic: Traffic, pool: Pool, signal: AbortSignal): Promise<void> {
    const { clock } = this.options;
    const deadline = clock.now() + startLimitMs;
    while (clock.now() < deadline) {
      const silent = await traffic.awaitAnswers(pool.serving, { clock, timeoutMs: 500, signal });
      if (silent.length === 0) return;
      if (this.operator?.running === false) throw new Error("the operator ended before traffic flowed");
    }
    throw new Error(`no traffic flows.${this.operator === undefined ? "" : quoted(this.operator)}`);
  }

  private async obey(
    input: NodeJS.ReadStream,
    at: {
      readonly pool: Pool;
      readonly traffic: Traffic;
      readonly places: Places;
      readonly consulAddress: string;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const { say, world } = this.options;
    const lines = createInterface({ input, terminal: false });
    const close = () => lines.close();
    at.signal.addEventListener("abort", close, { once: true });
    try {
      for await (const line of lines) {
        at.signal.throwIfAborted();
        const command = parseCommand(line, world);
        switch (command.kind) {
          case "nothing":
            break;
          case "quit":
            return;
          case "help":
            say(commandHelp(world));
            break;
          case "mistake":
            say(command.message);
            break;
          case "list":
            for (const { name, address, pid, state } of at.pool.list())
              say(`  ${name}  ${address}  pid ${pid}  ${state}`);
            if (at.traffic.summary !== undefined) say(at.traffic.summary());
            break;
          case "load":
            await this.load(command.requests, at);
            break;
          case "restart":
            if (this.operator?.running === true) say("The operator runs.");
            else this.startOperator(at.places, at.consulAddress);
            break;
          case "scale":
            await this.scale(command.instances, at);
            break;
        }
      }
    } finally {
      at.signal.removeEventListener("abort", close);
    }
    at.signal.throwIfAborted();
    // Ctrl-D at the keyboard means quit. The end of a pipe or a file only means that nothing more will be typed.
    if (input.isTTY === true) return;
    await untilAborted(at.signal);
  }

  private async scale(
    count: number,
    { pool, traffic, signal }: { readonly pool: Pool; readonly traffic: Traffic; readonly signal: AbortSignal },
  ): Promise<void> {
    const { clock, say, world } = this.options;
    const { joined, left } = await unlessAborted(pool.scaleTo(count), signal);
    if (left.length > 0) {
      const [leave, end] = left.length === 1 ? ["leaves", "ends"] : ["leave", "end"];
      say(`${left.join(", ")} ${leave}: ${world.leaving}; then ${left.length === 1 ? "it" : "they"} ${end}.`);
    }
    if (joined.length > 0) {
      const begin = clock.now();
      const silent = await traffic.awaitAnswers(joined, { clock, timeoutMs: joinLimitMs, signal });
      if (silent.length === 0) {
        say(
          `${joined.join(", ")} ${joined.length === 1 ? "answers" : "answer"} through HAProxy, ${Math.round(clock.now() - begin)} ms after registering.`,
        );
      } else {
        say(`${silent.join(", ")}: no answer through HAProxy within ${joinLimitMs / 1000} s of registering.`);
      }
    }
    if (joined.length === 0 && left.length === 0) say(`${count} instances run already.`);
    else
      say(`${pool.serving.length} of ${world.service} now: ${pool.serving.join(", ") || "none; HAProxy answers 503"}`);
    if (traffic.summary !== undefined) say(traffic.summary());
  }

  private async load(
    count: number,
    { pool, places, signal }: { readonly pool: Pool; readonly places: Places; readonly signal: AbortSignal },
  ): Promise<void> {
    const { say, world } = this.options;
    if (world.asked === "connection") return;
    say(`${count} requests, 100 a second …`);
    say(await unlessAborted(quotesLoad(places.traffic, world.asked.path, count, pool.serving.length), signal));
  }
}

function quoted(child: Child): string {
  const lines = child.lastLines;
  if (lines.length === 0) return " It printed nothing.";
  return ` Its last lines:\n${lines.map((line) => `  | ${line}`).join("\n")}`;
}

/** The promise's value, or the signal's reason thrown as soon as it aborts. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const waited = new AbortController();
  try {
    return await Promise.race([promise, untilAborted(AbortSignal.any([signal, waited.signal]))]);
  } finally {
    waited.abort();
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
