import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Clock } from "../../src/support/clock.ts";
import type { Child } from "./child.ts";
import { consulAnswers, startConsul } from "./consul.ts";
import { endLeftHaproxies } from "./leftovers.ts";
import { startOperator, statsPassword, statsPath, statsUser } from "./operator.ts";
import { commandHelp, type DemoOptions, parseCommand } from "./options.ts";
import { Pool } from "./pool.ts";
import { anyPort, findPort } from "./ports.ts";
import { awaitAnswers } from "./traffic.ts";

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

interface Places {
  readonly traffic: number;
  readonly stats: number;
  readonly consul: number;
  readonly consulServer: number;
  readonly consulSerf: number;
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
    const url = `http://127.0.0.1:${places.traffic}/`;
    await this.untilTrafficFlows(url, pool, signal);
    this.flowing = true;
    say(this.overview(places, clock.now() - begin, pool.serving.length));
    await this.obey(input, { pool, url, places, consulAddress, signal });
  }

  /** Stops all parts, the operator first: it ends HAProxy. Resolves when no process is left. */
  async stop(): Promise<void> {
    this.stopping = true;
    const { clock } = this.options;
    await this.operator?.stop("SIGTERM", 10_000, clock);
    await this.pool?.stop();
    await this.consul?.stop("SIGINT", 3_000, clock);
    this.kill();
  }

  /** Ends what is left at once, without waiting. */
  kill(): void {
    this.stopping = true;
    this.operator?.kill();
    this.pool?.kill();
    this.consul?.kill();
    endLeftHaproxies(this.options.haproxy, this.options.directory);
  }

  private async findPlaces(): Promise<Places> {
    const taken = new Set<number>();
    const find = async (what: string, wanted: number) => {
      const { port, note } = await findPort(what, wanted, taken);
      if (note !== undefined) this.options.say(note);
      return port;
    };
    return {
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
    const pool = new Pool({ clock, consulAddress, env, say });
    this.pool = pool;
    const scaled = pool.scaleTo(options.instances);
    if (!(await consulAnswers(consulAddress, consul, { clock, timeoutMs: startLimitMs, signal }))) {
      throw new Error(`Consul does not come up.${quoted(consul)}`);
    }
    this.startOperator(places, consulAddress);
    await unlessAborted(scaled, signal);
    return pool;
  }

  private startOperator(places: Places, consulAddress: string): void {
    const { root, directory, haproxy, env } = this.options;
    const operator = startOperator({
      root,
      directory,
      log: join(directory, "operator.log"),
      haproxy,
      consulAddress,
      trafficPort: places.traffic,
      statsPort: places.stats,
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

  private async untilTrafficFlows(url: string, pool: Pool, signal: AbortSignal): Promise<void> {
    const { clock } = this.options;
    const deadline = clock.now() + startLimitMs;
    while (clock.now() < deadline) {
      const silent = await awaitAnswers(url, pool.serving, { clock, timeoutMs: 500, signal });
      if (silent.length === 0) return;
      if (this.operator?.running === false) throw new Error("the operator ended before traffic flowed");
    }
    throw new Error(`no traffic flows at ${url}.${this.operator === undefined ? "" : quoted(this.operator)}`);
  }

  private overview(places: Places, tookMs: number, instances: number): string {
    const { directory } = this.options;
    const http = (port: number) => `http://localhost${port === 80 ? "" : `:${port}`}`;
    return `
Traffic flows: ${instances} of ${instances} instances of "web" answer, ${(tookMs / 1000).toFixed(1)} s after the start.

  Traffic     ${http(places.traffic)}/
  Stats page  ${http(places.stats)}${statsPath}   user ${statsUser}, password ${statsPassword}
  Consul UI   ${http(places.consul)}/ui
  haproxy.cfg ${join(directory, "state", "haproxy.cfg")}
  Logs        ${join(directory, "operator.log")}

Type:
${commandHelp}
`;
  }

  private async obey(
    input: NodeJS.ReadStream,
    at: {
      readonly pool: Pool;
      readonly url: string;
      readonly places: Places;
      readonly consulAddress: string;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const { say } = this.options;
    const lines = createInterface({ input, terminal: false });
    const close = () => lines.close();
    at.signal.addEventListener("abort", close, { once: true });
    try {
      for await (const line of lines) {
        at.signal.throwIfAborted();
        const command = parseCommand(line);
        switch (command.kind) {
          case "nothing":
            break;
          case "quit":
            return;
          case "help":
            say(commandHelp);
            break;
          case "mistake":
            say(command.message);
            break;
          case "list":
            for (const { name, address, pid, state } of at.pool.list())
              say(`  ${name}  ${address}  pid ${pid}  ${state}`);
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
    { pool, url, signal }: { readonly pool: Pool; readonly url: string; readonly signal: AbortSignal },
  ): Promise<void> {
    const { clock, say } = this.options;
    const { joined, left } = await unlessAborted(pool.scaleTo(count), signal);
    if (left.length > 0) {
      const [leave, answer] = left.length === 1 ? ["leaves", "answers"] : ["leave", "answer"];
      say(
        `${left.join(", ")} ${leave}: deregistered from Consul, ${answer} for a few seconds more, then ${left.length === 1 ? "ends" : "end"}.`,
      );
    }
    if (joined.length > 0) {
      const begin = clock.now();
      const silent = await awaitAnswers(url, joined, { clock, timeoutMs: joinLimitMs, signal });
      if (silent.length === 0) {
        say(
          `${joined.join(", ")} ${joined.length === 1 ? "answers" : "answer"} through HAProxy, ${Math.round(clock.now() - begin)} ms after registering.`,
        );
      } else {
        say(`${silent.join(", ")}: no answer through HAProxy within ${joinLimitMs / 1000} s of registering.`);
      }
    }
    if (joined.length === 0 && left.length === 0) say(`${count} instances run already.`);
    else say(`${pool.serving.length} of web now: ${pool.serving.join(", ") || "none; HAProxy answers 503"}`);
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
