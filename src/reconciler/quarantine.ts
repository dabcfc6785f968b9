import type { CatalogService, Spoken } from "../catalog/types.ts";
import { cellKey, instanceName, instancesOf, isPresent, withhold } from "../guard/quarantine.ts";
import type { Cell, Data, Quarantined, Services } from "../guard/types.ts";
import type { Clock } from "../support/clock.ts";
import { type EventLog, mostInEvent } from "./events.ts";

/**
 * Remembers what the template or HAProxy did not take of the catalog's data, for as long as the catalog has it, and makes
 * the services without it: with the tags and meta that were taken last, at the places and with the health of today.
 */
export class Quarantine {
  private readonly entries = new Map<string, Quarantined>();
  /** Services of which all was taken. */
  private taken: Services;
  /** Services that left while they were withheld as a whole: their empty backends would not be taken either. */
  private readonly gone = new Set<string>();
  /** What was made of a service last: what did not change keeps its object. */
  private readonly made = new Map<
    string,
    { readonly from: CatalogService; readonly service: CatalogService | undefined }
  >();
  private readonly parts: {
    readonly clock: Clock;
    readonly events: EventLog;
    /** Called when there are other entries than before. */
    readonly onChange: (entries: readonly Quarantined[]) => void;
  };

  /**
   * @param found entries of an earlier life
   * @param taken services that were accepted in it
   */
  constructor(parts: Quarantine["parts"], found: readonly Quarantined[], taken: Services) {
    this.parts = parts;
    for (const entry of found) this.entries.set(cellKey(entry), entry);
    this.taken = new Map();
    this.taken = this.without(taken, [...this.entries.values()]);
  }

  /** Sorted as they were found. */
  list(): readonly Quarantined[] {
    return [...this.entries.values()];
  }

  /** The services of which all was taken last. */
  good(): Services {
    return this.taken;
  }

  /** A configuration made of these services was taken. */
  took(services: Services): void {
    this.taken = services;
  }

  /** The services without what is withheld; what the catalog does not have any more is let go first. */
  apply(services: Services): Services {
    if (this.entries.size === 0 && this.gone.size === 0) return services;
    const isEmpty = (service: string) => services.get(service)?.instances.length === 0;
    for (const { service, data } of this.list()) if (data === undefined && isEmpty(service)) this.gone.add(service);
    for (const service of this.gone) if (!isEmpty(service)) this.gone.delete(service);
    this.release(
      (entry) => this.gone.has(entry.service) || !this.stillThere(entry, services),
      "the catalog does not have it any more",
    );
    const result = new Map(services);
    for (const service of this.gone) result.delete(service);
    for (const [key, own] of byService(this.list())) {
      const from = services.get(key);
      if (from === undefined) continue;
      let made = this.made.get(key);
      if (made?.from !== from) {
        made = { from, service: withhold(from, own, (instance) => this.goodOf(key, instance)) };
        this.made.set(key, made);
      }
      put(result, key, made.service);
    }
    return result;
  }

  /** The services without these cells; services that are not touched stay the very same objects. */
  without(services: Services, cells: readonly Cell[]): Services {
    if (cells.length === 0) return services;
    const result = new Map(services);
    for (const [key, own] of byService(cells)) {
      const service = services.get(key);
      if (service !== undefined)
        put(
          result,
          key,
          withhold(service, own, (instance) => this.goodOf(key, instance)),
        );
    }
    return result;
  }

  /** Withholds these from now on. */
  add(cells: readonly Cell[], services: Services, reason: string): void {
    for (const cell of cells) {
      const key = cellKey(cell);
      if (this.entries.has(key)) continue;
      const entry = this.entryOf(cell, cells, services, reason);
      this.entries.set(key, entry);
      const { name, instances, good } = entry;
      const who = cell.data === undefined ? "" : ` (${instances.slice(0, 5).join(", ")})`;
      const keeps = good === undefined ? "it is left out" : "it goes on with tags and meta of before";
      const message = `${JSON.stringify(name)}${who} cannot be carried, ${keeps}: ${reason}`;
      this.parts.events.emit("quarantined", "error", message, {
        service: name,
        instances: instances.slice(0, mostInEvent),
        reason,
        keeps: good === undefined ? "left-out" : "last-good",
      });
    }
    this.changed();
  }

  /** Everything is tried again: another template, or another HAProxy. */
  retry(why: string): void {
    this.release(() => true, why);
  }

  private release(test: (entry: Quarantined) => boolean, why: string): void {
    let any = false;
    for (const [key, entry] of this.entries) {
      if (!test(entry)) continue;
      this.entries.delete(key);
      any = true;
      const { name: service, instances } = entry;
      this.parts.events.emit("unquarantined", "info", `${JSON.stringify(service)} is tried again: ${why}`, {
        service,
        instances: instances.slice(0, mostInEvent),
      });
    }
    if (any) this.changed();
  }

  private changed(): void {
    this.made.clear();
    this.parts.onChange(this.list());
  }

  /** Those of one service stay together: what one stands in with may be what the other is about. */
  private stillThere({ service }: Quarantined, services: Services): boolean {
    for (const entry of this.entries.values()) {
      if (entry.service === service && isPresent(entry, services)) return true;
    }
    return false;
  }

  private entryOf(cell: Cell, cells: readonly Cell[], services: Services, reason: string): Quarantined {
    const { service } = cell;
    const instances = instancesOf(cell, services);
    const [first] = instances;
    const before = services.get(service);
    const own = cells.filter((one) => one.service === service);
    const alone =
      first === undefined || before === undefined ? undefined : { ...before, instances: [first], elsewhere: [] };
    // What the first of them stands in with, the others can too, in a life that does not know what they had.
    const [good] = (alone && withhold(alone, own, (one) => this.goodOf(service, one)))?.instances ?? [];
    return {
      ...cell,
      name: before?.key.name ?? service,
      instances: instances.map(instanceName),
      reason,
      since: this.parts.clock.wall(),
      ...(good !== undefined && { good: { tags: good.tags, meta: good.meta } }),
    };
  }

  /** Its own tags and meta of before, those of the others of its service, those that are remembered. */
  private goodOf(service: string, instance: Pick<Spoken, "node" | "id">): readonly Data[] {
    const { instances = [], elsewhere = [], spoke = [] } = this.taken.get(service) ?? {};
    const before: readonly Spoken[] = [...instances, ...elsewhere, ...spoke];
    const own = before.filter((one) => one.node === instance.node && one.id === instance.id);
    const remembered = this.list().flatMap((entry) => (entry.service === service && entry.good ? [entry.good] : []));
    return [...own, ...before, ...remembered];
  }
}

function byService(cells: readonly Cell[]): ReadonlyMap<string, readonly Cell[]> {
  const result = new Map<string, Cell[]>();
  for (const cell of cells) {
    const known = result.get(cell.service);
    if (known === undefined) result.set(cell.service, [cell]);
    else known.push(cell);
  }
  return result;
}

function put(services: Map<string, CatalogService>, key: string, service: CatalogService | undefined): void {
  if (service === undefined) services.delete(key);
  else services.set(key, service);
}
