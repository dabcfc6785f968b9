import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import { SluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { learnAgentFacts } from "./agent-facts.ts";
import { Audit } from "./audit.ts";
import { type Budget, shareConnections } from "./budget.ts";
import type { CatalogStatus } from "./catalog-status.ts";
import { ConsulClient } from "./consul-client.ts";
import { ListWatch } from "./list-watch.ts";
import { OtherPlaces } from "./other-places.ts";
import { overridesPath } from "./overrides.ts";
import { OverridesWatch } from "./overrides-watch.ts";
import { Publisher, type SnapshotParts } from "./publisher.ts";
import { Pulse } from "./pulse.ts";
import type { CatalogSettings } from "./selection.ts";
import { serviceKeyString } from "./service-key.ts";
import { ServiceSelection } from "./service-selection.ts";
import type { ServiceWatch } from "./service-watch.ts";
import { Slots } from "./slots.ts";
import type { CatalogService, Snapshot } from "./types.ts";
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
  private readonly selection: ServiceSelection;
  private services: CatalogSettings;
  private budget: Budget;
  private reads: Slots;
  private datacenter: string | undefined;
  private life: AbortSignal | undefined;

  /** @throws SluiceError ERR_SETTINGS_INVALID (address) or ERR_SETTINGS_UNREADABLE (a TLS file) */
  constructor(options: ConsulCatalogOptions) {
    const { settings, clock, logger, random = Math.random } = options;
    this.options = options;
    this.random = random;
    this.services = options.services;
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
      onChange: (name, answeredAt) => {
        if (!this.ended()) this.selection.onOtherPlaces(name, answeredAt);
      },
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
      onChange: (service, answeredAt) => this.selection.onService(service, answeredAt),
      onFreshness: () => this.publisher.publishSoon(),
      onRecovery: () => this.wake(),
      silent: () => this.pulse.silent(),
    });
    const { lists, overrides, places, watched } = this;
    this.selection = new ServiceSelection(
      {
        ...{ lists, overrides, places, watched, clock, logger, random },
        start: (task) => this.start(task),
        publish: (answeredAt) => this.publisher.publish(answeredAt),
      },
      () => ({ services: this.services, datacenter: this.datacenter, budget: this.budget, reads: this.reads }),
    );
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
      beyondBudget: this.selection.beyond(),
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

  private ended(): boolean {
    return this.life?.aborted !== false;
  }

  private select(answeredAt: number, changed = false): void {
    if (!this.ended()) this.selection.select(answeredAt, changed);
  }

  private followOverrides(): void {
    const watch = this.overrides.follow(overridesPath(this.services));
    if (watch !== undefined) this.start(watch);
  }

  private overridesAwaited(): readonly string[] {
    return this.overrides.waiting() ? [this.overrides.name()] : [];
  }

  private gather(): SnapshotParts | undefined {
    const { selection } = this;
    if (!selection.selected() || (this.latest() === undefined && this.watched.unanswered().size > 0)) return undefined;
    const overrides = this.overrides.value();
    const services = new Map(this.watched.services());
    let unwatched = selection.unwatchedKeys();
    for (const { name, service } of this.places.asked()) {
      const key = serviceKeyString({ datacenter: this.datacenter ?? "", name });
      if (this.watched.has(name)) continue;
      if (service !== undefined) services.set(key, service);
      else unwatched = new Set([...unwatched, key]);
    }
    return {
      services,
      unselected: selection.unselectedKeys(),
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
