import type { CatalogService, Instance } from "../catalog/types.ts";
import type { InstanceOptions } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { canonicalIp } from "../support/ip.ts";
import { serverId, serverName } from "./names.ts";
import { eligible, type Panic } from "./panic.ts";
import type { Place } from "./places.ts";
import { serverWords } from "./server-words.ts";
import { shown } from "./shown.ts";
import type { Backend, Exclusion, Server } from "./types.ts";
import { carriedValues } from "./values.ts";
import { scaledWeight, wantedWeight, weightFactor } from "./weights.ts";

/** What HAProxy's checks, and Sluice, have seen of a backend's servers so far. */
export interface Trust {
  /** Names of the servers that have been let in before. */
  readonly admitted: ReadonlySet<string>;
  /** Names of those that HAProxy found down: they wait for its next good check. */
  readonly doubted: ReadonlySet<string>;
}

/** What the servers of a service are made of. */
export interface ServerWishes {
  readonly places: readonly Place[];
  readonly panic: Panic;
  readonly admit: Settings["services"]["admit"];
  /** What holds for an instance's server line, in its normal form. */
  readonly optionsOf: (instance: Instance) => InstanceOptions;
}

/** A server, and whether it has yet to show that it works. */
interface Candidate extends Server {
  readonly unproven: boolean;
}

export interface ServiceServers {
  /** Sorted by name. */
  readonly servers: readonly Server[];
  /** The name of each instance's server. */
  readonly names: ReadonlyMap<Instance, string>;
  readonly excluded: readonly Exclusion[];
}

/** The servers of one backend of a service, and what had to be left out. */
export function serversOf(
  service: CatalogService,
  { places, panic, admit, optionsOf }: ServerWishes,
  { mode, consistent }: Pick<Backend, "mode" | "consistent">,
  { admitted, doubted }: Trust,
): ServiceServers {
  const excluded: Exclusion[] = [];
  const names = new Map<Instance, string>();
  const servers = new Map<string, Candidate>();
  const weightsOf = (instance: Instance) => {
    const { weight } = optionsOf(instance);
    return weight === undefined ? instance.weights : { passing: weight, warning: weight };
  };
  const factor = weightFactor(places.map(({ instance }) => ({ weights: weightsOf(instance) })));
  for (const { place, health } of eligible(places, panic)) {
    const { instance, port, backup } = place;
    const address = usableAddress(place);
    if (typeof address !== "string") {
      excluded.push({ ...whose(service, instance), ...address });
      continue;
    }
    const { tags, meta, problems } = carriedValues(instance);
    for (const reason of problems) excluded.push({ ...whose(service, instance), code: "value-unusable", reason });
    const name = serverName(instance, service.key.name, address, port);
    const candidate: Candidate = {
      name,
      address,
      port,
      weight: scaledWeight(wantedWeight({ health, weights: weightsOf(instance) }), factor),
      ...(consistent && { id: serverId(name) }),
      options: serverWords(optionsOf(instance), mode, backup),
      joining: false,
      instance: { node: instance.node, id: instance.id },
      tags,
      meta,
      unproven: doubted.has(name) || (!admitted.has(name) && mustProve(instance, admit)),
    };
    names.set(instance, name);
    const known = servers.get(name);
    if (known === undefined || speaksFor(candidate, known)) servers.set(name, candidate);
  }
  const sorted = [...servers.values()].sort((a, b) => order(a.name, b.name));
  return { servers: gate(withOwnIds(service.key.name, sorted, excluded)), names, excluded };
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

/** HAProxy never resolves the host name of a server that was added at run time, so an address must be an IP address. */
function usableAddress({ address, port }: Place): string | Pick<Exclusion, "code" | "reason"> {
  const canonical = canonicalIp(address);
  if (canonical === undefined || canonical === "0.0.0.0" || canonical === "::") {
    const reason = `address ${shown(address)} is not an IP address HAProxy can connect to; register one`;
    return { code: "address-unusable", reason };
  }
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    const reason = `port ${port} is not between 1 and 65535; register the port the instance listens on`;
    return { code: "port-unusable", reason };
  }
  return canonical;
}

function whose(service: CatalogService, { node, id }: Instance) {
  return { service: service.key.name, instance: `${node}/${id}` };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
