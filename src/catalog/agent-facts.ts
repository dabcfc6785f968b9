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
/** So often the agent is asked alone; from then on, others that know the datacenter are asked too. */
const patience = 5;

/**
 * Learns the datacenter and the limit of connections, for as long as it takes: a wrong datacenter would make every
 * service another one. An agent that answers, but not this question, is done without where the datacenter is known
 * from elsewhere: the settings, the servers' own entry, or the list of datacenters. Only when all of them are refused
 * is it Consul's default.
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
    let error: SluiceError;
    try {
      return await askAgent(client, settings, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      error = toSluiceError(thrown);
    }
    if (isRefused(error) || (answers(error) && attempt >= patience)) {
      const datacenter = settings.datacenter ?? (await datacenterElsewhere(client, isRefused(error), logger, signal));
      if (datacenter !== undefined) {
        logger.info({ reason: error.message }, "the agent does not tell its limits; going by Consul's defaults");
        return { datacenter };
      }
    }
    if (attempt === patience) {
      logger.warn({ reason: error.message }, "the datacenter is not known yet; asking on. Or set consul.datacenter");
    }
    const longestMs = client.endpoint.loopback && !answers(error) ? 500 : 5_000;
    await clock.sleep(backoffMs({ baseMs: 100, maxMs: longestMs }, attempt, random), signal);
  }
}

async function askAgent(
  client: ConsulClient,
  settings: Pick<Settings["consul"], "datacenter">,
  signal: AbortSignal,
): Promise<AgentFacts> {
  const answer = await client.get({ path: "/agent/self" }, { signal, deadlineMs: plainDeadlineMs });
  const self = parseSelf(answer.body);
  const limit = self.DebugConfig?.HTTPMaxConnsPerClient;
  return {
    datacenter: settings.datacenter ?? self.Config.Datacenter,
    ...(limit === undefined ? {} : { connectionLimit: limit }),
  };
}

/** Whether trying again cannot help: the token or the agent does not allow the question. */
function isRefused(error: SluiceError): boolean {
  const { status } = refusalDetails(error);
  return status === 401 || status === 403 || isDefiniteRefusal(error);
}

/** Whether there is a Consul that could be asked something else. */
function answers(error: SluiceError): boolean {
  return error.code === "ERR_CONSUL_STATUS" || error.code === "ERR_CONSUL_ANSWER_INVALID";
}

async function datacenterElsewhere(
  client: ConsulClient,
  refused: boolean,
  logger: Logger,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const found = await findDatacenter(client, signal);
    return found ?? (refused ? giveUp(logger) : undefined);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/**
 * The datacenter of the agent, asked once.
 *
 * @throws SluiceError as `ConsulClient.get` when the agent does not tell; the signal's reason when it aborts
 */
export async function datacenterOf(client: ConsulClient, logger: Logger, signal: AbortSignal): Promise<string> {
  try {
    return (await askAgent(client, {}, signal)).datacenter;
  } catch (thrown) {
    signal.throwIfAborted();
    if (!isRefused(toSluiceError(thrown))) throw thrown;
    return (await findDatacenter(client, signal)) ?? giveUp(logger);
  }
}

function giveUp(logger: Logger): string {
  logger.warn({ datacenter: lastResort }, "the datacenter cannot be learned; set consul.datacenter");
  return lastResort;
}

/**
 * Asks those that tell the datacenter beside the agent.
 *
 * @returns undefined where all of them refuse, or have nothing to tell
 * @throws SluiceError as `ConsulClient.get` where one of them may tell later; the signal's reason when it aborts
 */
async function findDatacenter(client: ConsulClient, signal: AbortSignal): Promise<string | undefined> {
  const limits = { signal, deadlineMs: plainDeadlineMs };
  const sources = [
    async () => {
      const { entries } = parseHealth((await client.get({ path: "/health/service/consul" }, limits)).body);
      return entries[0]?.Node.Datacenter;
    },
    // The nearest first, and none is nearer than one's own (Consul API: Catalog, "List datacenters").
    async () => parseDatacenters((await client.get({ path: "/catalog/datacenters" }, limits)).body)[0],
  ];
  let later: unknown;
  for (const source of sources) {
    try {
      const datacenter = await source();
      if (datacenter) return datacenter;
    } catch (thrown) {
      signal.throwIfAborted();
      if (!isRefused(toSluiceError(thrown))) later ??= thrown;
    }
  }
  if (later !== undefined) throw later;
  return undefined;
}
