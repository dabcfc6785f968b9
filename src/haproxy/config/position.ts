import { serversByLine } from "./servers.ts";
import type { Config, Section } from "./types.ts";

/** What a line of the printed text belongs to. */
export interface Position {
  /** Kind and name of the section. */
  readonly kind: string;
  readonly name?: string;
  /** The server's name, on a server line. */
  readonly server?: string;
}

/**
 * Finds a line of the printed text, for what `haproxy -c` says of `[file:line]`.
 *
 * @param lineNumber from 1
 * @returns undefined where the text has no such line, and for lines before the first section
 */
export function lineAt(config: Config, lineNumber: number): Position | undefined {
  let index = lineNumber - 1 - config.preamble.length;
  if (index < 0) return undefined;
  for (const section of config.sections) {
    if (index <= section.lines.length) return position(section, serversByLine(section).get(index - 1)?.name);
    index -= section.lines.length + 1;
  }
  return undefined;
}

function position({ kind, name }: Section, server: string | undefined): Position {
  return { kind, ...(name === undefined ? {} : { name }), ...(server === undefined ? {} : { server }) };
}
