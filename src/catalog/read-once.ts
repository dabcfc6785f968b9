import type { Settings } from "../settings/schema.ts";
import { type Clock, systemClock } from "../support/clock.ts";
import { toSluiceError } from "../support/errors.ts";
import { type Logger, silentLogger } from "../support/logger.ts";
import { datacenterOf } from "./agent-facts.ts";
import { parseList } from "./answers.ts";
import { plainDeadlineMs } from "./blocking-query.ts";
import { ConsulClient, type ConsulRequest } from "./consul-client.ts";
import { readInstances } from "./health.ts";
import {
  type Expose,
  healthRequest,
  listRequest,
  metaListRequest,
  namesByMeta,
  readList,
  selectNames,
} from "./selection.ts";
import { serviceKeyString } from "./service-key.ts";
import { isOwnFault } from "./service-watch.ts";
import type { CatalogService, ServiceKey, Snapshot } from "./types.ts";

const connections = 6;

/**
 * What Consul says now, read once and without blocking, for the commands that need no watch. Asks for the list, then
 * for each selected service, on a few connections.
 *
 * @throws SluiceError as `ConsulClient.get`; nothing is tried twice. The signal's reason when it aborts
 */
export async function readSnapshotOnce(
  settings: Settings["consul"],
  expose: Expose,
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
    const list = readList((await ask(listRequest)).body);
    const byMeta = expose === "tagged" ? await readByMeta(ask, signal) : new Set<string>();
    const datacenter = settings.datacenter ?? (await datacenterOf(client, logger, signal));
    const names = selectNames(list, byMeta, expose);
    const services = new Map<string, CatalogService>();
    const queue = names.values();
    const worker = async () => {
      for (const name of queue) {
        const key = { datacenter, name };
        services.set(serviceKeyString(key), await readService(ask, key, clock));
      }
    };
    await Promise.all(Array.from({ length: connections }, worker));
    const selected = new Set(names);
    const unselected = [...list.keys()].filter((name) => !selected.has(name));
    return {
      services: new Map(names.flatMap((name) => entryOf(services, serviceKeyString({ datacenter, name })))),
      unselected: new Set(unselected.map((name) => serviceKeyString({ datacenter, name }))),
      unwatched: new Set(),
      departed: new Set(),
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

async function readService(ask: Ask, key: ServiceKey, clock: Clock): Promise<CatalogService> {
  try {
    const { instances } = readInstances((await ask(healthRequest(key.name))).body, key);
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
