import type { CatalogSummary, OperatorStatus } from "./admin/server.ts";
import type { CatalogStatus } from "./catalog/catalog-status.ts";
import type { EventLog } from "./reconciler/events.ts";
import type { ReconcilerStatus } from "./reconciler/status.ts";
import { version } from "./version.ts";

const shownEvents = 50;

/** Puts together what the parts say of themselves. */
export function operatorStatus(
  reconciler: ReconcilerStatus,
  catalog: CatalogStatus,
  certificates: Pick<OperatorStatus, "certificates" | "certificatesProblem">,
  events: EventLog,
  startedAt: string,
): OperatorStatus {
  const summary = summarised(catalog);
  const reasons = [
    ...(reconciler.haproxy.up ? [] : ["HAProxy is not running"]),
    ...(catalog.ready ? [] : [`the catalog has not answered yet: ${summary.waitingFor.slice(0, 5).join(", ")}`]),
  ];
  return {
    ready: reasons.length === 0,
    reasons,
    version,
    startedAt,
    reconciler,
    catalog: summary,
    ...certificates,
    events: events.recent(shownEvents),
  };
}

function summarised(catalog: CatalogStatus): CatalogSummary {
  const { outage } = catalog;
  return {
    watches: catalog.watches.length,
    budget: catalog.budget,
    waitingFor: catalog.waitingFor,
    ...(outage === undefined ? {} : { outage: { since: new Date(outage.since).toISOString(), reason: outage.reason } }),
    stale: catalog.watches
      .filter((watch) => watch.stale)
      .map(({ name, reason, lastGoodAt }) => ({
        name,
        reason: reason ?? "unknown",
        since: lastGoodAt === undefined ? "the start" : new Date(lastGoodAt).toISOString(),
      })),
    beyondBudget: catalog.beyondBudget,
    overrides: catalog.overrides,
    datacenters: catalog.datacenters,
    queries: catalog.queries.map(({ name, reason }) => ({ name, ...(reason !== undefined && { reason }) })),
  };
}
