import type { CatalogService, Instance } from "../catalog/types.ts";
import { hexDigest } from "../support/digest.ts";
import type { Cell, Data, Services } from "./types.ts";

const digests = new WeakMap<Instance, string>();

/** Digest of what an instance says of itself beside its place, weight and health. */
export function dataDigest(instance: Instance): string {
  let digest = digests.get(instance);
  if (digest === undefined) {
    digest = hexDigest(JSON.stringify([instance.tags, Object.entries(instance.meta)]));
    digests.set(instance, digest);
  }
  return digest;
}

/** `<node>/<id>` */
export function instanceName({ node, id }: Instance): string {
  return `${node}/${id}`;
}

/** Names an instance at its place: at another one it is another server. */
export function instanceKey(instance: Instance): string {
  return JSON.stringify([instance.node, instance.id, instance.address, instance.port]);
}

/** One string for each cell. */
export function cellKey({ service, data, instance }: Cell): string {
  return JSON.stringify([service, data, instance]);
}

/** The cells of tags and meta that these services consist of, in their order. */
export function dataCells(services: Services): readonly Cell[] {
  const cells: Cell[] = [];
  for (const [service, { instances }] of services) {
    const seen = new Set<string>();
    for (const instance of instances) {
      const data = dataDigest(instance);
      if (!seen.has(data)) cells.push({ service, data });
      seen.add(data);
    }
  }
  return cells;
}

/** The instances of these services that the cell means. */
export function instancesOf(cell: Cell, services: Services): readonly Instance[] {
  return services.get(cell.service)?.instances.filter((instance) => means(cell, instance)) ?? [];
}

/** Whether any instance of these services is meant by the cell; of a whole service, whether it is there. */
export function isPresent(cell: Cell, services: Services): boolean {
  const service = services.get(cell.service);
  if (service === undefined || cell.data === undefined) return service !== undefined;
  return service.instances.some((instance) => means(cell, instance));
}

/**
 * The service without what is withheld: an instance stands in with tags and meta that were taken before, with its own
 * place, weight and health; one for which there are none is left out.
 *
 * @param cells of this service
 * @param goodOf tags and meta that were taken before, for an instance of this service, the best first
 * @returns undefined where the service is withheld as a whole
 */
export function withhold(
  service: CatalogService,
  cells: readonly Cell[],
  goodOf: (instance: Instance) => readonly Data[],
): CatalogService | undefined {
  if (cells.some(({ data }) => data === undefined)) return undefined;
  const isWithheld = (instance: Instance) => cells.some((cell) => means(cell, instance));
  const instances = service.instances.flatMap((instance) => {
    if (!isWithheld(instance)) return [instance];
    const made = goodOf(instance).map(({ tags, meta }) => ({ ...instance, tags, meta }));
    return made.filter((one) => !isWithheld(one)).slice(0, 1);
  });
  return { ...service, instances };
}

function means({ data, instance }: Cell, one: Instance): boolean {
  return data === dataDigest(one) && (instance === undefined || instance === instanceKey(one));
}
