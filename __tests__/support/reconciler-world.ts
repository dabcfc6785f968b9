import type { Accepted } from "../../src/guard/types.ts";
import { parseConfig, SectionCache } from "../../src/haproxy/config/parse.ts";
import { serverLines } from "../../src/haproxy/config/servers.ts";
import { isPool } from "../../src/haproxy/plan/pools.ts";
import type { Beginning } from "../../src/reconciler/beginning.ts";
import type { Inputs } from "../../src/reconciler/desire.ts";
import { EventLog, type EventType, type SluiceEvent } from "../../src/reconciler/events.ts";
import type { RenderPort, TemplateSource } from "../../src/reconciler/ports.ts";
import { Reconciler } from "../../src/reconciler/reconciler.ts";
import { runningFromFile } from "../../src/reconciler/structure.ts";
import type { Rendered } from "../../src/render/types.ts";
import type { LoadBalancer } from "../../src/routing/types.ts";
import { type Settings, settingsSchema } from "../../src/settings/schema.ts";
import { SluiceError } from "../../src/support/errors.ts";
import { silentLogger } from "../../src/support/logger.ts";
import { FakeCatalog } from "./fake-catalog.ts";
import { FakeHaproxy } from "./fake-haproxy.ts";
import { ManualClock, settled } from "./manual-clock.ts";
import { leadsTo } from "./routes.ts";

const runtimeSocket = "/state/runtime.sock";
export const hostsMap = "/state/maps/hosts.map";

/** Settings with every service exposed and without a wish to be elsewhere. */
export function testSettings(changes: Readonly<Record<string, unknown>> = {}): Settings {
  return settingsSchema.parse({ services: { expose: "all" }, ...changes });
}

/**
 * A template the stub renders. Its text goes into `defaults`, so that any difference but a comment is one of structure;
 * `throw <message>` and `bug <message>` fail while rendering, as a template or as a defect would; with the words
 * `without checks` in it servers have none; with `named` backends come from named defaults. Of a server's meta, `line` is a line of its backend, `option` stands behind
 * its own, and `throw` cannot be rendered.
 */
export function testTemplate(text: string): TemplateSource {
  return { path: "/etc/haproxy.cfg.njk", digest: `digest of ${text}`, sources: { "haproxy.cfg.njk": text } };
}

const stubRender: RenderPort = {
  render(loadBalancer: LoadBalancer, _settings: Settings, template: TemplateSource): Rendered {
    const source = template.sources["haproxy.cfg.njk"] ?? "";
    const [, fault, message] = /^(throw|bug) (.*)/.exec(source) ?? [];
    if (fault === "throw") throw new SluiceError("ERR_TEMPLATE_FAILED", `haproxy.cfg.njk, line 1: ${message}`);
    for (const { name, servers } of loadBalancer.backends) {
      const message = servers.find(({ meta }) => meta["throw"] !== undefined)?.meta["throw"];
      if (message !== undefined) throw new SluiceError("ERR_VALUE_UNSAFE", message, { details: { backend: name } });
    }
    if (fault === "bug") throw new TypeError(message);
    const named = source.includes("named");
    const text = [
      "global",
      `  stats socket ${runtimeSocket} mode 600 level admin expose-fd listeners`,
      named ? "defaults common" : "defaults",
      "  mode http",
      `  ${source}`,
      `  default-server ${source.includes("without checks") ? "" : "check "}inter 10s`,
      "frontend sluice_http",
      "  bind :80",
      `  use_backend %[req.hdr(host),lower,map(${hostsMap})]`,
      ...loadBalancer.backends.flatMap(({ name, balance, servers }) => [
        ...(named ? [`backend ${name} from common`] : [`backend ${name}`, `  balance ${balance}`]),
        ...new Set(servers.flatMap(({ meta }) => (meta["line"] === undefined ? [] : [`  ${meta["line"]}`]))),
        ...servers.map((one) =>
          `  server ${one.name} ${one.address}:${one.port} weight ${one.weight} ${one.meta["option"] ?? ""}`.trimEnd(),
        ),
      ]),
    ];
    const hosts = loadBalancer.routes.map((one) => `${one.host} ${leadsTo(one)}\n`).join("");
    return { text: `${text.join("\n")}\n`, maps: new Map([[hostsMap, hosts]]), assets: new Map(), excluded: [] };
  },
};

export interface WorldOptions {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly template?: string;
}

/** A reconciler with all it talks to, in memory and in its own time. */
export class World {
  readonly clock = new ManualClock();
  /** What process and store were asked, in order. */
  readonly journal: string[] = [];
  readonly haproxy = new FakeHaproxy(this.journal);
  readonly store = this.haproxy.store;
  readonly catalog = new FakeCatalog(this.clock);
  /** Ports at which nobody listens. */
  readonly refusedPorts = new Set<number>();
  /** Ports that give no answer at all. */
  readonly silentPorts = new Set<number>();
  readonly settings: Settings;
  /** The inputs in force, as far as anyone was told. */
  told: Inputs | undefined;
  events: EventLog;
  reconciler: Reconciler;
  private inputs: Inputs;
  private life = new AbortController();
  private ended: Promise<void> = Promise.resolve();

  constructor({ settings = {}, template = "timeout client 60s" }: WorldOptions = {}) {
    this.settings = testSettings(settings);
    this.inputs = { settings: this.settings, template: testTemplate(template) };
    this.events = new EventLog(this.clock, silentLogger);
    this.reconciler = this.build({ inputs: this.inputs, generation: 0, leaving: [] });
  }

  /** Starts the reconciler and lets it do what needs no time. */
  async start(): Promise<void> {
    this.life = new AbortController();
    this.ended = this.reconciler.run(this.life.signal);
    await settled();
  }

  /** Ends the reconciler as the operator does; HAProxy runs on. */
  async stop(): Promise<void> {
    this.life.abort();
    await this.ended;
  }

  /** Another operator on the same state directory, which has not heard of the catalog yet. */
  async startAgain({
    accepted,
    candidate,
  }: {
    readonly accepted?: Accepted | undefined;
    readonly candidate?: TemplateSource;
  } = {}): Promise<void> {
    this.catalog.forget();
    const { config, maps, state } = this.store;
    this.reconciler = this.build({
      inputs: this.inputs,
      ...(candidate !== undefined && { candidate: { ...this.inputs, template: candidate } }),
      ...(config !== undefined && { running: runningFromFile(config, new Map(maps)) }),
      ...(accepted !== undefined && { accepted }),
      ...(this.store.quarantine !== undefined && { quarantine: this.store.quarantine }),
      ...state,
    });
    await this.start();
  }

  offer(template: string): Promise<void> {
    this.reconciler.offer({ settings: this.settings, template: testTemplate(template) });
    return settled();
  }

  publish(...snapshot: Parameters<FakeCatalog["publish"]>): Promise<void> {
    this.catalog.publish(...snapshot);
    return settled();
  }

  advance(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** What was asked since the last call, without reads. */
  asked(): readonly string[] {
    return this.journal.splice(0).filter((entry) => !entry.startsWith("observe"));
  }

  eventsOf(type: EventType): readonly SluiceEvent[] {
    return this.events.recent(500).filter((event) => event.type === type);
  }

  /** The servers of the file on the disk, with their weights, by backend. */
  fileServers(): Readonly<Record<string, Readonly<Record<string, number>>>> {
    const pools = parseConfig(this.store.config ?? "").sections.filter(isPool);
    return Object.fromEntries(
      pools.map((section) => [
        section.name,
        Object.fromEntries(serverLines(section).map(({ name, weight }) => [name, weight])),
      ]),
    );
  }

  /** The same of the process, less what is in maintenance. */
  runningServers(): Readonly<Record<string, Readonly<Record<string, number>>>> {
    return Object.fromEntries(this.haproxy.backends().map((name) => [name, this.haproxy.serving(name) ?? {}]));
  }

  private build(beginning: Beginning): Reconciler {
    this.events = new EventLog(this.clock, silentLogger);
    return new Reconciler(
      {
        catalog: this.catalog,
        runtime: this.haproxy,
        process: this.haproxy,
        store: this.store,
        render: stubRender,
        probe: {
          probe: async (_address, port) => {
            if (this.refusedPorts.has(port)) return "refuses";
            return this.silentPorts.has(port) ? "silent" : "accepts";
          },
        },
        clock: this.clock,
        events: this.events,
        sections: new SectionCache(),
        runtimeSocket,
        onInputs: (inputs) => {
          this.told = inputs;
          this.inputs = inputs;
        },
      },
      beginning,
    );
  }
}

// Three instances, and the names of their servers.
export const a = { id: "a", port: 8001 };
export const b = { id: "b", port: 8002 };
export const c = { id: "c", port: 8003 };
export const A = "a_10.0.0.1:8001";
export const B = "b_10.0.0.1:8002";
export const C = "c_10.0.0.1:8003";

/** A process that serves `web` from `a`, file and all written. */
export async function servingWorld(options?: WorldOptions): Promise<World> {
  const world = new World(options);
  await world.start();
  await world.publish({ web: [a] });
  await world.advance(2_000);
  world.asked();
  return world;
}
