import type { CatalogService, Instance, Snapshot } from "../catalog/types.ts";

/** Why an instance is held: its service would have none left, or the catalog as a whole lost too much at once. */
export type HoldCause = "zero" | "mass";

/**
 * An instance that the catalog lost, by no longer listing it or by its node's health alone, and that is kept all the
 * same while it accepts connections. As it was when it was last well.
 */
export interface Hold {
  /** Key string of its service. */
  readonly service: string;
  readonly instance: Instance;
  /** Wall-clock ms at which the catalog lost it. */
  readonly since: number;
  readonly cause: HoldCause;
}

/** An instance that the catalog lost without a word a short while ago (`guard.window`), held or not. */
export interface Loss {
  /** Key string of its service. */
  readonly service: string;
  /** As it was when it was last well. */
  readonly instance: Instance;
  /** Wall-clock ms. */
  readonly since: number;
  /** Listed no more, or critical by its node's checks alone. */
  readonly how: "vanished" | "node-critical";
  /** True once it was let go: it counts for what the window lost, and is not held for this loss again. */
  readonly over?: boolean;
}

/** The services as the rest of the way sees them: what the catalog says, less what the guard does not believe. */
export interface Accepted {
  /** By key string. A service the catalog does not list any more stays, empty, for `services.remember`. */
  readonly services: ReadonlyMap<string, CatalogService>;
  /** What operators wrote, by service name; left out while that is not known. */
  readonly overrides?: NonNullable<Snapshot["overrides"]>;
  /** Wall-clock ms since when a service has had no instance. */
  readonly emptySince: ReadonlyMap<string, number>;
  /** Sorted by service, node, id. */
  readonly holds: readonly Hold[];
  /** What was lost within the window, sorted like the holds. */
  readonly losses: readonly Loss[];
  /** Of the losses, those that would be held if they were known to accept a connection: to be asked. */
  readonly suspects: readonly Loss[];
}

/**
 * Why a hold ended: it was found to answer no more, or an operator said so (`told`); another instance has its place;
 * the catalog lists it again; `guard.holdFor` is over; its node left in good order; its service is not selected.
 */
export type LetGo = "told" | "claimed" | "listed-again" | "time-over" | "node-left" | "unselected";

export interface Release {
  readonly hold: Hold;
  readonly why: LetGo;
}

/** What came of one look at a snapshot. */
export interface Judgement {
  readonly accepted: Accepted;
  /** What was held before and is not any more, sorted like the holds. */
  readonly released: readonly Release[];
}

export interface GuardPolicy {
  /** How far back a loss counts, ms. */
  readonly windowMs: number;
  /** The longest an instance is held, ms. */
  readonly holdForMs: number;
  /** How long a service without instances is remembered, ms. */
  readonly rememberMs: number;
}

/**
 * What is known of held instances and suspects, by `hold key`: true, one accepts connections; false, it is to be let
 * go, because nothing answers there, HAProxy's check finds it dead, or an operator said so.
 */
export type Probes = ReadonlyMap<string, boolean>;

/**
 * What can be withheld from the configuration because HAProxy or the template cannot take it: the instances of a service
 * that have certain tags and meta, or one of them; without `data`, the whole service.
 */
export interface Cell {
  /** Key string of the service. */
  readonly service: string;
  /** `dataDigest` of the instances that are meant. */
  readonly data?: string;
  /** `instanceKey` of the one instance that is meant; left out: all with these data. */
  readonly instance?: string;
}

/** Tags and meta that an instance stands in with, in place of its own. */
export interface Data {
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}

/** What is withheld from the configuration, and why. */
export interface Quarantined extends Cell {
  /** The service's name. */
  readonly name: string;
  /** `<node>/<id>` of those it was found with; empty for a whole service. */
  readonly instances: readonly string[];
  readonly reason: string;
  /** Wall-clock ms. */
  readonly since: number;
  /** What its instances stand in with where nothing better is known; left out: they are left out. */
  readonly good?: Data;
}

/** Services by key string. */
export type Services = ReadonlyMap<string, CatalogService>;
