import type { MapEntry } from "../runtime/types.ts";
import { missing } from "./map-targets.ts";
import { entriesByKey, mapEntries, mapText, mapValues } from "./maps.ts";
import type { MapOperation } from "./types.ts";

/** A map that changes. */
export interface MapChange {
  readonly file: string;
  readonly now: string;
  readonly next: string;
  /** Whether entries are tried in their order. */
  readonly ordered: boolean;
}

/** With more entries than this a transaction is as good as single steps. */
const mostSingleSteps = 500;

/**
 * The steps that take maps from what they say to what they are to say. First all that is new or has another value, in
 * the order given, then what goes, in reverse order: so at no moment does an entry of one map refer to something that
 * is not there yet, or not any more, in a map before it.
 *
 * @param changes in the order of references, see `Desired`; each of them a real one
 */
export function mapSteps(changes: readonly MapChange[]): readonly MapOperation[] {
  const steps = changes.map((change) => (change.ordered ? orderedSteps(change) : treeSteps(change)));
  const [only] = steps;
  // One map alone: what goes need not wait for others.
  if (only !== undefined && steps.length === 1) return [only.whole];
  return [...steps.flatMap(({ grow }) => grow ?? []), ...steps.flatMap(({ shrink }) => shrink ?? []).reverse()];
}

/** How many entries are new, have another value, are gone. */
export interface MapCounts {
  readonly added: number;
  readonly changed: number;
  readonly gone: number;
}

export function countChanges({ now, next }: MapChange): MapCounts {
  const [before, after] = [mapValues(now), mapValues(next)];
  let [added, changed] = [0, 0];
  for (const [key, value] of after) {
    const old = before.get(key);
    if (old === undefined) added += 1;
    else if (old !== value) changed += 1;
  }
  return { added, changed, gone: before.size - (after.size - added) };
}

/**
 * The texts a map file is given one after the other: with what is new or other, and then without what goes.
 *
 * @returns the first is undefined where nothing goes; the second is what is to be there in the end
 */
export function fileSteps(now: string, next: string): readonly [string | undefined, string] {
  const after = mapEntries(next);
  const gone = missing(mapEntries(now), after);
  return [gone.length === 0 ? undefined : mapText([...after, ...gone]), next];
}

/** What a map's text is behind an operation. */
export function mapAfter(text: string, operation: MapOperation): string {
  if (operation.kind === "replace-map") return mapText(operation.entries);
  const gone = new Set(operation.delete);
  const values = entriesByKey(operation.set);
  const changed = mapEntries(text).flatMap(({ key, value }) =>
    gone.has(key) ? [] : { key, value: values.get(key) ?? value },
  );
  return mapText([...changed, ...operation.add]);
}

interface Steps {
  readonly grow?: MapOperation;
  readonly shrink?: MapOperation;
  /** Does both at once. */
  readonly whole: MapOperation;
}

function orderedSteps({ file, now, next }: MapChange): Steps {
  const [before, after] = [mapEntries(now), mapEntries(next)];
  const whole: MapOperation = { kind: "replace-map", file, entries: after };
  const gone = missing(before, after);
  if (gone.length === 0) return { grow: whole, whole };
  const union = [...after, ...gone];
  if (mapText(union) === mapText(before)) return { shrink: whole, whole };
  return { grow: { kind: "replace-map", file, entries: union }, shrink: whole, whole };
}

function treeSteps({ file, now, next }: MapChange): Steps {
  const [before, after] = [mapEntries(now), mapEntries(next)];
  const [known, wanted] = [mapValues(now), mapValues(next)];
  const add: MapEntry[] = [];
  const set: MapEntry[] = [];
  for (const [key, value] of wanted) {
    const old = known.get(key);
    if (old === undefined) add.push({ key, value });
    else if (old !== value) set.push({ key, value });
  }
  const gone = [...known.keys()].filter((key) => !wanted.has(key));
  const all: MapOperation = { kind: "replace-map", file, entries: after };
  const single =
    add.length + set.length + gone.length <= mostSingleSteps &&
    set.every(({ key, value }) => isKey(key) && isWord(value)) &&
    gone.every(isKey);
  if (!single) {
    const union: MapOperation = { kind: "replace-map", file, entries: [...after, ...missing(before, after)] };
    const grows = add.length + set.length > 0;
    return { ...(grows && { grow: union }), ...(gone.length > 0 && { shrink: all }), whole: all };
  }
  const edit = { kind: "edit-map", file } as const;
  return {
    ...(add.length + set.length > 0 && { grow: { ...edit, add, set, delete: [] } }),
    ...(gone.length > 0 && { shrink: { ...edit, add: [], set: [], delete: gone } }),
    whole: { ...edit, add, set, delete: gone },
  };
}

/** `set map` and `del map` take a key that begins with `#` for the number of an entry (management guide 9.3). */
function isKey(key: string): boolean {
  return !key.startsWith("#") && isWord(key);
}

/** What a command carries as one word, see `escapeWord`; not too long for one. */
function isWord(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text !== "" && text.length < 2_000 && !text.startsWith("<<") && !/[\u0000-\u001f\u007f]/.test(text);
}
