import type { CatalogService, Instance, Spoken } from "../catalog/types.ts";
import { hexDigest } from "../support/digest.ts";
import type { Cell, Data, Services } from "./types.ts";

const digests = new WeakMap<Data, string>();

/** Digest of what an instance says of itself beside its place, weight and health; the last words of one say the same. */
export function dataDigest(instance: Data): string {
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
  for (const [key, service] of services) {
    const seen = new Set<string>();
    for (const one of [...placed(service), ...(service.spoke ?? [])]) {
      const data = dataDigest(one);
      if (!seen.has(data)) cells.push({ service: key, data });
      seen.add(data);
    }
  }
  return cells;
}

/** The instances of these services that the cell means. */
export function instancesOf(cell: Cell, services: Services): readonly Instance[] {
  const service = services.get(cell.service);
  return service === undefined ? [] : placed(service).filter((instance) => means(cell, instance));
}

/** Whether any instance of these services is meant by the cell; of a whole service, whether it is there. */
export function isPresent(cell: Cell, services: Services): boolean {
  const service = services.get(cell.service);
  if (service === undefined || cell.data === undefined) return service !== undefined;
  return [...placed(service), ...(service.spoke ?? [])].some((one) => means(cell, one));
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
  goodOf: (one: Instance | Spoken) => readonly Data[],
): CatalogService | undefined {
  if (cells.some(({ data }) => data === undefined)) return undefined;
  const isWithheld = (one: Instance | Spoken) => cells.some((cell) => means(cell, one));
  const standIn = <T extends Instance | Spoken>(one: T): readonly T[] => {
    if (!isWithheld(one)) return [one];
    const made = goodOf(one).map(({ tags, meta }) => ({ ...one, tags, meta }));
    return made.filter((other) => !isWithheld(other)).slice(0, 1);
  };
  const { elsewhere, spoke } = service;
  return {
    ...service,
    instances: service.instances.flatMap(standIn),
    ...(elsewhere !== undefined && { elsewhere: elsewhere.flatMap(standIn) }),
    ...(spoke !== undefined && { spoke: spoke.flatMap(standIn) }),
  };
}

/** Its instances, here and elsewhere. */
function placed({ instances, elsewhere }: CatalogService): readonly Instance[] {
  return elsewhere === undefined ? instances : [...instances, ...elsewhere];
}

function means({ data, instance }: Cell, one: Instance | Spoken): boolean {
  if (data !== dataDigest(one)) return false;
  // What is meant at one place alone is that place, not what was said there.
  return instance === undefined || ("address" in one && instance === instanceKey(one));
}
