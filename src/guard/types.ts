import type { CatalogService, Instance } from "../catalog/types.ts";

/** An instance the catalog no longer lists and that is kept all the same, because it still accepts connections. */
export interface Hold {
  /** Key string of its service. */
  readonly service: string;
  readonly instance: Instance;
  /** Wall-clock ms at which the catalog lost it. */
  readonly since: number;
}

/** The services as the rest of the way sees them: what the catalog says, less what the guard does not believe. */
export interface Accepted {
  /** By key string. A service the catalog does not list any more stays, empty, for `services.remember`. */
  readonly services: ReadonlyMap<string, CatalogService>;
  /** Wall-clock ms since when a service has had no instance. */
  readonly emptySince: ReadonlyMap<string, number>;
  /** Sorted by service, node, id. */
  readonly holds: readonly Hold[];
}

export interface GuardPolicy {
  /** The longest an instance is held, ms. */
  readonly holdForMs: number;
  /** How long a service without instances is remembered, ms. */
  readonly rememberMs: number;
}

/** What is known of whether a held instance still accepts a connection. Asked by `hold key`. */
export type Probes = ReadonlyMap<string, boolean>;
