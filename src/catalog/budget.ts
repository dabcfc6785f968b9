import type { Settings } from "../settings/schema.ts";
import type { Logger } from "../support/logger.ts";

/** Left to all else on this host that talks to the agent, to our own short reads and to the pulse. */
const reserve = 20;
const defaultAgentLimit = 200;
const mostReads = 8;
/** The pulse's connection. */
const pulse = 1;
/** Where the agent has no limit. */
const mostConnections = 10_000;

/** How the connections to Consul are shared out. */
export interface Budget {
  /** Connections that watches may hold, those of the lists included. */
  readonly watches: number;
  /** Short reads at a time, beside the watches. */
  readonly reads: number;
  /** Where the number comes from. */
  readonly source: "setting" | "agent" | "default";
}

/**
 * A blocking query occupies a connection, and an agent takes 200 from one address unless
 * `limits.http_max_conns_per_client` says otherwise (Consul: agent configuration, "limits").
 *
 * @param agentLimit the agent's limit where it may be read; 0 and less: none
 */
export function shareConnections(connections: Settings["consul"]["connections"], agentLimit?: number): Budget {
  if (connections !== "auto") {
    const reads = Math.min(mostReads, Math.max(1, Math.floor(connections / 10)));
    return { watches: Math.max(1, connections - reads - pulse), reads, source: "setting" };
  }
  const limit = agentLimit ?? defaultAgentLimit;
  const source = agentLimit === undefined ? "default" : "agent";
  if (limit <= 0) return { watches: mostConnections, reads: mostReads, source };
  if (limit > 2 * reserve) return { watches: Math.min(mostConnections, limit - reserve), reads: mostReads, source };
  // Too little for the whole reserve: half of it is ours.
  return { watches: Math.max(1, Math.floor(limit / 2)), reads: 1, source };
}

/** Says that there are more services than connections for them. */
export function reportBeyond(logger: Logger, budget: Budget, beyond: readonly string[], selected: number): void {
  const { watches, source } = budget;
  const limit = source === "setting" ? "consul.connections" : "the agent's limits.http_max_conns_per_client";
  logger.error(
    { code: "ERR_CONSUL_TOO_MANY_WATCHES", selected, watches, beyond: beyond.length, first: beyond.slice(0, 10) },
    `${selected} services are selected and ${limit} allows ${watches} watches: ${beyond.length} services are not balanced. Raise limits.http_max_conns_per_client in the agent's configuration, and consul.connections where it is set`,
  );
}
