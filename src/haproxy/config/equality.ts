import { serversByLine } from "./servers.ts";
import type { Config, Line, Section } from "./types.ts";

/** The variable of HAProxy's environment that tells the digest of the structure it was started with. */
export const structureVariable = "SLUICE_STRUCTURE";

export interface Comparison {
  /** Leave out the `server` lines that `serverLines` knows: they are compared one by one elsewhere. */
  readonly ignoreServers: boolean;
}

/**
 * Whether two sections mean the same to HAProxy as far as words tell: same header, same sequence of lines with words.
 * Comments, blank lines, indentation and the way of quoting do not count, nor does Sluice's own `setenv` line in
 * `global`, which only repeats what the rest of the file is. What they inherit from `defaults` is not compared.
 */
export function sectionsEqual(a: Section, b: Section, { ignoreServers }: Comparison): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || a.name !== b.name || a.from !== b.from || a.conditional !== b.conditional) return false;
  if (ignoreServers) return sectionStructure(a) === sectionStructure(b);
  return canonical(a, () => true) === canonical(b, () => true);
}

/**
 * The canonical text of everything but server lines, for a digest: equal for configurations that `sectionsEqual` with
 * `ignoreServers` finds equal section by section, in the same order.
 */
export function structureText(config: Config): string {
  return [
    ...config.preamble.map(canonicalLine).filter((text) => text !== ""),
    ...config.sections.map(sectionStructure),
  ].join("\n");
}

const memory = new WeakMap<Section, string>();

/** A section's part of `structureText`. Remembered per Section. */
function sectionStructure(section: Section): string {
  const known = memory.get(section);
  if (known !== undefined) return known;
  const servers = serversByLine(section);
  const text = canonical(section, (index) => !servers.has(index));
  memory.set(section, text);
  return text;
}

function canonical(section: Section, counts: (index: number) => boolean): string {
  const texts = [canonicalLine(section.header)];
  for (const [index, line] of section.lines.entries()) {
    if (line.words.length === 0 || !counts(index) || isStructureLine(section, line)) continue;
    texts.push(canonicalLine(line));
  }
  return texts.join("\n");
}

/** Empty for a line without words. JSON tells words and line ends apart whatever is in them. */
function canonicalLine(line: Line): string {
  if (line.words.length === 0) return "";
  return JSON.stringify(line.variables === undefined ? line.words : [line.words, line.variables]);
}

/** `setenv SLUICE_STRUCTURE <digest>` */
export function isStructureLine(section: Section, line: Line): boolean {
  return section.kind === "global" && line.words[0] === "setenv" && line.words[1] === structureVariable;
}

/**
 * What a section is called when two configurations are matched: `backend web`, `global`, `defaults`. From the second
 * of the same kind and name on, the ordinal is part of it: `global #2`.
 *
 * @param ordinal which of the sections of this kind and name it is, from 1
 */
export function sectionKey(section: Section, ordinal = 1): string {
  const named = section.name === undefined ? section.kind : `${section.kind} ${section.name}`;
  return ordinal === 1 ? named : `${named} #${ordinal}`;
}

const keys = new WeakMap<Config, ReadonlyMap<string, Section>>();

/** All sections of a configuration by key, in the order of the text. Remembered per Config. */
export function sectionsByKey(config: Config): ReadonlyMap<string, Section> {
  const known = keys.get(config);
  if (known !== undefined) return known;
  const sections = new Map<string, Section>();
  const ordinals = new Map<string, number>();
  for (const section of config.sections) {
    const first = sectionKey(section);
    const ordinal = (ordinals.get(first) ?? 0) + 1;
    ordinals.set(first, ordinal);
    sections.set(sectionKey(section, ordinal), section);
  }
  keys.set(config, sections);
  return sections;
}
