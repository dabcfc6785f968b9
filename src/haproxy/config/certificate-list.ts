import type { ListEntry } from "./types.ts";

/** How HAProxy writes that an entry is for no name. */
const noName = "!*";

/**
 * The file of a list (configuration manual 5.1, `crt-list`): `<path> <name>…` a line. The first entry is the one for
 * clients that ask for no known name, whatever names it has.
 */
export function listText(entries: readonly ListEntry[]): string {
  return entries.map((one) => `${listLine(one)}\n`).join("");
}

/** One line of it, and of the payload of `add ssl crt-list`. */
export function listLine({ file, names }: ListEntry): string {
  return [file, ...(names.length === 0 ? [noName] : names)].join(" ");
}

/** The entries of such a file, or of the answer of `show ssl crt-list`. */
export function listEntries(text: string): readonly ListEntry[] {
  return text.split("\n").flatMap((line) => {
    const [file = "", ...names] = line.trim().split(/\s+/);
    if (file === "" || file.startsWith("#")) return [];
    return { file, names: names.filter((name) => name !== noName) };
  });
}
