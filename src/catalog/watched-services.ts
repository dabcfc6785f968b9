import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";
import type { ConsulClient } from "./consul-client.ts";
import { serviceKeyString } from "./service-key.ts";
import { ServiceWatch, type ServiceWatchOptions } from "./service-watch.ts";
import type { Slots } from "./slots.ts";
import type { CatalogService, ServiceKey } from "./types.ts";
import type { Witnesses } from "./witnesses.ts";

/** One service that is watched. */
export interface Watched {
  readonly name: string;
  /** `serviceKeyString` of the service. */
  readonly id: string;
  readonly watch: ServiceWatch;
  readonly life: AbortController;
  /** Runs while the lists do not select the name and a second read has not agreed yet. */
  leaving?: AbortController;
}

export interface WatchedServicesOptions {
  readonly client: ConsulClient;
  readonly witnesses: Witnesses;
  readonly settings: Pick<Settings["consul"], "wait">;
  readonly reading: ServiceWatchOptions["reading"];
  /** The service with what is known of it elsewhere; the same object where that is nothing. */
  readonly join: (service: CatalogService) => CatalogService;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
  /** A service has new instances, or its first answer. In the turn in which the answer arrived. */
  readonly onChange: (service: CatalogService, answeredAt: number) => void;
  /** How far a service can be believed has changed. */
  readonly onFreshness: () => void;
  /** A service was answered again after failures. */
  readonly onRecovery: () => void;
  /** As in `BlockingQueryOptions`. */
  readonly silent: () => boolean;
}

/** The watches of the selected services, and what they said last. */
export class WatchedServices {
  private readonly options: WatchedServicesOptions;
  private readonly byName = new Map<string, Watched>();
  private readonly known = new Map<string, CatalogService>();
  private readonly waiting = new Set<string>();

  constructor(options: WatchedServicesOptions) {
    this.options = options;
  }

  get size(): number {
    return this.byName.size;
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  entries(): Iterable<Watched> {
    return this.byName.values();
  }

  /** By `serviceKeyString`. */
  services(): ReadonlyMap<string, CatalogService> {
    return this.known;
  }

  /** Names of those that have not answered since they are watched. */
  unanswered(): ReadonlySet<string> {
    return this.waiting;
  }

  /**
   * Watches one more service.
   *
   * @returns what resolves when the watch has ended
   */
  add(key: ServiceKey, reads: Slots): Promise<void> {
    const { onChange, onFreshness, onRecovery, join, ...common } = this.options;
    const { name } = key;
    const id = serviceKeyString(key);
    const life = new AbortController();
    const watch = new ServiceWatch({
      ...common,
      key,
      reads,
      onRecovery,
      onChange: (service, answeredAt) => {
        if (life.signal.aborted) return;
        this.waiting.delete(name);
        this.known.set(id, join(service));
        onChange(service, answeredAt);
      },
      onFreshness: (service) => {
        if (life.signal.aborted) return;
        this.known.set(id, join(service));
        onFreshness();
      },
    });
    this.byName.set(name, { name, id, watch, life });
    this.waiting.add(name);
    return watch.run(life.signal);
  }

  /** What is known of a service elsewhere has changed. Returns whether it is watched, and has answered. */
  joinAnew(name: string): boolean {
    const entry = this.byName.get(name);
    const service = entry?.watch.service();
    if (entry === undefined || service === undefined) return false;
    this.known.set(entry.id, this.options.join(service));
    return true;
  }

  /** Ends a watch, and what it said with it. */
  forget(entry: Watched): void {
    stop(entry);
    this.byName.delete(entry.name);
    this.waiting.delete(entry.name);
    this.known.delete(entry.id);
  }

  /** Ends all watches; what they said stays. */
  stopAll(): void {
    for (const entry of this.byName.values()) stop(entry);
  }
}

function stop(entry: Watched): void {
  entry.leaving?.abort();
  entry.life.abort();
}
