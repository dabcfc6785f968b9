import { type HealthEntry, invalidShape, parseHealth } from "./answers.ts";
import { readIndex, readTaggedAddresses, readZone, sameAddresses } from "./instance-facts.ts";
import type { Health, Instance, ServiceKey } from "./types.ts";

const maxWeight = 65_535;

/** How the entries of an answer are to be read, beside what they say. */
export interface Reading {
  /** The setting `services.zoneMeta`; left out: zones are of no interest. */
  readonly zoneMeta?: string | undefined;
  /** The service that the entries are of, where it is another one than the key's: a prepared query has a name of its own. */
  readonly entriesOf?: string;
  /**
   * The datacenter we are in. Nodes of another one are called `<node>.<datacenter>`, as Consul's own servers call each
   * other there, so that they are told apart from those here. Left out: that of the key.
   */
  readonly here?: string;
}

/** The instances that an answer names, and what is wrong with those of its entries that cannot be used. */
export interface ReadInstances {
  readonly instances: readonly Instance[];
  readonly unusable: readonly string[];
}

/**
 * The instances of one service out of the body of an answer. An entry that cannot be used costs only itself.
 *
 * @param previous as in `normaliseInstances`
 * @throws SluiceError ERR_CONSUL_ANSWER_INVALID where the body is not a list of entries, or none of them can be used:
 *   that tells nothing of how many instances there are
 */
export function readInstances(
  body: unknown,
  key: ServiceKey,
  previous?: readonly Instance[],
  reading: Reading = {},
): ReadInstances {
  const answer = parseHealth(body);
  const instances = normaliseInstances(answer.entries, key, previous, reading);
  if (answer.unusable.length === 0) return { instances, unusable: [] };
  const name = reading.entriesOf ?? key.name;
  const own = answer.unusable.filter(({ service }) => service === undefined || service === name);
  const [first] = own;
  if (first !== undefined && instances.length === 0) throw invalidShape("/health/service", first.problem);
  return { instances, unusable: own.map(({ problem }) => problem) };
}

/**
 * The instances of one service out of Consul's answer. Consul looks names up without regard to case, so those of
 * another service of nearly the same name are left out.
 *
 * @param previous instances as they were: what did not change keeps its object, and the whole list where nothing did
 * @returns sorted by node, then id
 */
export function normaliseInstances(
  answer: readonly HealthEntry[],
  key: ServiceKey,
  previous: readonly Instance[] = [],
  reading: Reading = {},
): readonly Instance[] {
  const known = new Map(previous.map((instance) => [identity(instance), instance]));
  const instances: Instance[] = [];
  const name = reading.entriesOf ?? key.name;
  for (const entry of answer) {
    if (entry.Service.Service !== name) continue;
    const instance = normaliseInstance(entry, key, reading);
    const before = known.get(identity(instance));
    instances.push(before !== undefined && sameInstance(before, instance) ? before : instance);
  }
  instances.sort(byIdentity);
  return sameObjects(instances, previous) ? previous : instances;
}

/** One entry of the answer. Every part is a stranger's data; routing decides what can be used. */
function normaliseInstance(entry: HealthEntry, key: ServiceKey, { zoneMeta, here }: Reading): Instance {
  const { Node: node, Service: service } = entry;
  const address = service.Address || node.Address || "";
  const port = service.Port ?? 0;
  const createIndex = readIndex(service.CreateIndex);
  const addressesOfNode = service.Address ? undefined : node.TaggedAddresses;
  const taggedAddresses = readTaggedAddresses(service.TaggedAddresses, addressesOfNode, { address, port });
  const zone = readZone(node.Meta, zoneMeta);
  const checks = entry.Checks ?? [];
  const own = checks.filter((check) => (check.ServiceID ?? "") !== "");
  const vouched = own.length > 0;
  const health = worstOf(checks);
  return {
    node: here === undefined || here === key.datacenter ? node.Node : `${node.Node}.${key.datacenter}`,
    id: service.ID,
    service: key,
    address,
    port,
    tags: [...(service.Tags ?? [])].sort(compare),
    meta: Object.fromEntries(Object.entries(service.Meta ?? {}).sort(([a], [b]) => compare(a, b))),
    ...(createIndex === undefined ? {} : { createIndex }),
    ...(taggedAddresses === undefined ? {} : { taggedAddresses }),
    ...(zone === undefined ? {} : { zone }),
    weights: { passing: clampWeight(service.Weights?.Passing), warning: clampWeight(service.Weights?.Warning) },
    health,
    ...(vouched ? {} : { nodeHealthOnly: true }),
    ...(health === "critical" && worstOf(own) !== "critical" ? { nodeCritical: true } : {}),
  };
}

/**
 * Consul's own order (Consul documentation: "Define health checks"; maintenance is a check with a reserved id). A
 * status that is not known is critical: better out than wrongly in.
 */
export function worstOf(checks: readonly { readonly CheckID: string; readonly Status: string }[]): Health {
  let worst: Health = "passing";
  for (const { CheckID: id, Status: status } of checks) {
    if (id === "_node_maintenance" || id.startsWith("_service_maintenance:")) return "maintenance";
    if (status === "warning") worst = worst === "critical" ? "critical" : "warning";
    else if (status !== "passing") worst = "critical";
  }
  return worst;
}

/** Whether two instances say the same; both have the same key. */
function sameInstance(a: Instance, b: Instance): boolean {
  return (
    a.node === b.node &&
    a.id === b.id &&
    a.address === b.address &&
    a.port === b.port &&
    a.health === b.health &&
    a.nodeHealthOnly === b.nodeHealthOnly &&
    a.nodeCritical === b.nodeCritical &&
    a.weights.passing === b.weights.passing &&
    a.weights.warning === b.weights.warning &&
    a.createIndex === b.createIndex &&
    a.zone === b.zone &&
    sameAddresses(a.taggedAddresses, b.taggedAddresses) &&
    sameStrings(a.tags, b.tags) &&
    sameMeta(a.meta, b.meta)
  );
}

/** As `sameInstance`, of lists in their order. */
export function sameInstances(a: readonly Instance[], b: readonly Instance[]): boolean {
  if (a === b) return true;
  return (
    a.length === b.length &&
    a.every((instance, index) => {
      const other = b[index];
      return other !== undefined && (instance === other || sameInstance(instance, other));
    })
  );
}

/** The instances of `outstanding` that are not among `answered`; undefined where there is none. */
export function missingInstances(
  outstanding: readonly Instance[],
  answered: readonly Instance[],
): readonly Instance[] | undefined {
  const found = new Set(answered.map(identity));
  const missing = outstanding.filter((instance) => !found.has(identity(instance)));
  return missing.length === 0 ? undefined : missing;
}

/** Both in their order; no instance is in the one and the other. */
export function joinInstances(answered: readonly Instance[], missing: readonly Instance[]): readonly Instance[] {
  return [...answered, ...missing].sort(byIdentity);
}

/** Order of code units: the same on every machine and in every locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function clampWeight(weight: number | null | undefined): number {
  return Math.min(maxWeight, Math.max(0, Math.trunc(weight ?? 1)));
}

function identity(instance: Instance): string {
  return `${instance.node.length}:${instance.node}${instance.id}`;
}

export function byIdentity(a: Instance, b: Instance): number {
  return compare(a.node, b.node) || compare(a.id, b.id);
}

function sameObjects(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((instance, index) => instance === b[index]);
}

function sameStrings(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

function sameMeta(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}
