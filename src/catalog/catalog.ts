import type { Settings } from "../settings/schema.ts";
import { backoffMs } from "../support/backoff.ts";
import type { Clock } from "../support/clock.ts";
import { SluiceError, toSluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { learnAgentFacts } from "./agent-facts.ts";
import type { WatchStatus } from "./blocking-query.ts";
import { type Budget, shareConnections } from "./budget.ts";
import { ConsulClient } from "./consul-client.ts";
import { ListWatch } from "./list-watch.ts";
import { isDefiniteRefusal } from "./refusal.ts";
import { type Expose, type ServiceList, selectNames } from "./selection.ts";
import { serviceKeyString } from "./service-key.ts";
import { ServiceWatch } from "./service-watch.ts";
import { Slots } from "./slots.ts";
import type { CatalogService, ServiceKey, Snapshot } from "./types.ts";

/** Changes of freshness come in crowds, when Consul goes or returns, and no traffic waits for them. */
const freshnessDelayMs = 25;
/** How soon a name that is to go is asked about again while a second read says otherwise. */
const askAgainMs = 10_000;

export interface ConsulCatalogOptions {
  readonly settings: Settings["consul"];
  readonly expose: Expose;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Source of randomness in [0, 1), for tests. */
  readonly random?: () => number;
}

export interface CatalogStatus {
  /** Whether the list and every selected service have answered once. */
  readonly ready: boolean;
  /** Absent until it is learned. */
  readonly datacenter?: string;
  /** The lists first, then the services in the order of their names. */
  readonly watches: readonly WatchStatus[];
  /** Most watches that connections are allowed for. */
  readonly budget: number;
  /** Names of the watches without an answer. */
  readonly waitingFor: readonly string[];
  /** Selected services that are not watched, because the budget is used up. */
  readonly beyondBudget: readonly string[];
}

interface Watched {
  readonly name: string;
  /** `serviceKeyString` of the service. */
  readonly id: string;
  readonly watch: ServiceWatch;
  readonly life: AbortController;
  /** Runs while the lists do not select the name and a second read has not agreed yet. */
  leaving?: AbortController;
}

/**
 * Consul's catalog as a stream of snapshots: one blocking query on the list of services, one more on those that are
 * exposed by meta, and one per selected service. Satisfies the reconciler's CatalogPort.
 */
export class ConsulCatalog {
  private readonly options: ConsulCatalogOptions;
  private readonly random: () => number;
  private readonly client: ConsulClient;
  private readonly lists: ListWatch;
  private readonly watched = new Map<string, Watched>();
  private readonly services = new Map<string, CatalogService>();
  private readonly listeners = new Set<(snapshot: Snapshot) => void>();
  private readonly unanswered = new Set<string>();
  private readonly tasks = new Set<Promise<void>>();
  private unselected: ReadonlySet<string> = new Set();
  /** Names that a second read found gone, and the list that still had them: a younger one may be right again. */
  private readonly gone = new Map<string, ServiceList>();
  private beyondBudget: readonly string[] = [];
  /** Undefined where it has to be gathered anew. */
  private unwatched: ReadonlySet<string> | undefined;
  private expose: Expose;
  private budget: Budget;
  private reads: Slots;
  private datacenter: string | undefined;
  private selected = false;
  private snapshot: Snapshot | undefined;
  private cancelFreshness: (() => void) | undefined;
  private life: AbortSignal | undefined;

  /** @throws SluiceError ERR_SETTINGS_INVALID (address) or ERR_SETTINGS_UNREADABLE (a TLS file) */
  constructor(options: ConsulCatalogOptions) {
    const { settings, clock, logger } = options;
    this.options = options;
    this.random = options.random ?? Math.random;
    this.expose = options.expose;
    this.budget = shareConnections(settings.connections);
    this.reads = new Slots(this.budget.reads);
    this.client = new ConsulClient({ settings, clock, logger });
    this.lists = new ListWatch({
      client: this.client,
      settings,
      clock,
      logger,
      random: this.random,
      onChange: (answeredAt) => this.select(answeredAt),
    });
  }

  /** Watches until the signal aborts; resolves when every watch has ended. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.life !== undefined) throw new SluiceError("ERR_INTERNAL", "a catalog can be run once only");
    const end = new AbortController();
    this.life = end.signal;
    this.start(this.lists.run(end.signal));
    if (this.expose === "tagged") this.start(this.lists.runMeta(end.signal));
    this.start(this.learn(end.signal));
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    }
    end.abort(signal.reason);
    for (const entry of this.watched.values()) this.stop(entry);
    this.cancelFreshness?.();
    while (this.tasks.size > 0) await Promise.all(this.tasks);
    this.client.close();
  }

  /** The newest snapshot; undefined until the lists and every selected service have answered once. */
  latest(): Snapshot | undefined {
    return this.snapshot;
  }

  /** Called with each newer snapshot, in the turn in which Consul's answer arrived. Returns what unsubscribes. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Reads these services (key strings) anew, past any streaming view. */
  reread(_services: readonly string[]): void {}

  /** Changes which services are selected, at once. */
  setExpose(expose: Expose): void {
    if (expose === this.expose) return;
    this.expose = expose;
    if (this.life === undefined || this.life.aborted) return;
    if (expose === "tagged" && !this.lists.metaRuns()) this.start(this.lists.runMeta(this.life));
    this.select(this.options.clock.now());
  }

  status(): CatalogStatus {
    const services = [...this.watched.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const waiting = this.lists.waitingFor(this.expose);
    return {
      ready: this.snapshot !== undefined,
      ...(this.datacenter === undefined ? {} : { datacenter: this.datacenter }),
      watches: [...this.lists.statuses(), ...services.map(({ watch }) => watch.status())],
      budget: this.budget.watches,
      waitingFor: [...waiting, ...[...this.unanswered].sort()],
      beyondBudget: this.beyondBudget,
    };
  }

  private start(task: Promise<void>): void {
    const kept = task
      .catch((thrown: unknown) => {
        if (!this.life?.aborted) this.options.logger.error({ err: thrown }, "a task of the catalog ended by itself");
      })
      .finally(() => this.tasks.delete(kept));
    this.tasks.add(kept);
  }

  private async learn(signal: AbortSignal): Promise<void> {
    const { settings, clock, logger } = this.options;
    const facts = await learnAgentFacts(this.client, settings, clock, logger, this.random, signal);
    this.datacenter = facts.datacenter;
    this.budget = shareConnections(settings.connections, facts.connectionLimit);
    this.reads = new Slots(this.budget.reads);
    this.select(clock.now());
  }

  /** Compares the services that are to be watched with those that are, and moves to the former. */
  private select(answeredAt: number, lost = false): void {
    const list = this.lists.list();
    const byMeta = this.lists.byMeta(this.expose);
    const { datacenter } = this;
    if (list === undefined || byMeta === undefined || datacenter === undefined || this.life?.aborted !== false) return;

    const names = selectNames(list, byMeta, this.expose);
    const wanted = new Set(names);
    for (const entry of this.watched.values()) {
      if (wanted.has(entry.name)) {
        entry.leaving?.abort();
        delete entry.leaving;
      } else if (entry.leaving === undefined) {
        const leaving = new AbortController();
        entry.leaving = leaving;
        this.start(this.followLeaving(entry, leaving.signal));
      }
    }
    const beyond: string[] = [];
    const most = Math.max(0, this.budget.watches - this.lists.count());
    for (const name of names) {
      if (this.watched.has(name)) continue;
      if (this.watched.size < most) this.watch(name, datacenter);
      else beyond.push(name);
    }
    const moved =
      beyond.length !== this.beyondBudget.length || beyond.some((name, at) => name !== this.beyondBudget[at]);
    this.reportBeyond(beyond, names.length);
    const changed = this.noteUnselected(list, wanted, datacenter) || moved || lost || !this.selected;
    this.selected = true;
    if (changed) this.publish(answeredAt);
  }

  private watch(name: string, datacenter: string): void {
    const { settings, clock, logger } = this.options;
    const key: ServiceKey = { datacenter, name };
    const id = serviceKeyString(key);
    const life = new AbortController();
    const watch = new ServiceWatch({
      key,
      client: this.client,
      reads: this.reads,
      settings,
      clock,
      logger,
      random: this.random,
      onChange: (service, answeredAt) => {
        if (life.signal.aborted) return;
        if (this.unanswered.delete(name)) this.unwatched = undefined;
        this.services.set(id, service);
        this.publish(answeredAt);
      },
      onFreshness: (service) => {
        if (life.signal.aborted) return;
        this.services.set(id, service);
        this.publishSoon();
      },
    });
    this.watched.set(name, { name, id, watch, life });
    this.unanswered.add(name);
    this.unwatched = undefined;
    this.start(watch.run(life.signal));
  }

  private stop(entry: Watched): void {
    entry.leaving?.abort();
    entry.life.abort();
  }

  private forget(entry: Watched): void {
    this.stop(entry);
    this.watched.delete(entry.name);
    this.unanswered.delete(entry.name);
    this.unwatched = undefined;
    this.services.delete(entry.id);
  }

  /**
   * The lists do not select the name: its service goes once a second read agrees that it has no instance, or, while it
   * is listed, that none of its instances is exposed. Never while a list may still fill again.
   */
  private async followLeaving(entry: Watched, signal: AbortSignal): Promise<void> {
    const { clock } = this.options;
    for (let failures = 0; !signal.aborted; ) {
      try {
        for (let leftMs = this.lists.refillLeftMs(); leftMs > 0; leftMs = this.lists.refillLeftMs()) {
          await clock.sleep(leftMs, signal);
        }
        const found = await entry.watch.confirmExposure(this.lists.knowsMeta(), signal);
        signal.throwIfAborted();
        const listed = this.lists.list()?.has(entry.name) === true;
        // An answer that came while this read was under way may tell of a catalog that has to fill again.
        if (this.lists.refillLeftMs() === 0 && (found === "gone" || (found === "not-exposed" && listed))) {
          this.drop(entry, found === "gone");
          return;
        }
        failures = 0;
        await clock.sleep(askAgainMs, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        if (isDefiniteRefusal(toSluiceError(thrown)) && entry.watch.service()?.instances.length === 0) {
          // Consul could never be asked for this name: the list is all there is to go by.
          this.drop(entry, false);
          return;
        }
        const policy = { baseMs: 100, maxMs: askAgainMs };
        await clock.sleep(backoffMs(policy, failures, this.random), signal).catch(() => undefined);
        failures += 1;
      }
    }
  }

  private drop(entry: Watched, gone: boolean): void {
    this.forget(entry);
    const list = this.lists.list();
    if (gone && list?.has(entry.name)) this.gone.set(entry.name, list);
    // Its connection is free for a service beyond the budget.
    this.select(this.options.clock.now(), true);
  }

  private noteUnselected(list: ServiceList, wanted: ReadonlySet<string>, datacenter: string): boolean {
    for (const [name, seen] of this.gone) if (seen !== list || wanted.has(name)) this.gone.delete(name);
    const keys: string[] = [];
    for (const name of list.keys()) {
      if (wanted.has(name) || this.watched.has(name) || this.gone.has(name)) continue;
      keys.push(serviceKeyString({ datacenter, name }));
    }
    if (keys.length === this.unselected.size && keys.every((key) => this.unselected.has(key))) return false;
    this.unselected = new Set(keys);
    return true;
  }

  private reportBeyond(beyond: readonly string[], selected: number): void {
    const before = this.beyondBudget;
    this.beyondBudget = beyond;
    this.unwatched = undefined;
    if (beyond.length === 0 || before.length > 0) return;
    const { watches, source } = this.budget;
    const limit = source === "setting" ? "consul.connections" : "the agent's limits.http_max_conns_per_client";
    this.options.logger.error(
      { code: "ERR_CONSUL_TOO_MANY_WATCHES", selected, watches, beyond: beyond.length, first: beyond.slice(0, 10) },
      `${selected} services are selected and ${limit} allows ${watches} watches: ${beyond.length} services are not balanced. Raise limits.http_max_conns_per_client in the agent's configuration, and consul.connections where it is set`,
    );
  }

  /** Kept between two changes, for it may be long and every answer comes by here. */
  private gatherUnwatched(): ReadonlySet<string> {
    const { datacenter } = this;
    if (datacenter === undefined) return new Set();
    this.unwatched ??= new Set(
      [...this.beyondBudget, ...this.unanswered].map((name) => serviceKeyString({ datacenter, name })),
    );
    return this.unwatched;
  }

  private publishSoon(): void {
    if (this.snapshot === undefined) return;
    this.cancelFreshness ??= this.options.clock.timer(freshnessDelayMs, () => this.publish(this.options.clock.now()));
  }

  private publish(answeredAt: number): void {
    if (!this.selected || (this.snapshot === undefined && this.unanswered.size > 0)) return;
    this.cancelFreshness?.();
    this.cancelFreshness = undefined;
    const snapshot: Snapshot = {
      services: new Map(this.services),
      unselected: this.unselected,
      unwatched: this.gatherUnwatched(),
      departed: new Set(),
      sequence: (this.snapshot?.sequence ?? 0) + 1,
      takenAt: this.options.clock.wall(),
      answeredAt,
    };
    this.snapshot = snapshot;
    for (const listener of this.listeners) {
      try {
        listener(snapshot);
      } catch (thrown) {
        this.options.logger.error({ err: thrown }, "a subscriber of the catalog failed");
      }
    }
  }
}
