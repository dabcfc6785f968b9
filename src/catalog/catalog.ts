import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import { SluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { learnAgentFacts } from "./agent-facts.ts";
import { Audit } from "./audit.ts";
import { type Budget, reportBeyond, shareConnections } from "./budget.ts";
import type { CatalogStatus } from "./catalog-status.ts";
import { ConsulClient } from "./consul-client.ts";
import { untilItMayGo } from "./leaving-name.ts";
import { ListWatch } from "./list-watch.ts";
import { OtherPlaces, type Wanted } from "./other-places.ts";
import { enabledBy, type Overrides, overridesPath } from "./overrides.ts";
import { OverridesWatch } from "./overrides-watch.ts";
import { Publisher, type SnapshotParts } from "./publisher.ts";
import { Pulse } from "./pulse.ts";
import { type CatalogSettings, selectNames } from "./selection.ts";
import { serviceKeyString } from "./service-key.ts";
import type { ServiceWatch } from "./service-watch.ts";
import { Slots } from "./slots.ts";
import type { CatalogService, Snapshot } from "./types.ts";
import { Unselected } from "./unselected.ts";
import { type Watched, WatchedServices } from "./watched-services.ts";
import { Witnesses } from "./witnesses.ts";

export interface ConsulCatalogOptions {
  readonly settings: Settings["consul"];
  readonly services: CatalogSettings;
  /** The services that were accepted in an earlier life: of those without an instance it is asked elsewhere. */
  readonly remembered?: Iterable<CatalogService>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Source of randomness in [0, 1), for tests. */
  readonly random?: () => number;
}

/**
 * Consul's catalog as a stream of snapshots: one blocking query on the list of services, one more on those that are
 * exposed by meta, and one per selected service. Satisfies the reconciler's CatalogPort.
 */
export class ConsulCatalog {
  private readonly options: ConsulCatalogOptions;
  private readonly random: () => number;
  private readonly client: ConsulClient;
  private readonly pulseClient: ConsulClient;
  private readonly lists: ListWatch;
  private readonly witnesses: Witnesses;
  private readonly pulse: Pulse;
  private readonly audit: Audit;
  private readonly publisher: Publisher;
  private readonly watched: WatchedServices;
  private readonly overrides: OverridesWatch;
  private readonly places: OtherPlaces;
  private readonly tasks = new Set<Promise<void>>();
  private readonly unselected = new Unselected();
  private beyondBudget: readonly string[] = [];
  private unwatched = { of: this.beyondBudget, waiting: 0, keys: new Set<string>() };
  private services: CatalogSettings;
  /** Names that overrides expose, and the overrides they are of. */
  private enabled: { readonly of: Overrides | undefined; readonly names: ReadonlySet<string> };
  private budget: Budget;
  private reads: Slots;
  private datacenter: string | undefined;
  private selected = false;
  private selecting = false;
  /** While services were selected, more became known of their other places. */
  private joinedMeanwhile = false;
  /** Names that are watched for the sake of other places alone. */
  private kept: ReadonlySet<string> = new Set();
  private life: AbortSignal | undefined;

  /** @throws SluiceError ERR_SETTINGS_INVALID (address) or ERR_SETTINGS_UNREADABLE (a TLS file) */
  constructor(options: ConsulCatalogOptions) {
    const { settings, clock, logger, random = Math.random } = options;
    this.options = options;
    this.random = random;
    this.services = options.services;
    this.enabled = { of: undefined, names: enabledBy(undefined) };
    this.budget = shareConnections(settings.connections);
    this.reads = new Slots(this.budget.reads);
    this.client = new ConsulClient({ settings, clock, logger });
    // Who leads is told without a token.
    this.pulseClient = new ConsulClient({ settings: withoutToken(settings), clock, logger });
    this.lists = new ListWatch({
      client: this.client,
      settings,
      fabioPrefix: () => this.services.fabioPrefix,
      clock,
      logger,
      random,
      onChange: (answeredAt) => this.select(answeredAt),
      onRecovery: () => this.wake(),
      silent: () => this.pulse.silent(),
      onWentBack: () => {
        for (const { watch } of this.watched.entries()) watch.renew();
        this.beginAudit();
      },
    });
    this.witnesses = new Witnesses({ client: this.client, clock, logger });
    this.overrides = new OverridesWatch({
      client: this.client,
      witnesses: this.witnesses,
      settings,
      clock,
      logger,
      random,
      onChange: (answeredAt) => this.select(answeredAt, true),
      onRecovery: () => this.wake(),
      silent: () => this.pulse.silent(),
    });
    this.places = new OtherPlaces({
      client: this.client,
      settings,
      clock,
      logger,
      random,
      silent: () => this.pulse.silent(),
      reads: () => this.reads,
      start: (task) => this.start(task),
      onChange: (name, answeredAt) => this.onOtherPlaces(name, answeredAt),
      ...(options.remembered === undefined ? {} : { remembered: options.remembered }),
    });
    this.watched = new WatchedServices({
      client: this.client,
      witnesses: this.witnesses,
      settings,
      reading: () => this.services,
      join: (service) => this.places.join(service),
      clock,
      logger,
      random,
      onChange: (service, answeredAt) => this.onService(service, answeredAt),
      onFreshness: () => this.publisher.publishSoon(),
      onRecovery: () => this.wake(),
      silent: () => this.pulse.silent(),
    });
    this.publisher = new Publisher(clock, logger, () => this.gather());
    this.pulse = new Pulse({
      client: this.pulseClient,
      clock,
      logger,
      onLost: (reason) => {
        for (const watch of this.watches()) watch.doubt(reason);
      },
      onBack: (survived) => {
        if (!survived) this.client.dropIdle();
        for (const watch of this.watches()) {
          if (survived) this.start(watch.refresh());
          else watch.renew();
        }
        this.beginAudit();
      },
    });
    this.audit = new Audit(clock, () => this.reread([...this.watched.entries()].map(({ id }) => id)));
  }

  /** Watches until the signal aborts; resolves when every watch has ended. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.life !== undefined) throw new SluiceError("ERR_INTERNAL", "a catalog can be run once only");
    const end = new AbortController();
    this.life = end.signal;
    this.start(this.lists.run(end.signal));
    if (this.services.expose === "tagged") this.start(this.lists.runMeta(end.signal));
    this.followOverrides();
    this.start(this.learn(end.signal));
    this.start(this.pulse.run(end.signal));
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    }
    end.abort(signal.reason);
    this.audit.stop();
    this.watched.stopAll();
    this.overrides.stop();
    this.places.stop();
    this.publisher.stop();
    while (this.tasks.size > 0) await Promise.all(this.tasks);
    this.client.close();
    this.pulseClient.close();
  }

  /** The newest snapshot; undefined until the lists and every selected service have answered once. */
  latest(): Snapshot | undefined {
    return this.publisher.latest();
  }

  /** Called with each newer snapshot, in the turn in which Consul's answer arrived. Returns what unsubscribes. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    return this.publisher.subscribe(listener);
  }

  /** As CatalogPort.reread. Who left in good order is looked up too. */
  reread(services: readonly string[]): void {
    const { life } = this;
    if (life === undefined || life.aborted) return;
    const wanted = new Set(services);
    const entries = [...this.watched.entries()].filter(({ id }) => wanted.has(id));
    if (entries.length > 0) this.start(this.readAnew(entries));
  }

  /** Goes by other settings, at once. */
  setServices(services: CatalogSettings): void {
    const before = this.services;
    if (services === before) return;
    this.services = services;
    if (this.life === undefined || this.life.aborted) return;
    if (services.expose === "tagged" && !this.lists.metaRuns()) this.start(this.lists.runMeta(this.life));
    this.followOverrides();
    // What was answered is read another way from here on.
    if (services.fabioPrefix !== before.fabioPrefix) this.lists.renew();
    if (services.zoneMeta !== before.zoneMeta) for (const { watch } of this.watched.entries()) watch.renew();
    this.select(this.options.clock.now(), true);
  }

  status(): CatalogStatus {
    const services = [...this.watched.entries()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const waiting = [...this.lists.waitingFor(this.services.expose), ...this.overridesAwaited()];
    const outage = this.pulse.outage();
    return {
      ready: this.latest() !== undefined,
      ...(this.datacenter === undefined ? {} : { datacenter: this.datacenter }),
      ...(outage === undefined ? {} : { outage }),
      watches: [...this.lists.statuses(), ...this.overrides.statuses(), ...services.map(({ watch }) => watch.status())],
      budget: this.budget.watches,
      waitingFor: [...waiting, ...[...this.watched.unanswered()].sort()],
      beyondBudget: this.beyondBudget,
      overrides: this.overrides.summary(),
      ...this.places.statuses(),
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
    this.start(this.witnesses.begin(facts.datacenter, signal));
    this.datacenter = facts.datacenter;
    this.budget = shareConnections(settings.connections, facts.connectionLimit);
    this.reads = new Slots(this.budget.reads);
    this.select(clock.now());
  }

  /** Compares the services that are to be watched with those that are, and moves to the former. */
  private select(answeredAt: number, lost = false): void {
    const list = this.lists.list();
    const byMeta = this.lists.byMeta(this.services.expose);
    const { datacenter } = this;
    if (list === undefined || byMeta === undefined || datacenter === undefined || this.life?.aborted !== false) return;
    // What operators wrote says whether and how a service may be reached: not without it, where it can be had.
    if (this.overrides.waiting()) return;

    const places = this.wantedElsewhere(datacenter);
    const names = selectNames(list, byMeta, this.services.expose, this.enabledNames());
    const wanted = new Set(names);
    const kept = new Set([...this.places.kept(places)].filter((name) => !wanted.has(name)));
    for (const name of kept) {
      names.push(name);
      wanted.add(name);
    }
    this.kept = kept;
    for (const entry of this.watched.entries()) {
      if (wanted.has(entry.name)) {
        entry.leaving?.abort();
        delete entry.leaving;
      } else if (entry.leaving === undefined) {
        const leaving = new AbortController();
        entry.leaving = leaving;
        this.start(this.letGo(entry, leaving.signal));
      }
    }
    const beyond: string[] = [];
    const most = Math.max(0, this.budget.watches - this.lists.count() - this.overrides.count());
    for (const name of names) {
      if (this.watched.has(name)) continue;
      if (this.watched.size < most) this.start(this.watched.add({ datacenter, name }, this.reads));
      else beyond.push(name);
    }
    const moved =
      beyond.length !== this.beyondBudget.length || beyond.some((name, at) => name !== this.beyondBudget[at]);
    this.selecting = true;
    this.places.follow(wanted, places, most - this.watched.size);
    this.selecting = false;
    this.noteBeyond(beyond, names.length);
    const noted = this.unselected.note(list, wanted, (name) => this.watched.has(name), datacenter);
    const changed = noted || moved || lost || this.joinedMeanwhile || !this.selected;
    this.selected = true;
    this.joinedMeanwhile = false;
    if (changed) this.publisher.publish(answeredAt);
  }

  private onService(service: CatalogService, answeredAt: number): void {
    const { datacenter } = this;
    // Its tags may ask for other datacenters.
    if (datacenter !== undefined && this.places.note(service, this.wantedElsewhere(datacenter))) {
      this.select(answeredAt, true);
    } else this.publisher.publish(answeredAt);
  }

  /** What is known of a service in other places has changed; one that has none there may go where it has none here. */
  private onOtherPlaces(name: string, answeredAt: number): void {
    if (this.life?.aborted !== false) return;
    this.watched.joinAnew(name);
    if (this.selecting) this.joinedMeanwhile = true;
    else if (this.kept.has(name)) this.select(answeredAt, true);
    else this.publisher.publish(answeredAt);
  }

  private wantedElsewhere(here: string): Wanted {
    return { services: this.services, overrides: this.overrides.value(), here };
  }

  private enabledNames(): ReadonlySet<string> {
    const overrides = this.overrides.value();
    if (this.enabled.of !== overrides) this.enabled = { of: overrides, names: enabledBy(overrides) };
    return this.enabled.names;
  }

  private followOverrides(): void {
    const watch = this.overrides.follow(overridesPath(this.services));
    if (watch !== undefined) this.start(watch);
  }

  private overridesAwaited(): readonly string[] {
    return this.overrides.waiting() ? [this.overrides.name()] : [];
  }

  /** The lists do not select the name. */
  private async letGo(entry: Watched, signal: AbortSignal): Promise<void> {
    const { lists, random } = this;
    const end = await untilItMayGo({ ...entry, lists, clock: this.options.clock, random }, signal);
    if (end !== undefined) this.drop(entry, end === "gone");
  }

  private drop(entry: Watched, gone: boolean): void {
    this.watched.forget(entry);
    this.places.forget(entry.name);
    if (gone) this.unselected.found(entry.name, this.lists.list());
    // Its connection is free for a service beyond the budget.
    this.select(this.options.clock.now(), true);
  }

  private noteBeyond(beyond: readonly string[], selected: number): void {
    const first = this.beyondBudget.length === 0 && beyond.length > 0;
    this.beyondBudget = beyond;
    if (first) reportBeyond(this.options.logger, this.budget, beyond, selected);
  }

  /** Kept while it stays the same, for it may be long and every answer comes by here. */
  private gatherUnwatched(): ReadonlySet<string> {
    const { datacenter, beyondBudget, unwatched } = this;
    if (datacenter === undefined) return new Set();
    const waiting = this.watched.unanswered();
    // Names come to those that wait only with a new `beyondBudget`, and go one by one.
    if (unwatched.of === beyondBudget && unwatched.waiting === waiting.size) return unwatched.keys;
    const keys = new Set([...beyondBudget, ...waiting].map((name) => serviceKeyString({ datacenter, name })));
    this.unwatched = { of: beyondBudget, waiting: waiting.size, keys };
    return keys;
  }

  private gather(): SnapshotParts | undefined {
    if (!this.selected || (this.latest() === undefined && this.watched.unanswered().size > 0)) return undefined;
    const overrides = this.overrides.value();
    const services = new Map(this.watched.services());
    let unwatched = this.gatherUnwatched();
    for (const { name, service } of this.places.asked()) {
      const key = serviceKeyString({ datacenter: this.datacenter ?? "", name });
      if (this.watched.has(name)) continue;
      if (service !== undefined) services.set(key, service);
      else unwatched = new Set([...unwatched, key]);
    }
    return {
      services,
      unselected: this.unselected.keys(),
      unwatched,
      departed: this.witnesses.departed(),
      ...(overrides !== undefined && { overrides }),
    };
  }

  private beginAudit(): void {
    if (this.life !== undefined) this.audit.begin(this.life);
  }

  private async readAnew(entries: readonly Watched[]): Promise<void> {
    const reading = entries.map(({ name, watch, life }) =>
      watch.reread(life.signal).catch((thrown: unknown) => {
        // The watch goes on by itself, and says what is wrong with Consul.
        if (!life.signal.aborted) this.options.logger.debug({ err: thrown, service: name }, "a second read failed");
      }),
    );
    await Promise.all([this.witnesses.learnDeparted(), ...reading]);
    const departed = this.witnesses.departed();
    const told = this.latest()?.departed;
    if ([...departed].some((node) => told?.has(node) === false)) this.publisher.publish(this.options.clock.now());
  }

  private *watches(): Iterable<Pick<ServiceWatch, "doubt" | "renew" | "wake" | "refresh">> {
    yield this.lists;
    yield this.overrides;
    yield this.places;
    for (const { watch } of this.watched.entries()) yield watch;
  }

  /** One question was answered again: those that wait after a failure need not wait on. */
  private wake(): void {
    for (const watch of this.watches()) watch.wake();
  }
}

function withoutToken({ token: _token, tokenFile: _file, ...settings }: Settings["consul"]) {
  return settings;
}
