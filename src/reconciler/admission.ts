import { sectionsByKey } from "../haproxy/config/equality.ts";
import { serverLines } from "../haproxy/config/servers.ts";
import type { Config } from "../haproxy/config/types.ts";
import { allWords, isChecked } from "../haproxy/plan/server-words.ts";
import type { ObservedBackends } from "../haproxy/plan/types.ts";
import type { Backend, LoadBalancer } from "../routing/types.ts";
import type { Clock } from "../support/clock.ts";
import type { EventLog } from "./events.ts";
import type { RuntimePort } from "./ports.ts";

/** How often HAProxy is asked for the first check of joining servers, and how often when it takes long. */
const everyMs = 100;
const slowlyMs = 1_000;
const patienceMs = 10_000;

/**
 * Remembers which servers have been let in, and lets joining ones in after HAProxy's first good check. Joining servers
 * stand in file and process with weight 0 until then.
 *
 * A server that HAProxy's checks know to be down is doubted before a reload: the new worker takes every server for up
 * until it has checked it, which may be after `inter`, and requests would be sent to a dead one for so long. It joins
 * anew, whoever vouches for it.
 */
export class Admission {
  /** By backend. A set is replaced when it changes. */
  readonly admitted = new Map<string, ReadonlySet<string>>();
  /** Those that are down as far as is known, by backend. A set is replaced when it changes. */
  readonly doubted = new Map<string, ReadonlySet<string>>();
  private readonly joining = new Map<string, ReadonlySet<string>>();
  private seen = new WeakSet<Backend>();
  private backends: readonly Backend[] = [];
  private running = false;
  private readonly parts: {
    readonly runtime: RuntimePort;
    readonly clock: Clock;
    readonly events: EventLog;
    readonly onAdmitted: () => void;
  };

  constructor(parts: Admission["parts"]) {
    this.parts = parts;
  }

  /** Servers that wait for their first good check, by backend. */
  waiting(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.joining;
  }

  /** Takes note of what has been applied: who serves now, and who waits. Costs what has changed. */
  follow(loadBalancer: LoadBalancer, config: Config, signal: AbortSignal): void {
    for (const backend of loadBalancer.backends) {
      if (this.seen.has(backend)) continue;
      this.seen.add(backend);
      this.keepDoubted(backend, config);
      const inside = backend.servers.filter((server) => !server.joining).map((server) => server.name);
      this.admit(backend.name, new Set(inside));
      const waiting = backend.servers.filter((server) => server.joining).map((server) => server.name);
      if (waiting.length === 0) this.joining.delete(backend.name);
      else if (hasChecks(config, backend.name)) this.joining.set(backend.name, new Set(waiting));
      else {
        // Nothing will ever vouch for them: a template without checks has decided so.
        this.admit(backend.name, new Set([...inside, ...waiting]));
        this.joining.delete(backend.name);
        this.parts.clock.timer(0, this.parts.onAdmitted);
      }
    }
    if (loadBalancer.backends !== this.backends) {
      this.backends = loadBalancer.backends;
      const names = new Set(loadBalancer.backends.map(({ name }) => name));
      for (const known of [this.admitted, this.joining, this.doubted]) {
        for (const backend of known.keys()) if (!names.has(backend)) known.delete(backend);
      }
    }
    if (this.asked().length > 0 && !this.running && !signal.aborted) {
      this.running = true;
      void this.run(signal).finally(() => {
        this.running = false;
      });
    }
  }

  /** Servers found serving in a process that was adopted, or found well. */
  adopt(backend: string, servers: readonly string[]): void {
    this.admit(backend, new Set([...(this.admitted.get(backend) ?? []), ...servers]));
    const well = new Set(servers);
    this.setDoubted(
      backend,
      [...(this.doubted.get(backend) ?? [])].filter((name) => !well.has(name)),
    );
  }

  /** What a process that was adopted serves already needs no first check any more; what waited in it waits on. */
  found(servers: ObservedBackends): void {
    for (const [backend, rows] of servers) {
      if (this.admitted.has(backend)) continue;
      const serving = rows.filter((row) => row.weight > 0 && !row.maintenance).map((row) => row.name);
      if (serving.length > 0) this.adopt(backend, serving);
      this.doubt(rows.filter((row) => row.weight === 0 && !row.maintenance && row.check !== "passed"));
    }
  }

  /** Servers that are not known to be well: they wait for HAProxy's next good check. Returns whether any is new here. */
  doubt(servers: readonly { readonly backend: string; readonly name: string }[]): boolean {
    const news = servers.filter(({ backend, name }) => this.doubted.get(backend)?.has(name) !== true);
    for (const { backend, name } of news) {
      this.setDoubted(backend, [...(this.doubted.get(backend) ?? []), name]);
      const message = `${backend}/${name} is down as far as HAProxy knows: weight 0 until a check passes`;
      this.parts.events.emit("server-doubted", "info", message, { backend, server: name });
    }
    return news.length > 0;
  }

  /** Doubt ends with the server, and where nothing would ever end it. */
  private keepDoubted({ name, servers }: Backend, config: Config): void {
    const before = this.doubted.get(name);
    if (before === undefined) return;
    const left = hasChecks(config, name) ? servers.filter((server) => before.has(server.name)) : [];
    if (left.length < before.size)
      this.setDoubted(
        name,
        left.map((server) => server.name),
      );
  }

  private setDoubted(backend: string, servers: readonly string[]): void {
    if (servers.length === 0) this.doubted.delete(backend);
    else if (servers.length !== this.doubted.get(backend)?.size) this.doubted.set(backend, new Set(servers));
  }

  /** Backends of servers whose next good check is waited for, sorted. */
  private asked(): readonly string[] {
    return [...new Set([...this.joining.keys(), ...this.doubted.keys()])].sort();
  }

  private waitsFor(backend: string, server: string): boolean {
    return this.joining.get(backend)?.has(server) === true || this.doubted.get(backend)?.has(server) === true;
  }

  private admit(backend: string, servers: ReadonlySet<string>): void {
    const before = this.admitted.get(backend);
    if (before !== undefined && before.size === servers.size && [...servers].every((name) => before.has(name))) return;
    this.admitted.set(backend, servers);
  }

  private async run(signal: AbortSignal): Promise<void> {
    const since = this.parts.clock.now();
    while (!signal.aborted && this.asked().length > 0) {
      const slow = this.parts.clock.now() - since > patienceMs;
      await this.parts.clock.sleep(slow ? slowlyMs : everyMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const { servers } = await this.parts.runtime.observe(this.asked(), signal);
        const good = servers.filter(({ backend, name, check }) => check === "passed" && this.waitsFor(backend, name));
        for (const { backend, name } of good) {
          this.adopt(backend, [name]);
          const left = new Set(this.joining.get(backend));
          left.delete(name);
          if (left.size === 0) this.joining.delete(backend);
          else this.joining.set(backend, left);
          this.parts.events.emit("server-admitted", "info", `${backend}/${name} passed HAProxy's check`, {
            backend,
            server: name,
          });
        }
        if (good.length > 0) this.parts.onAdmitted();
      } catch {
        // HAProxy does not answer: the reconciler deals with that, joining servers wait.
      }
    }
  }
}

function hasChecks(config: Config, backend: string): boolean {
  const section = sectionsByKey(config).get(`backend ${backend}`);
  return section !== undefined && serverLines(section).every((line) => isChecked(allWords(line)));
}
