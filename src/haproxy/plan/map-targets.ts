import type { MapEntry } from "../runtime/types.ts";
import { backendOf, entriesByKey, mapEntries, mapText } from "./maps.ts";

/** Names of backends. */
export interface Pools {
  readonly loaded: ReadonlySet<string>;
  readonly wanted: ReadonlySet<string>;
  /** Those that a key may go on to lead to. Default: what is loaded. */
  readonly kept?: ReadonlySet<string>;
}

/**
 * What the maps may say as long as some of the wanted backends are not loaded: a map never names a backend that is not
 * there. Where a key leads to such a one it keeps the value it has; a key that is new has to wait. As long as a value is
 * kept, so is everything in the maps before it that is not wanted any more: the value may refer to it.
 *
 * @param wanted in the order of references, see `Desired`
 * @param now what the maps say, those that are loaded
 * @returns the wanted text itself where nothing has to wait
 */
export function mapTargets(
  wanted: ReadonlyMap<string, string>,
  now: ReadonlyMap<string, string>,
  pools: Pools,
): ReadonlyMap<string, string> {
  if (isSubset(pools.wanted, pools.loaded)) return wanted;
  const targets = new Map<string, string>();
  let keptBelow = false;
  for (const [file, text] of [...wanted].reverse()) {
    const before = now.get(file);
    if (before === text) {
      targets.set(file, text);
      continue;
    }
    const all = mapEntries(text);
    const held = all.filter(({ value }) => isHeld(value, pools));
    const known: readonly MapEntry[] = held.length > 0 || keptBelow ? mapEntries(before ?? "") : [];
    const keptEntries: ReadonlyMap<string, string> = held.length > 0 ? keptOf(held, known, pools) : new Map();
    const target = held.length === 0 ? all : targetOf(all, keptEntries, pools);
    const gone = keptBelow ? missing(known, all).filter(({ value }) => mayStay(value, pools)) : [];
    targets.set(file, held.length + gone.length === 0 ? text : mapText([...target, ...gone]));
    keptBelow ||= keptEntries.size > 0;
  }
  return new Map([...targets].reverse());
}

/** For files that are to do for two structures: neither is to meet a backend in them that it does not have. */
export function inBoth(loaded: ReadonlySet<string>, wanted: ReadonlySet<string>): Pools {
  return { loaded, wanted, kept: new Set([...loaded].filter((name) => wanted.has(name))) };
}

/** Entries of keys that the others do not have. */
export function missing(entries: readonly MapEntry[], others: readonly MapEntry[]): readonly MapEntry[] {
  const keys = new Set(others.map(({ key }) => key));
  return entries.filter(({ key }) => !keys.has(key));
}

function isHeld(value: string, { loaded, wanted }: Pools): boolean {
  const backend = backendOf(value);
  return !loaded.has(backend) && wanted.has(backend);
}

/** Whether what a value leads to is there, and goes on to be. */
function mayStay(value: string, { loaded, kept = loaded }: Pools): boolean {
  const backend = backendOf(value);
  return kept.has(backend) || !loaded.has(backend);
}

/** The values that keys which have to wait keep. */
function keptOf(
  held: readonly MapEntry[],
  known: readonly MapEntry[],
  { loaded, kept = loaded }: Pools,
): ReadonlyMap<string, string> {
  const values = entriesByKey(known);
  const found = new Map<string, string>();
  for (const { key } of held) {
    const value = values.get(key);
    if (value !== undefined && kept.has(backendOf(value))) found.set(key, value);
  }
  return found;
}

function targetOf(all: readonly MapEntry[], kept: ReadonlyMap<string, string>, pools: Pools): readonly MapEntry[] {
  return all.flatMap((entry) => {
    if (!isHeld(entry.value, pools)) return entry;
    const value = kept.get(entry.key);
    return value === undefined ? [] : { key: entry.key, value };
  });
}

function isSubset(some: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  for (const one of some) if (!others.has(one)) return false;
  return true;
}
