import type { Settings } from "../settings/schema.ts";
import { type Clock, systemClock } from "../support/clock.ts";
import { commaList } from "../support/comma-list.ts";
import { toSluiceError } from "../support/errors.ts";
import { type Logger, silentLogger } from "../support/logger.ts";
import { datacenterOf } from "./agent-facts.ts";
import { parseList } from "./answers.ts";
import { plainDeadlineMs } from "./blocking-query.ts";
import { ConsulClient, type ConsulRequest } from "./consul-client.ts";
import { failoverOf } from "./failover.ts";
import { byIdentity, readInstances } from "./health.ts";
import {
  enabledBy,
  noOverrides,
  type Overrides,
  overridesPath,
  overridesRequest,
  readOverrides,
  seeingAll,
} from "./overrides.ts";
import { queryRequest, readQuery } from "./queries.ts";
import { isTurnedAway } from "./refusal.ts";
import {
  type CatalogSettings,
  healthRequest,
  listRequest,
  metaListRequest,
  namesByMeta,
  readList,
  selectNames,
} from "./selection.ts";
import { serviceKeyString } from "./service-key.ts";
import { isOwnFault } from "./service-watch.ts";
import type { CatalogService, Instance, ServiceKey, Snapshot } from "./types.ts";

const connections = 6;

/**
 * What Consul says now, read once and without blocking, for the commands that need no watch. Asks for the list, then
 * for each selected service, on a few connections.
 *
 * @throws SluiceError as `ConsulClient.get`; nothing is tried twice. The signal's reason when it aborts
 */
export async function readSnapshotOnce(
  settings: Settings["consul"],
  services: CatalogSettings,
  signal: AbortSignal,
  parts: { readonly clock?: Clock; readonly logger?: Logger } = {},
): Promise<Snapshot> {
  const clock = parts.clock ?? systemClock;
  const logger = parts.logger ?? silentLogger;
  const client = new ConsulClient({ settings, clock, logger });
  // When one read fails, those beside it are of no use any more.
  const life = new AbortController();
  const either = AbortSignal.any([signal, life.signal]);
  const ask = (request: ConsulRequest) => client.get(request, { signal: either, deadlineMs: plainDeadlineMs });
  try {
    const list = readList((await ask(listRequest)).body, services.fabioPrefix);
    const byMeta = services.expose === "tagged" ? await readByMeta(ask, signal) : new Set<string>();
    const overrides = await readOverridesOnce(client, services, either);
    const datacenter = settings.datacenter ?? (await datacenterOf(client, logger, signal));
    const names = selectNames(list, byMeta, services.expose, enabledBy(overrides, services.options));
    const found = new Map<string, CatalogService>();
    const queue = names.values();
    const worker = async () => {
      for (const name of queue) {
        const key = { datacenter, name };
        const service = await readService(ask, key, services, clock);
        const override = overrides?.get(name);
        const failover = failoverOf(name, service.instances, override, services, datacenter);
        found.set(serviceKeyString(key), await withElsewhere(ask, service, failover, either));
      }
    };
    await Promise.all(Array.from({ length: connections }, worker));
    const unwatched = new Set<string>();
    const queries = commaList(services.queries).filter((name) => !names.includes(name));
    for (const name of queries) {
      const key = { datacenter, name };
      const service = await readQueryOnce(ask, key, clock, signal);
      if (service === undefined) unwatched.add(serviceKeyString(key));
      else found.set(serviceKeyString(key), service);
    }
    const selected = new Set(names);
    const unselected = [...list.keys()].filter((name) => !selected.has(name));
    return {
      services: new Map(
        [...names, ...queries].flatMap((name) => entryOf(found, serviceKeyString({ datacenter, name }))),
      ),
      unselected: new Set(unselected.map((name) => serviceKeyString({ datacenter, name }))),
      unwatched,
      departed: new Set(),
      ...(overrides !== undefined && { overrides }),
      sequence: 1,
      takenAt: clock.wall(),
      answeredAt: clock.now(),
    };
  } finally {
    life.abort();
    client.close();
  }
}

type Ask = (request: ConsulRequest) => ReturnType<ConsulClient["get"]>;

async function readByMeta(ask: Ask, signal: AbortSignal): Promise<ReadonlySet<string>> {
  try {
    return namesByMeta(parseList((await ask(metaListRequest)).body)) ?? new Set();
  } catch (thrown) {
    signal.throwIfAborted();
    // The plain list was answered a moment ago: the agent does not know the filter.
    if (toSluiceError(thrown).code === "ERR_CONSUL_STATUS") return new Set();
    throw thrown;
  }
}

/** Undefined where they may not be read: those that were accepted before then stay in force. */
async function readOverridesOnce(
  client: ConsulClient,
  services: CatalogSettings,
  signal: AbortSignal,
): Promise<Overrides | undefined> {
  const path = overridesPath(services);
  if (path === undefined) return noOverrides;
  try {
    const answer = await seeingAll(client).get(overridesRequest(path), { signal, deadlineMs: plainDeadlineMs });
    return readOverrides(answer.body, path);
  } catch (thrown) {
    signal.throwIfAborted();
    if (isTurnedAway(toSluiceError(thrown))) return undefined;
    throw thrown;
  }
}

/** Undefined where the query is not answered: nothing is known of what it stands for. */
async function readQueryOnce(
  ask: Ask,
  key: ServiceKey,
  clock: Clock,
  signal: AbortSignal,
): Promise<CatalogService | undefined> {
  try {
    const instances = readQuery((await ask(queryRequest(key.name))).body, key.name, key.datacenter);
    return { key, instances, freshness: { asOf: clock.wall(), stale: false } };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** A datacenter that does not answer has nothing to add. */
async function withElsewhere(
  ask: Ask,
  service: CatalogService,
  failover: readonly string[],
  signal: AbortSignal,
): Promise<CatalogService> {
  if (failover.length === 0) return service;
  const { key } = service;
  const elsewhere: Instance[] = [];
  const unanswered: string[] = [];
  for (const datacenter of failover) {
    try {
      const { body } = await ask({ ...healthRequest(key.name), query: { dc: datacenter } });
      elsewhere.push(...readInstances(body, { ...key, datacenter }, [], { here: key.datacenter }).instances);
    } catch {
      signal.throwIfAborted();
      unanswered.push(datacenter);
    }
  }
  return {
    ...service,
    elsewhere: elsewhere.sort(byIdentity),
    ...(unanswered.length > 0 && { unansweredElsewhere: unanswered.sort() }),
  };
}

async function readService(
  ask: Ask,
  key: ServiceKey,
  services: CatalogSettings,
  clock: Clock,
): Promise<CatalogService> {
  try {
    const { instances } = readInstances((await ask(healthRequest(key.name))).body, key, [], services);
    return { key, instances, freshness: { asOf: clock.wall(), stale: false } };
  } catch (thrown) {
    const error = toSluiceError(thrown);
    if (!isOwnFault(error, key.name)) throw thrown;
    const freshness = { asOf: clock.wall(), stale: true, reason: error.message, unanswered: true };
    return { key, instances: [], freshness };
  }
}

function entryOf(services: ReadonlyMap<string, CatalogService>, id: string): Array<[string, CatalogService]> {
  const service = services.get(id);
  return service === undefined ? [] : [[id, service]];
}
