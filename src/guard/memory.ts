import type { CatalogService, Instance, Override, Snapshot, Spoken } from "../catalog/types.ts";
import { byIdentity } from "./instances.ts";

/** More kinds of tags and meta than a service has at a time, even in the middle of a roll-out. */
const mostKinds = 50;

type Overrides = NonNullable<Snapshot["overrides"]>;

/**
 * The service with what is remembered of it: the tags and meta of its last instances where none is left, and what is
 * known of datacenters that have not answered so far. The very same object as before where nothing changed.
 *
 * @param before as it was accepted last
 */
export function withMemory(service: CatalogService, before: CatalogService | undefined): CatalogService {
  const elsewhere = elsewhereOf(service, before);
  const spoke = service.instances.length > 0 ? undefined : (service.spoke ?? lastWords(before));
  if (elsewhere === service.elsewhere && spoke === service.spoke) return service;
  const { spoke: _spoke, ...rest } = service;
  const next: CatalogService = {
    ...rest,
    ...(elsewhere !== undefined && { elsewhere }),
    ...(spoke !== undefined && { spoke }),
  };
  return before !== undefined && isSame(before, next) ? before : next;
}

/**
 * The overrides that are in force: those that Consul has, and of one that cannot be read what it said before. Where it
 * is not known whether there are any, those of before.
 */
export function acceptOverrides(before: Overrides | undefined, next: Overrides | undefined): Overrides | undefined {
  if (next === undefined || next === before) return before;
  if (before !== undefined && madeOf.get(before) === next) return before;
  let any = false;
  const result = new Map<string, Override>();
  for (const [name, override] of next) {
    const good = override.unreadable ? before?.get(name) : undefined;
    const { problems } = override;
    if (good !== undefined) any = true;
    result.set(name, good === undefined ? override : { ...good, problems: problems.map(stillInForce) });
  }
  if (!any) return next;
  madeOf.set(result, next);
  return result;
}

/** Of which overrides of Consul's others were made. */
const madeOf = new WeakMap<Overrides, Overrides>();

function stillInForce(problem: string): string {
  return `${problem}; what it said before is still in force`;
}

/** One of each kind of what its instances said, of the oldest registration each. */
function lastWords(before: CatalogService | undefined): readonly Spoken[] | undefined {
  if (before === undefined || before.instances.length === 0) return before?.spoke;
  const kinds = new Map<string, Instance>();
  for (const instance of before.instances) {
    const kind = JSON.stringify([instance.tags, Object.entries(instance.meta)]);
    const known = kinds.get(kind);
    if (known === undefined || age(instance) < age(known)) kinds.set(kind, instance);
  }
  return [...kinds.values()]
    .sort(byIdentity)
    .slice(0, mostKinds)
    .map(({ node, id, tags, meta, createIndex }) => ({
      node,
      id,
      tags,
      meta,
      ...(createIndex !== undefined && { createIndex }),
    }));
}

function age({ createIndex }: Instance): number {
  return createIndex ?? Number.POSITIVE_INFINITY;
}

function elsewhereOf(
  { elsewhere, unansweredElsewhere: unanswered }: CatalogService,
  before: CatalogService | undefined,
): readonly Instance[] | undefined {
  if (unanswered === undefined || before?.elsewhere === undefined) return elsewhere;
  const kept = before.elsewhere.filter(({ service }) => unanswered.includes(service.datacenter));
  return kept.length === 0 ? elsewhere : [...(elsewhere ?? []), ...kept].sort(byIdentity);
}

function isSame(a: CatalogService, b: CatalogService): boolean {
  return (
    a.instances === b.instances &&
    a.freshness === b.freshness &&
    a.spoke === b.spoke &&
    a.unansweredElsewhere === b.unansweredElsewhere &&
    sameList(a.elsewhere ?? none, b.elsewhere ?? none)
  );
}

const none: readonly Instance[] = [];

function sameList(a: readonly Instance[], b: readonly Instance[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
