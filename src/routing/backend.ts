import type { CatalogService, Instance } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import { canonicalIp } from "../support/ip.ts";
import { safeName, serverId, serverName } from "./names.ts";
import { eligible, panicOf } from "./panic.ts";
import { shown } from "./shown.ts";
import type { Backend, Exclusion, Server } from "./types.ts";
import { carriedValues } from "./values.ts";
import { scaledWeight, wantedWeight, weightFactor } from "./weights.ts";

/** Algorithms that hash something of the request (configuration manual 4.2, `balance`). */
const hashing = /^(source|uri|url_param|hdr|rdp-cookie|hash)\b/;

const nobody: ReadonlySet<string> = new Set();

/** A server, and whether it has yet to show that it works. */
interface Candidate extends Server {
  readonly unproven: boolean;
}

export interface ServiceBackend {
  readonly backend: Backend;
  readonly excluded: readonly Exclusion[];
}

/**
 * The backend of one service: its instances as servers, sorted by name, and what had to be left out.
 *
 * @param admitted names of the servers of this backend that have been let in before
 * @param doubted names of those that HAProxy found down: they wait for its next good check
 */
export function serviceBackend(
  service: CatalogService,
  settings: Settings["services"],
  admitted: ReadonlySet<string>,
  doubted: ReadonlySet<string> = nobody,
): ServiceBackend {
  const excluded: Exclusion[] = [];
  const consistent = hashing.test(settings.balance);
  const factor = weightFactor(service.instances);
  const servers = new Map<string, Candidate>();
  const { panic, problems: unusable } = panicOf(service.instances, settings.panic);
  for (const { instance, reason } of unusable) {
    excluded.push({ ...whose(service, instance), code: "value-unusable", reason });
  }
  for (const instance of eligible(service.instances, panic)) {
    const place = usablePlace(service, instance);
    if (place.kind === "excluded") {
      excluded.push(place.exclusion);
      continue;
    }
    const { tags, meta, problems } = carriedValues(instance);
    for (const reason of problems) {
      excluded.push({ ...whose(service, instance), code: "value-unusable", reason });
    }
    const name = serverName(instance, service.key.name, place.address, instance.port);
    const candidate: Candidate = {
      name,
      address: place.address,
      port: instance.port,
      weight: scaledWeight(wantedWeight(instance), factor),
      ...(consistent && { id: serverId(name) }),
      options: {},
      joining: false,
      instance: { node: instance.node, id: instance.id },
      tags,
      meta,
      unproven: doubted.has(name) || (!admitted.has(name) && mustProve(instance, settings.admit)),
    };
    const known = servers.get(name);
    if (known === undefined || speaksFor(candidate, known)) servers.set(name, candidate);
  }
  const sorted = [...servers.values()].sort((a, b) => order(a.name, b.name));
  return {
    backend: {
      name: safeName(service.key.name),
      sources: [service.key],
      mode: "http",
      balance: settings.balance,
      consistent,
      options: {},
      picks: false,
      servers: gate(withOwnIds(service.key.name, sorted, excluded)),
    },
    excluded,
  };
}

function mustProve(instance: Instance, admit: Settings["services"]["admit"]): boolean {
  if (admit === "auto") return instance.nodeHealthOnly === true;
  return admit === "after-check";
}

/**
 * Two registrations of one label at one address are one server: the one that may serve more speaks for both, among equals
 * the one that is vouched for, then the first by node and id.
 */
function speaksFor(a: Candidate, b: Candidate): boolean {
  if (a.weight !== b.weight) return a.weight > b.weight;
  if (a.unproven !== b.unproven) return b.unproven;
  return (order(a.instance.node, b.instance.node) || order(a.instance.id, b.instance.id)) < 0;
}

/** HAProxy refuses a whole configuration for two servers of one id, so of two whose digests are the same one goes. */
function withOwnIds(service: string, servers: readonly Candidate[], excluded: Exclusion[]): readonly Candidate[] {
  const holders = new Map<number, string>();
  return servers.filter(({ id, name, instance }) => {
    if (id === undefined) return true;
    const holder = holders.get(id);
    if (holder === undefined) {
      holders.set(id, name);
      return true;
    }
    const reason = `its id ${id} for consistent hashing is that of server ${holder}; register it under another ServiceID`;
    excluded.push({ service, instance: `${instance.node}/${instance.id}`, code: "duplicate", reason });
    return false;
  });
}

/**
 * A server nobody vouches for waits with weight 0 for HAProxy's first good check, but only beside another that serves:
 * where there is none, waiting would answer 503 for certain, and a try costs nothing.
 */
function gate(servers: readonly Candidate[]): readonly Server[] {
  const someServe = servers.some((server) => server.weight > 0 && !server.unproven);
  return servers.map(({ unproven, ...server }) =>
    unproven && someServe && server.weight > 0 ? { ...server, weight: 0, joining: true } : server,
  );
}

type Place =
  | { readonly kind: "usable"; readonly address: string }
  | { readonly kind: "excluded"; readonly exclusion: Exclusion };

/** HAProxy never resolves the host name of a server that was added at run time, so an address must be an IP address. */
function usablePlace(service: CatalogService, instance: Instance): Place {
  const of = whose(service, instance);
  const address = canonicalIp(instance.address);
  if (address === undefined || address === "0.0.0.0" || address === "::") {
    const reason = `address ${shown(instance.address)} is not an IP address HAProxy can connect to; register one`;
    return { kind: "excluded", exclusion: { ...of, code: "address-unusable", reason } };
  }
  if (!Number.isInteger(instance.port) || instance.port < 1 || instance.port > 65535) {
    const reason = `port ${instance.port} is not between 1 and 65535; register the port the instance listens on`;
    return { kind: "excluded", exclusion: { ...of, code: "port-unusable", reason } };
  }
  return { kind: "usable", address };
}

function whose(service: CatalogService, { node, id }: Instance) {
  return { service: service.key.name, instance: `${node}/${id}` };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
