import type { HealthAnswer, HealthEntry } from "./answers.ts";
import type { Health, Instance, ServiceKey } from "./types.ts";

const maxWeight = 65_535;

/**
 * The instances of one service out of Consul's answer. Consul looks names up without regard to case, so those of
 * another service of nearly the same name are left out.
 *
 * @param previous instances as they were: what did not change keeps its object, and the whole list where nothing did
 * @returns sorted by node, then id
 */
export function normaliseInstances(
  answer: HealthAnswer,
  key: ServiceKey,
  previous: readonly Instance[] = [],
): readonly Instance[] {
  const known = new Map(previous.map((instance) => [identity(instance), instance]));
  const instances: Instance[] = [];
  for (const entry of answer) {
    if (entry.Service.Service !== key.name) continue;
    const instance = normaliseInstance(entry, key);
    const before = known.get(identity(instance));
    instances.push(before !== undefined && sameInstance(before, instance) ? before : instance);
  }
  instances.sort(byIdentity);
  return sameObjects(instances, previous) ? previous : instances;
}

/** One entry of the answer. Every part is a stranger's data; routing decides what can be used. */
function normaliseInstance(entry: HealthEntry, key: ServiceKey): Instance {
  const { Node: node, Service: service } = entry;
  const checks = entry.Checks ?? [];
  const vouched = checks.some((check) => (check.ServiceID ?? "") !== "");
  return {
    node: node.Node,
    id: service.ID,
    service: key,
    address: service.Address || node.Address || "",
    port: service.Port ?? 0,
    tags: [...(service.Tags ?? [])].sort(compare),
    meta: Object.fromEntries(Object.entries(service.Meta ?? {}).sort(([a], [b]) => compare(a, b))),
    weights: { passing: clampWeight(service.Weights?.Passing), warning: clampWeight(service.Weights?.Warning) },
    health: worstOf(checks),
    ...(vouched ? {} : { nodeHealthOnly: true }),
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
export function sameInstance(a: Instance, b: Instance): boolean {
  return (
    a.node === b.node &&
    a.id === b.id &&
    a.address === b.address &&
    a.port === b.port &&
    a.health === b.health &&
    a.nodeHealthOnly === b.nodeHealthOnly &&
    a.weights.passing === b.weights.passing &&
    a.weights.warning === b.weights.warning &&
    sameStrings(a.tags, b.tags) &&
    sameMeta(a.meta, b.meta)
  );
}

/** Order of code units: the same on every machine and in every locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function clampWeight(weight: number | null | undefined): number {
  return Math.min(maxWeight, Math.max(0, weight ?? 1));
}

function identity(instance: Instance): string {
  return `${instance.node.length}:${instance.node}${instance.id}`;
}

function byIdentity(a: Instance, b: Instance): number {
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
