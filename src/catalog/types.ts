import type { Options, RouteOptions } from "../settings/options/table.ts";

/** Names a service as Consul tells it apart. Case counts: Consul looks names up case-insensitively, we do not. */
export interface ServiceKey {
  readonly datacenter: string;
  readonly partition?: string;
  readonly namespace?: string;
  readonly peer?: string;
  readonly name: string;
}

export type Health = "passing" | "warning" | "critical" | "maintenance";

/** One instance of a service, normalised: values are parsed and bounded, but still data of strangers. */
export interface Instance {
  /** The Consul node's name; of another datacenter's node `<node>.<datacenter>`. */
  readonly node: string;
  /** ServiceID: unique per node only. */
  readonly id: string;
  readonly service: ServiceKey;
  /** `Service.Address`, or the node's address where that is empty. Any string: routing decides whether it can be used. */
  readonly address: string;
  /** As Consul has it: may be 0, negative, above 65535, or no whole number. */
  readonly port: number;
  /** Sorted. */
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  /** Consul's index at its registration: the smaller, the older. Left out where it is not known. */
  readonly createIndex?: number;
  /** Addresses by name (`lan`, `wan`, `lan_ipv4`…), where it has such. */
  readonly taggedAddresses?: Readonly<Record<string, { readonly address: string; readonly port: number }>>;
  /** Its node's zone, by the node's meta under the setting `services.zoneMeta`; left out where it has none. */
  readonly zone?: string;
  /** Consul's service weights, 0..65535. */
  readonly weights: { readonly passing: number; readonly warning: number };
  /** The worst of all checks, node checks included; no check at all is passing. */
  readonly health: Health;
  /** True when no check of the service itself vouches for it, only the node's. */
  readonly nodeHealthOnly?: boolean;
  /**
   * True when it is critical by its node's checks alone: its own, where it has any, last said that it is well. A node
   * that is cut off from Consul looks so, and may serve all the same.
   */
  readonly nodeCritical?: boolean;
}

/** How far a service's instances can be believed. */
export interface Freshness {
  /**
   * Wall-clock ms of the good answer that brought this object. Answers that repeat it do not renew it, for the object
   * stays the same; the catalog's status has the time of the last answer of all.
   */
  readonly asOf: number;
  /** True while Consul cannot be asked or contradicts itself: the instances are the last good ones. */
  readonly stale: boolean;
  readonly reason?: string;
  /**
   * True where no answer could be used so far: the catalog knows of no instance, and those that are here all the same
   * were accepted earlier. Else left out.
   */
  readonly unanswered?: boolean;
}

export interface CatalogService {
  readonly key: ServiceKey;
  /** Sorted by node, then id. The same object as before when nothing in it changed. */
  readonly instances: readonly Instance[];
  readonly freshness: Freshness;
  /**
   * Instances of the same service elsewhere: of other datacenters, or of a prepared query. They serve where none here
   * can. Sorted like `instances`; left out where nobody asked for any.
   */
  readonly elsewhere?: readonly Instance[];
  /**
   * Datacenters that were asked for instances and have not answered so far: what was accepted of them earlier goes on.
   * Left out where there is none.
   */
  readonly unansweredElsewhere?: readonly string[];
  /**
   * The tags and meta of the instances it had last, one of each kind, where it has none now: its routes stay with them.
   */
  readonly spoke?: readonly Spoken[];
}

/** What an instance said of its service, kept when it is gone. */
export type Spoken = Pick<Instance, "node" | "id" | "tags" | "meta" | "createIndex">;

/** What an operator wrote for a service in Consul's key-value store, as far as it could be read. */
export interface Override {
  readonly options: Options;
  /** Its named routes; left out where it has none. */
  readonly routes?: Readonly<Record<string, RouteOptions>>;
  /** What could not be read, each in words a person understands. */
  readonly problems: readonly string[];
  /** True where nothing of it can be read: what was read of it before stays in force. Else left out. */
  readonly unreadable?: boolean;
  /** The document it was read from, of the options in force; left out where there is none. */
  readonly text?: string;
}

/** Everything that is known of the selected services at one moment. Keyed by `serviceKeyString`. */
export interface Snapshot {
  readonly services: ReadonlyMap<string, CatalogService>;
  /**
   * Key strings of the services that the catalog lists and that are not selected. A service that is neither here nor
   * in `services` nor in `unwatched` is one the catalog does not list at all.
   */
  readonly unselected: ReadonlySet<string>;
  /**
   * Key strings of the selected services of which nothing is known: those beyond the connection budget, and those that
   * have not answered since they are watched.
   */
  readonly unwatched: ReadonlySet<string>;
  /** Names of nodes that are known to have left in good order: what stood on them is gone, however suddenly. */
  readonly departed: ReadonlySet<string>;
  /**
   * By service name. The same object while nothing in it changed; left out while it is not known whether there are any:
   * those that were accepted earlier then stay in force.
   */
  readonly overrides?: ReadonlyMap<string, Override>;
  /** Grows by one with each snapshot of a catalog. */
  readonly sequence: number;
  /** Wall-clock ms. */
  readonly takenAt: number;
  /** Monotonic ms (`Clock.now`) at which Consul's answer that led to this snapshot had arrived. */
  readonly answeredAt: number;
}
