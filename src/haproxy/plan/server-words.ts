import type { ServerLine } from "../config/types.ts";

/** What a server runs with: the default-server words in force, then its own, which win (configuration manual 5.2). */
export function allWords(line: Pick<ServerLine, "defaults" | "options">): readonly string[] {
  return line.defaults.length === 0 ? line.options : [...line.defaults, ...line.options];
}

/** Whether HAProxy checks a server with these words: the last of `check` and `no-check` counts. */
export function isChecked(words: readonly string[]): boolean {
  return words.lastIndexOf("check") > words.lastIndexOf("no-check");
}

export function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}
