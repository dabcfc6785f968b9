import type { MapEntry } from "../runtime/types.ts";

/**
 * Entries of a map file: one a line, the first word is the key, the rest up to spaces at the end the value; empty lines
 * do not count, nor do lines that begin with `#`. Behind a space a `#` is a key like any other, and only space and tab
 * part words (configuration manual 7.3.1, `map`; checked against 2.6.12).
 */
export function mapEntries(text: string): readonly MapEntry[] {
  return parsed(text).entries;
}

/** Which entry counts, by key: of a key that is there twice, the first. */
export function mapValues(text: string): ReadonlyMap<string, string> {
  return parsed(text).values;
}

interface Parsed {
  readonly entries: readonly MapEntry[];
  readonly values: ReadonlyMap<string, string>;
}

/** The newest texts, oldest first: what was wanted last is compared with what is wanted next. */
const known = new Map<string, Parsed>();
const mostKnown = 24;

function parsed(text: string): Parsed {
  const before = known.get(text);
  if (before !== undefined) {
    known.delete(text);
    known.set(text, before);
    return before;
  }
  const entries = parseEntries(text);
  const made = { entries, values: entriesByKey(entries) };
  known.set(text, made);
  for (const oldest of known.keys()) {
    if (known.size <= mostKnown) break;
    known.delete(oldest);
  }
  return made;
}

function parseEntries(text: string): readonly MapEntry[] {
  const entries: MapEntry[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const end = line.indexOf(" ");
    // As `mapText` writes them: one space, nothing else that is white.
    if (end > 0 && end < line.length - 1 && !/[\t\r]| $/.test(line) && line[end + 1] !== " ") {
      entries.push({ key: line.slice(0, end), value: line.slice(end + 1) });
      continue;
    }
    const [, key, value = ""] = /^[ \t]*([^ \t\r]+)[ \t]*([^\r]*)/.exec(line) ?? [];
    if (key !== undefined) entries.push({ key, value: value.replace(/[ \t]+$/, "") });
  }
  return entries;
}

/** The file that has these entries. */
export function mapText(entries: readonly MapEntry[]): string {
  return entries.map(({ key, value }) => `${key.startsWith("#") ? " " : ""}${key} ${value}\n`).join("");
}

/** The same of entries. */
export function entriesByKey(entries: readonly MapEntry[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const { key, value } of entries) if (!values.has(key)) values.set(key, value);
  return values;
}

/**
 * Whether two files say the same.
 *
 * @param ordered whether entries are tried in their order; else only the first one of a key counts
 */
export function sameEntries(a: string, b: string, ordered: boolean): boolean {
  if (a === b) return true;
  if (ordered) return mapText(mapEntries(a)) === mapText(mapEntries(b));
  const [mine, theirs] = [mapValues(a), mapValues(b)];
  if (mine.size !== theirs.size) return false;
  for (const [key, value] of mine) if (theirs.get(key) !== value) return false;
  return true;
}

/**
 * The backend a map's value leads to: its leading characters, as far as they are those of a backend's name. Empty where
 * what follows shows that it is something else, as in `foo*.example.com`.
 */
export function backendOf(value: string): string {
  return /^([A-Za-z0-9_.:-]+)(?![A-Za-z0-9_.:*?[\](){}\\^$+-])/.exec(value)?.[1] ?? "";
}

/** Maps in the order that others have, then those that only they have. */
export function inOrderOf(
  order: ReadonlyMap<string, unknown>,
  maps: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const ordered = new Map<string, string>();
  for (const file of [...order.keys(), ...maps.keys()]) {
    const text = maps.get(file);
    if (text !== undefined) ordered.set(file, text);
  }
  return ordered;
}
