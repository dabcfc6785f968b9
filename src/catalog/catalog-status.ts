import type { WatchStatus } from "./blocking-query.ts";
import type { Outage } from "./pulse.ts";

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
}
