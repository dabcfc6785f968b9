import type { CatalogService, Instance } from "../catalog/types.ts";

const keys = new WeakMap<Instance, string>();

/**
 * Names an instance that was lost: its service, node, id and place. The same id at another place is another one.
 * Made once per instance, which is one of this service and no other.
 */
export function holdKey(service: string, instance: Instance): string {
  let key = keys.get(instance);
  if (key === undefined) {
    key = JSON.stringify([service, instance.node, instance.id, instance.address, instance.port]);
    keys.set(instance, key);
  }
  return key;
}

/** Whether the catalog lets it take requests. */
export function serves(instance: Instance): boolean {
  return instance.health === "passing" || instance.health === "warning";
}

/** Where it listens. */
export function place({ address, port }: Instance): string {
  return `${address} ${port}`;
}

const counts = new WeakMap<readonly Instance[], number>();

/** How many of them serve. Counted once per list. */
export function servingCount(instances: readonly Instance[]): number {
  let count = counts.get(instances);
  if (count === undefined) {
    count = 0;
    for (const instance of instances) if (serves(instance)) count += 1;
    counts.set(instances, count);
  }
  return count;
}

interface Index {
  readonly byIdentity: ReadonlyMap<string, Instance>;
  readonly places: ReadonlySet<string>;
}

const indexes = new WeakMap<readonly Instance[], Index>();

/** What the catalog says of an instance. */
export type Listing =
  | { readonly kind: "listed"; readonly instance: Instance }
  /** Another instance of its service stands at its place. */
  | { readonly kind: "replaced" }
  | { readonly kind: "absent" };

/** What is said of an instance in the list of its service; a service that is not listed lists nobody. */
export function listing(service: CatalogService | undefined, instance: Instance): Listing {
  if (service === undefined || service.instances.length === 0) return { kind: "absent" };
  const { byIdentity, places } = indexOf(service.instances);
  const listed = byIdentity.get(identity(instance));
  if (listed !== undefined) return { kind: "listed", instance: listed };
  return { kind: places.has(place(instance)) ? "replaced" : "absent" };
}

/** Whether it is listed where it was, and critical by its node's checks alone. */
export function isCutOff(found: Listing, instance: Instance): boolean {
  return found.kind === "listed" && found.instance.nodeCritical === true && place(found.instance) === place(instance);
}

export function byIdentity(a: Instance, b: Instance): number {
  return order(a.node, b.node) || order(a.id, b.id);
}

/** By service, then node and id. */
export function byLost(
  a: { readonly service: string; readonly instance: Instance },
  b: { readonly service: string; readonly instance: Instance },
): number {
  return order(a.service, b.service) || byIdentity(a.instance, b.instance);
}

function indexOf(instances: readonly Instance[]): Index {
  let index = indexes.get(instances);
  if (index === undefined) {
    index = {
      byIdentity: new Map(instances.map((instance) => [identity(instance), instance])),
      places: new Set(instances.map(place)),
    };
    indexes.set(instances, index);
  }
  return index;
}

/** The same for the same node and id, in whatever place and health. */
export function identity({ node, id }: Instance): string {
  return `${node.length}:${node}${id}`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
