import type { MapEntry } from "../runtime/types.ts";

/**
 * Entries of a map file: one a line, the first word is the key, the rest up to spaces at the end the value; empty lines
 * do not count, nor do lines that begin with `#`. Behind a space a `#` is a key like any other, and only space and tab
 * part words (configuration manual 7.3.1, `map`; checked against 2.6.12).
 */
export function mapEntries(text: string): readonly MapEntry[] {
  const entries: MapEntry[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const [, key, value = ""] = /^[ \t]*([^ \t\r]+)[ \t]*([^\r]*)/.exec(line) ?? [];
    if (key !== undefined) entries.push({ key, value: value.replace(/[ \t]+$/, "") });
  }
  return entries;
}

/** The file that has these entries. */
export function mapText(entries: readonly MapEntry[]): string {
  return entries.map(({ key, value }) => `${key.startsWith("#") ? " " : ""}${key} ${value}\n`).join("");
}

/** Whether two files have the same entries in the same order: of a key that is there twice, the first counts. */
export function sameEntries(a: string, b: string): boolean {
  return a === b || mapText(mapEntries(a)) === mapText(mapEntries(b));
}

/** The backend a map's value leads to: the leading characters a backend's name may have. */
export function backendOf(value: string): string {
  return /^[A-Za-z0-9_.:-]*/.exec(value)?.[0] ?? "";
}

/**
 * A map without the entries that lead to a backend which is wanted but not loaded yet: a map never names a backend that
 * is not there.
 */
export function withoutUnloaded(
  text: string,
  loaded: ReadonlySet<string>,
  wanted: ReadonlySet<string>,
): { readonly text: string; readonly deferred: number } {
  const all = mapEntries(text);
  const kept = all.filter(({ value }) => {
    const backend = backendOf(value);
    return loaded.has(backend) || !wanted.has(backend);
  });
  if (kept.length === all.length) return { text, deferred: 0 };
  return { text: mapText(kept), deferred: all.length - kept.length };
}
