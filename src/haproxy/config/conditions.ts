import type { Line } from "./types.ts";

/** What a line does to the nesting of conditional blocks (configuration manual 2.4): `.if` 1, `.endif` -1, others 0. */
export function nesting(line: Line): -1 | 0 | 1 {
  if (line.words[0] === ".if") return 1;
  return line.words[0] === ".endif" ? -1 : 0;
}

const memory = new WeakMap<readonly Line[], number>();

/** How many `.if` these lines leave open; negative where they close what was opened before them. Remembered per array. */
export function nestingChange(lines: readonly Line[]): number {
  const known = memory.get(lines);
  if (known !== undefined) return known;
  const change = lines.reduce((sum, line) => sum + nesting(line), 0);
  memory.set(lines, change);
  return change;
}
