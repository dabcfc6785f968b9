import { structureText } from "../haproxy/config/equality.ts";
import { addGlobalLines } from "../haproxy/config/global-lines.ts";
import { parseConfig } from "../haproxy/config/parse.ts";
import { lineAt, type Position } from "../haproxy/config/position.ts";
import { printConfig } from "../haproxy/config/print.ts";
import type { Config } from "../haproxy/config/types.ts";
import { hexDigest } from "../support/digest.ts";
import type { ConfigProblem } from "./ports.ts";

/**
 * The digest of everything in a configuration that only a reload can change. Each file carries it, and the process can
 * tell it back (`show env SLUICE_STRUCTURE`), which is how a process is recognised after the operator has restarted.
 */
export function structureDigest(config: Config): string {
  return hexDigest(structureText(config));
}

/** The file that says this configuration, with the digest of its structure. */
export function fileText(config: Config, structure: string): string {
  return printConfig(addGlobalLines(config, { structure }));
}

/** What `haproxy -c` or the preflight said of a file, with the section and server each line belongs to. */
export function explain(problems: readonly ConfigProblem[], text: string): readonly string[] {
  const config = parseConfig(text);
  return problems.map(({ line, message }) => {
    const place = line === undefined ? undefined : lineAt(config, line);
    if (place === undefined) return message;
    const where = [place.kind, place.name, place.server && `server ${place.server}`].filter(Boolean).join(" ");
    return `line ${line} (${where}): ${message}`;
  });
}

/** What the lines that were named belong to. */
export function placesOf(problems: readonly ConfigProblem[], text: string): readonly Position[] {
  const config = parseConfig(text);
  return problems.flatMap(({ line }) => (line === undefined ? undefined : lineAt(config, line)) ?? []);
}

/** Whether any of the problems is one of a server's line. */
export function pointsAtServer(problems: readonly ConfigProblem[], text: string): boolean {
  return placesOf(problems, text).some(({ server }) => server !== undefined);
}
