import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import { type Logger, silentLogger } from "../support/logger.ts";
import { parseHealth } from "./answers.ts";
import { BlockingQuery, plainDeadlineMs } from "./blocking-query.ts";
import type { ConsulClient, ConsulRequest } from "./consul-client.ts";
import { byIdentity, readInstances, sameInstances } from "./health.ts";
import { healthRequest } from "./selection.ts";
import { SharedLook } from "./shared-look.ts";
import type { CatalogService, Instance } from "./types.ts";

/** One look at a datacenter's own servers serves all services that read empty there at about the same moment. */
const sharedMs = 5_000;

/** How a datacenter that stands in for ours is doing. */
export interface DatacenterStatus {
  readonly datacenter: string;
  /** Services that are watched there. */
  readonly services: number;
  /** Why what is known of it may be old, or is nothing; left out: it answers. */
  readonly reason?: string;
}

export interface ElsewhereOptions {
  readonly client: ConsulClient;
  readonly settings: Pick<Settings["consul"], "wait">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** As in `BlockingQueryOptions`. */
  readonly silent: () => boolean;
  /** Runs a watch; what ends it is its own signal. */
  readonly start: (task: Promise<void>) => void;
  /** What is known of a service elsewhere has changed. */
  readonly onChange: (name: string, answeredAt: number) => void;
}

interface Watch {
  readonly query: BlockingQuery<readonly Instance[]>;
  readonly life: AbortController;
  failed: boolean;
}

interface Datacenter {
  /** By service name. */
  readonly watches: Map<string, Watch>;
  readonly canary: SharedLook<boolean>;
  /** What was said of it last. */
  said?: string;
}

/**
 * Watches services in other datacenters, where they are to stand in for those here. Nothing here waits for them: a
 * datacenter that does not answer, does not exist, or shows nothing to our token costs the failover alone, and is said
 * once. Blocking queries with `?dc=` are forwarded by the servers here (Consul API: Health) and never streamed.
 */
export class Elsewhere {
  private readonly options: ElsewhereOptions;
  private readonly datacenters = new Map<string, Datacenter>();
  private beyond = 0;
  private here = "";
  private readonly life = new AbortController();
  private readonly known = new Map<string, Pick<CatalogService, "elsewhere" | "unansweredElsewhere">>();

  constructor(options: ElsewhereOptions) {
    this.options = options;
  }

  /**
   * Watches these services in these datacenters, and no others.
   *
   * @param wanted datacenters by service name
   * @param most connections that may be held
   * @param here the datacenter we are in
   */
  follow(wanted: ReadonlyMap<string, readonly string[]>, most: number, here: string): void {
    this.here = here;
    for (const [datacenter, { watches }] of this.datacenters) {
      for (const [name, watch] of watches) {
        if (wanted.get(name)?.includes(datacenter)) continue;
        watch.life.abort();
        watches.delete(name);
        this.changed(name);
      }
    }
    let beyond = this.giveBack(this.count() - most);
    for (const [datacenter, { watches }] of this.datacenters) {
      if (watches.size === 0) this.datacenters.delete(datacenter);
    }
    for (const [name, datacenters] of wanted) {
      for (const datacenter of datacenters) {
        if (this.datacenters.get(datacenter)?.watches.has(name)) continue;
        if (this.count() >= most || beyond > 0) beyond += 1;
        else this.watch(name, datacenter);
      }
    }
    if (beyond > 0 && this.beyond === 0) {
      const message = `${beyond} services cannot be watched in other datacenters: no connections to Consul are left (consul.connections, limits.http_max_conns_per_client)`;
      this.options.logger.warn({ code: "ERR_CONSUL_TOO_MANY_WATCHES", beyond }, message);
    }
    this.beyond = beyond;
  }

  stop(): void {
    this.life.abort();
    for (const { watches } of this.datacenters.values()) for (const { life } of watches.values()) life.abort();
  }

  /** The service with what is known of it elsewhere; the same object where nobody asked. */
  join(service: CatalogService): CatalogService {
    const known = this.known.get(service.key.name);
    return known === undefined ? service : { ...service, ...known };
  }

  /** Whether a service may still be served from elsewhere: it has instances there, or nothing was said yet. */
  mayServe(name: string): boolean {
    for (const { watches } of this.datacenters.values()) {
      const watch = watches.get(name);
      if (watch === undefined) continue;
      const instances = watch.query.value();
      if (instances === undefined ? !watch.failed : instances.length > 0) return true;
    }
    return false;
  }

  /** Connections that it holds. */
  count(): number {
    let count = 0;
    for (const { watches } of this.datacenters.values()) count += watches.size;
    return count;
  }

  /** Sorted by datacenter. */
  statuses(): readonly DatacenterStatus[] {
    return [...this.datacenters]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([datacenter, { watches, said }]) => ({
        datacenter,
        services: watches.size,
        ...(said !== undefined && { reason: said }),
      }));
  }

  /** As `BlockingQuery.doubt`; the next three as there. */
  doubt(reason: string): void {
    for (const query of this.queries()) query.doubt(reason);
  }

  renew(): void {
    for (const query of this.queries()) query.renew();
  }

  wake(): void {
    for (const query of this.queries()) query.wake();
  }

  async refresh(): Promise<void> {
    await Promise.all([...this.queries()].map((query) => query.refresh()));
  }

  /** Ends so many watches, whose connections services here need. */
  private giveBack(count: number): number {
    let left = Math.max(0, count);
    for (const { watches } of this.datacenters.values()) {
      for (const [name, { life }] of left > 0 ? [...watches].reverse() : []) {
        if (left === 0) break;
        life.abort();
        watches.delete(name);
        this.changed(name);
        left -= 1;
      }
    }
    return Math.max(0, count) - left;
  }

  private *queries(): Iterable<BlockingQuery<readonly Instance[]>> {
    for (const { watches } of this.datacenters.values()) for (const { query } of watches.values()) yield query;
  }

  private watch(name: string, datacenter: string): void {
    const { client, settings, clock, random, silent, start } = this.options;
    const of = this.datacenters.get(datacenter) ?? this.begin(datacenter);
    const life = new AbortController();
    const key = { datacenter, name };
    const live = () => !life.signal.aborted;
    const query = new BlockingQuery<readonly Instance[]>({
      name: `${name} in ${datacenter}`,
      client,
      clock,
      random,
      // What is wrong with a datacenter is said once, not for each service.
      logger: silentLogger,
      waitMs: settings.wait,
      silent,
      request: requestIn(datacenter, name),
      parse: (body, previous) => readInstances(body, key, previous, { here: this.here }).instances,
      same: sameInstances,
      vanished: (previous, next) => previous.length > 0 && next.length === 0,
      confirm: async () => ((await this.canSee(of)) ? true : blindReason(datacenter)),
      onValue: (instances, { changed, answeredAt }) => {
        if (!live()) return;
        if (instances.length === 0) void this.lookAround(datacenter, of);
        else this.say(datacenter, of, undefined);
        if (changed) this.changed(name, answeredAt);
      },
      onFreshness: () => undefined,
      onFailure: ({ message }) => {
        if (!live()) return;
        watch.failed = true;
        this.say(datacenter, of, message);
      },
    });
    const watch: Watch = { query, life, failed: false };
    of.watches.set(name, watch);
    this.changed(name);
    start(query.run(life.signal));
  }

  private begin(datacenter: string): Datacenter {
    const { client, clock } = this.options;
    const canary = new SharedLook(clock, sharedMs, async (signal) => {
      const answer = await client.get(requestIn(datacenter, "consul"), { signal, deadlineMs: plainDeadlineMs });
      return parseHealth(answer.body).entries.length > 0;
    });
    const of: Datacenter = { watches: new Map(), canary };
    this.datacenters.set(datacenter, of);
    return of;
  }

  private canSee({ canary }: Datacenter): Promise<boolean> {
    return canary.get(this.life.signal);
  }

  /**
   * Nothing is listed there: that may be so, or be what a token sees that is known here alone. Consul takes such a token
   * off the question, and answers as it answers everybody.
   */
  private async lookAround(datacenter: string, of: Datacenter): Promise<void> {
    try {
      this.say(datacenter, of, (await this.canSee(of)) ? undefined : blindReason(datacenter));
    } catch {
      // The watches say what is wrong.
    }
  }

  private say(datacenter: string, of: Datacenter, reason: string | undefined): void {
    if (this.datacenters.get(datacenter) !== of || of.said === reason) return;
    const { logger } = this.options;
    if (reason === undefined) {
      delete of.said;
      logger.info({ datacenter }, `the datacenter ${datacenter} answers`);
      return;
    }
    if (of.said === undefined) {
      logger.warn({ datacenter, reason }, `failover to the datacenter ${datacenter} goes by what was known last`);
    }
    of.said = reason;
  }

  private changed(name: string, answeredAt = this.options.clock.now()): void {
    const elsewhere: Instance[] = [];
    const unanswered: string[] = [];
    let asked = false;
    for (const [datacenter, { watches }] of this.datacenters) {
      const watch = watches.get(name);
      if (watch === undefined) continue;
      asked = true;
      const instances = watch.query.value();
      if (instances === undefined) unanswered.push(datacenter);
      else elsewhere.push(...instances);
    }
    if (asked) {
      this.known.set(name, {
        elsewhere: elsewhere.sort(byIdentity),
        ...(unanswered.length > 0 && { unansweredElsewhere: unanswered.sort() }),
      });
    } else this.known.delete(name);
    this.options.onChange(name, answeredAt);
  }
}

function requestIn(datacenter: string, name: string): ConsulRequest {
  return { ...healthRequest(name), query: { dc: datacenter } };
}

function blindReason(datacenter: string): string {
  return `nothing is to be seen in ${datacenter}, not even Consul's own servers: consul.token must be one of all datacenters, with read on services and nodes there`;
}
