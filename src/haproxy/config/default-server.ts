import { nesting } from "./conditions.ts";
import type { DefaultServer, Line, Section } from "./types.ts";

/**
 * The `default-server` lines in force at the end of a section (configuration manual 4.2 and 5.2): those of its defaults,
 * then its own, in order. A server obeys only what stands above it: see `ServerLine.defaults`.
 *
 * @returns undefined where there are none
 */
export function defaultServerOf(section: Section): DefaultServer | undefined {
  let inForce = section.inherited;
  let depth = section.conditional === undefined ? 0 : 1;
  for (const line of section.lines) {
    depth += nesting(line);
    if (line.words[0] === "default-server") inForce = addDefaultServer(inForce, line, depth > 0);
  }
  return inForce;
}

/**
 * What is in force below a `default-server` line.
 *
 * @param conditional whether the line stands within an `.if` block
 */
export function addDefaultServer(above: DefaultServer | undefined, line: Line, conditional: boolean): DefaultServer {
  return {
    words: [...(above?.words ?? []), ...line.words.slice(1)],
    uncertain: (above?.uncertain ?? false) || conditional || line.variables !== undefined,
  };
}
