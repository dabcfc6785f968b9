import { nesting } from "./conditions.ts";
import { isStructureLine, structureVariable } from "./equality.ts";
import { parseConfig } from "./parse.ts";
import { printConfig } from "./print.ts";
import type { Config, Line, Section } from "./types.ts";
import { quoteWord, splitWords } from "./words.ts";

/** What Sluice needs in every configuration, whatever the template says. */
export interface GlobalLines {
  /** Digest of the structure, told back by `show env SLUICE_STRUCTURE`. */
  readonly structure?: string;
  /** Path of the Runtime API's socket. */
  readonly statsSocket?: string;
}

/**
 * Puts Sluice's own lines into the first `global` section of a text, or into a new one at the top:
 *
 * - `setenv SLUICE_STRUCTURE <digest>` directly behind the header; others of its kind are taken out. Where a
 *   `resetenv` or `unsetenv` would wipe the variable out again (configuration manual 3.1), behind the last of them
 * - `stats socket <path> mode 600 level admin expose-fd listeners`, unless some global section has one of that path
 *
 * Doing so twice changes nothing more.
 *
 * @throws SluiceError ERR_VALUE_UNSAFE for values with control characters
 */
export function withGlobalLines(text: string, lines: GlobalLines): string {
  return printConfig(addGlobalLines(parseConfig(text), lines));
}

/** The same for a configuration that is parsed already. All sections but `global` stay the same objects. */
export function addGlobalLines(config: Config, { structure, statsSocket }: GlobalLines): Config {
  let result = withGlobal(config);
  if (statsSocket !== undefined && !hasStatsSocket(result, statsSocket)) {
    const socket = `  stats socket ${quoteWord(statsSocket)} mode 600 level admin expose-fd listeners`;
    result = insertLine(result, behindHeader(result), socket);
  }
  if (structure !== undefined) {
    result = withoutStructure(result);
    const place = behindLastWipe(result) ?? behindHeader(result);
    result = insertLine(result, place, `  setenv ${structureVariable} ${quoteWord(structure)}`);
  }
  return result;
}

/** The digest that `withGlobalLines` wrote; undefined where there is none. */
export function structureOf(config: Config): string | undefined {
  return config.sections.flatMap((section) => section.lines.filter((line) => isStructureLine(section, line))).at(-1)
    ?.words[2];
}

/** A `global` that is there for sure. */
function isGlobal(section: Section): boolean {
  return section.kind === "global" && section.conditional === undefined;
}

function withGlobal(config: Config): Config {
  if (config.sections.some(isGlobal)) return config;
  // At the very top, before any `.if`: what stood before the first section now follows the new header.
  const header = madeLine("global");
  const created: Section = { kind: "global", header, lines: [...config.preamble] };
  return { preamble: [], sections: [created, ...config.sections] };
}

/** Whether a global section opens this socket: `stats socket <path> …`, `stats socket unix@<path> …` */
export function hasStatsSocket(config: Config, path: string): boolean {
  return config.sections.some(
    (section) =>
      isGlobal(section) &&
      section.lines.some(
        ({ words }) =>
          words[0] === "stats" && words[1] === "socket" && (words[2] === path || words[2] === `unix@${path}`),
      ),
  );
}

function withoutStructure(config: Config): Config {
  const sections = config.sections.map((section) =>
    section.lines.some((line) => isStructureLine(section, line))
      ? { ...section, lines: section.lines.filter((line) => !isStructureLine(section, line)) }
      : section,
  );
  return { ...config, sections };
}

/** An index in `sections` and one in its `lines`. */
interface Place {
  readonly section: number;
  readonly line: number;
}

function behindHeader(config: Config): Place {
  return { section: config.sections.findIndex(isGlobal), line: 0 };
}

/** Behind the last line outside `.if` blocks that can wipe the variable out. */
function behindLastWipe(config: Config): Place | undefined {
  let last: Place | undefined;
  for (const [index, section] of config.sections.entries()) {
    if (!isGlobal(section)) continue;
    let depth = 0;
    for (const [at, line] of section.lines.entries()) {
      depth += nesting(line);
      if (depth === 0 && wipes(line)) last = { section: index, line: at + 1 };
    }
  }
  return last;
}

/** `resetenv [<name to keep>…]`, `unsetenv <name>…` */
function wipes({ words }: Line): boolean {
  if (words[0] === "resetenv") return !words.includes(structureVariable);
  return words[0] === "unsetenv" && words.includes(structureVariable);
}

function insertLine(config: Config, { section, line }: Place, raw: string): Config {
  const target = config.sections[section];
  if (target === undefined) return config;
  const lines = target.lines.toSpliced(line, 0, madeLine(raw));
  return { ...config, sections: config.sections.with(section, { ...target, lines }) };
}

function madeLine(raw: string): Line {
  return { raw, words: splitWords(raw) };
}
