import type { Settings } from "../settings/schema.ts";
import { backoffMs } from "../support/backoff.ts";
import type { Clock } from "../support/clock.ts";
import { type SluiceError, toSluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { parseDatacenters, parseHealth, parseSelf } from "./answers.ts";
import { plainDeadlineMs } from "./blocking-query.ts";
import type { ConsulClient } from "./consul-client.ts";
import { isDefiniteRefusal, refusalDetails } from "./refusal.ts";

/** What the agent tells about itself. */
export interface AgentFacts {
  readonly datacenter: string;
  /** `limits.http_max_conns_per_client`, where the token may read it. */
  readonly connectionLimit?: number;
}

/** Consul's own default name of a datacenter. */
const lastResort = "dc1";
const triesOnErrors = 5;

/**
 * Learns the datacenter and the limit of connections, for as long as Consul cannot be reached. A token without
 * agent:read is refused the limit; the datacenter is then taken from what Consul lists.
 *
 * @throws the signal's reason when it aborts, nothing else
 */
export async function learnAgentFacts(
  client: ConsulClient,
  settings: Pick<Settings["consul"], "datacenter">,
  clock: Clock,
  logger: Logger,
  random: () => number,
  signal: AbortSignal,
): Promise<AgentFacts> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const answer = await client.get({ path: "/agent/self" }, { signal, deadlineMs: plainDeadlineMs });
      const self = parseSelf(answer.body);
      const limit = self.DebugConfig?.HTTPMaxConnsPerClient;
      return {
        datacenter: settings.datacenter ?? self.Config.Datacenter,
        ...(limit === undefined ? {} : { connectionLimit: limit }),
      };
    } catch (thrown) {
      signal.throwIfAborted();
      const error = toSluiceError(thrown);
      if (isRefused(error) || (error.code !== "ERR_CONSUL_UNREACHABLE" && attempt >= triesOnErrors)) {
        logger.info({ reason: error.message }, "the agent does not tell its limits; going by Consul's defaults");
        return { datacenter: settings.datacenter ?? (await listedDatacenter(client, logger, signal)) };
      }
      await clock.sleep(
        backoffMs({ baseMs: 100, maxMs: client.endpoint.loopback ? 500 : 10_000 }, attempt, random),
        signal,
      );
    }
  }
}

function isRefused(error: SluiceError): boolean {
  return refusalDetails(error).status === 403 || refusalDetails(error).status === 401 || isDefiniteRefusal(error);
}

/**
 * The datacenter of the agent, asked once.
 *
 * @throws SluiceError as `ConsulClient.get` when the agent does not tell; the signal's reason when it aborts
 */
export async function datacenterOf(client: ConsulClient, logger: Logger, signal: AbortSignal): Promise<string> {
  try {
    const answer = await client.get({ path: "/agent/self" }, { signal, deadlineMs: plainDeadlineMs });
    return parseSelf(answer.body).Config.Datacenter;
  } catch (thrown) {
    signal.throwIfAborted();
    if (!isRefused(toSluiceError(thrown))) throw thrown;
    return listedDatacenter(client, logger, signal);
  }
}

async function listedDatacenter(client: ConsulClient, logger: Logger, signal: AbortSignal): Promise<string> {
  const found = await findDatacenter(client, signal);
  if (found === undefined) {
    logger.warn({ datacenter: lastResort }, "the datacenter cannot be learned; set consul.datacenter");
  }
  return found ?? lastResort;
}

async function findDatacenter(client: ConsulClient, signal: AbortSignal): Promise<string | undefined> {
  const limits = { signal, deadlineMs: plainDeadlineMs };
  try {
    const servers = parseHealth((await client.get({ path: "/health/service/consul" }, limits)).body);
    const datacenter = servers[0]?.Node.Datacenter;
    if (datacenter) return datacenter;
  } catch {
    signal.throwIfAborted();
  }
  try {
    // The nearest first, and none is nearer than one's own (Consul API: Catalog, "List datacenters").
    return parseDatacenters((await client.get({ path: "/catalog/datacenters" }, limits)).body)[0];
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
