import type { WatchStatus } from "./blocking-query.ts";
import type { DatacenterStatus } from "./elsewhere.ts";
import type { OverridesStatus } from "./overrides-watch.ts";
import type { Outage } from "./pulse.ts";
import type { QueryStatus } from "./queries.ts";

/** What the catalog says of itself. */
export interface CatalogStatus {
  /** Whether the list and every selected service have answered once. */
  readonly ready: boolean;
  /** Absent until it is learned. */
  readonly datacenter?: string;
  /** Since when Consul as a whole does not answer, or not rightly, and what is wrong; left out: it answers. */
  readonly outage?: Outage;
  /** The lists first, then the services in the order of their names. */
  readonly watches: readonly WatchStatus[];
  /** Most watches that connections are allowed for. */
  readonly budget: number;
  /** Names of the watches without an answer. */
  readonly waitingFor: readonly string[];
  /** Selected services that are not watched, because the budget is used up. */
  readonly beyondBudget: readonly string[];
  readonly overrides: OverridesStatus;
  /** Other datacenters that are watched, sorted by name. */
  readonly datacenters: readonly DatacenterStatus[];
  /** Prepared queries, sorted by name. */
  readonly queries: readonly QueryStatus[];
}
