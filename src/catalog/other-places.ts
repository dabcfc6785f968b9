import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import { commaList } from "../support/comma-list.ts";
import type { Logger } from "../support/logger.ts";
import type { ConsulClient } from "./consul-client.ts";
import { type DatacenterStatus, Elsewhere } from "./elsewhere.ts";
import { failoverOf } from "./failover.ts";
import { byIdentity } from "./health.ts";
import type { Overrides } from "./overrides.ts";
import { Queries, type QueryStatus } from "./queries.ts";
import type { CatalogSettings } from "./selection.ts";
import type { Slots } from "./slots.ts";
import type { CatalogService, Instance, Spoken } from "./types.ts";

export interface OtherPlacesOptions {
  readonly client: ConsulClient;
  readonly settings: Pick<Settings["consul"], "wait">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** As in `BlockingQueryOptions`. */
  readonly silent: () => boolean;
  readonly reads: () => Slots;
  readonly start: (task: Promise<void>) => void;
  /** What is known of a service in other places has changed. */
  readonly onChange: (name: string, answeredAt: number) => void;
  /** The services that were accepted in an earlier life. */
  readonly remembered?: Iterable<CatalogService>;
}

/** What decides where a service is looked for. */
export interface Wanted {
  readonly services: CatalogSettings;
  readonly overrides: Overrides | undefined;
  /** The datacenter we are in. */
  readonly here: string;
}

/** Instances that are not of this datacenter's catalog: those of failover datacenters, and of prepared queries. */
export class OtherPlaces {
  private readonly elsewhere: Elsewhere;
  private readonly queries: Queries;
  /** What the instances of each service said last, for a service that has none now. */
  private readonly said = new Map<string, readonly Spoken[]>();
  /** Failover datacenters by service name, of those that have any. */
  private followed: ReadonlyMap<string, readonly string[]> = new Map();
  /** Services of an earlier life, without an instance here, that have not been looked for yet. */
  private readonly remembered = new Set<string>();

  constructor(options: OtherPlacesOptions) {
    this.elsewhere = new Elsewhere(options);
    this.queries = new Queries(options);
    for (const { key, instances, spoke } of options.remembered ?? []) {
      const { name } = key;
      const said = instances.length > 0 ? instances : spoke;
      if (said !== undefined) this.said.set(name, said);
      if (instances.length === 0) this.remembered.add(name);
    }
  }

  /** The service with what is known of it in other places; the same object where that is nothing. */
  join(service: CatalogService): CatalogService {
    const joined = this.elsewhere.join(service);
    const query = this.queries.service(service.key.name);
    if (query === undefined || query.instances.length === 0) return joined;
    // A query of a service's own name: what it gives of here is listed already.
    const listed = new Set(service.instances.map(nodeAndId));
    const given = query.instances.filter((one) => !listed.has(nodeAndId(one)));
    if (given.length === 0) return joined;
    const others = joined.elsewhere?.filter((one) => !given.some((other) => nodeAndId(other) === nodeAndId(one))) ?? [];
    return { ...joined, elsewhere: [...others, ...given].sort(byIdentity) };
  }

  /**
   * Looks at what the instances of a service say.
   *
   * @returns whether other datacenters are wanted for it than are watched
   */
  note({ key: { name }, instances }: CatalogService, wanted: Wanted): boolean {
    if (instances.length > 0) this.said.set(name, instances);
    const now = this.failover(name, wanted);
    const before = this.followed.get(name) ?? [];
    return now.length !== before.length || now.some((one, index) => one !== before[index]);
  }

  /** Names to be watched although the lists do not have them: they may be served from elsewhere. */
  *kept(wanted: Wanted): Iterable<string> {
    const wants = (name: string) => this.failover(name, wanted).length > 0;
    for (const name of this.followed.keys()) if (this.elsewhere.mayServe(name) && wants(name)) yield name;
    for (const name of this.remembered) if (wants(name)) yield name;
    for (const [name, { options }] of wanted.overrides ?? []) {
      if (options.enable === true && wants(name)) yield name;
    }
  }

  /**
   * Goes by these names from now on.
   *
   * @param most connections that may be held
   */
  follow(names: Iterable<string>, wanted: Wanted, most: number): void {
    const followed = new Map<string, readonly string[]>();
    for (const name of names) {
      const datacenters = this.failover(name, wanted);
      if (datacenters.length > 0) followed.set(name, datacenters);
      this.remembered.delete(name);
    }
    this.followed = followed;
    this.elsewhere.follow(followed, most, wanted.here);
    this.queries.follow(commaList(wanted.services.queries), wanted.here);
  }

  /** What the prepared queries gave, as services; of those without an answer, their names. */
  *asked(): Iterable<{ readonly name: string; readonly service: CatalogService | undefined }> {
    for (const name of this.queries.names()) yield { name, service: this.queries.service(name) };
  }

  /** A service is not watched any more. */
  forget(name: string): void {
    this.said.delete(name);
  }

  stop(): void {
    this.elsewhere.stop();
    this.queries.stop();
  }

  statuses(): { readonly datacenters: readonly DatacenterStatus[]; readonly queries: readonly QueryStatus[] } {
    return { datacenters: this.elsewhere.statuses(), queries: this.queries.statuses() };
  }

  /** As `BlockingQuery.doubt`; the next three as there. */
  doubt(reason: string): void {
    this.elsewhere.doubt(reason);
  }

  renew(): void {
    this.elsewhere.renew();
  }

  wake(): void {
    this.elsewhere.wake();
  }

  refresh(): Promise<void> {
    return this.elsewhere.refresh();
  }

  private failover(name: string, { services, overrides, here }: Wanted): readonly string[] {
    return failoverOf(name, this.said.get(name) ?? nothing, overrides?.get(name), services, here);
  }
}

const nothing: readonly Spoken[] = [];

function nodeAndId({ node, id }: Instance): string {
  return JSON.stringify([node, id]);
}
