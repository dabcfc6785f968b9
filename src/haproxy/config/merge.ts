import { defaultServerOf } from "./default-server.ts";
import { sectionsByKey, sectionsEqual } from "./equality.ts";
import { holdsServers, serverLines, serversByLine } from "./servers.ts";
import type { Config, Line, Section, ServerLine } from "./types.ts";

/**
 * The structure of one configuration with the endpoints of another: what the file has to say while a structural
 * change is refused or still to come and servers go on changing. The rule:
 *
 * - Only backend and listen sections that both have are touched, and in them only the lines `serverLines` knows.
 * - A server that `endpoints` has not is dropped. One that only `endpoints` has is added as it stands there, behind the
 *   server it stands behind there, or where the first server stood, or else at the end of the section.
 * - One that both have becomes the line of `endpoints`. Where the sections differ in anything but servers, or in
 *   what they inherit from `default-server`, it does so only when its options and those of the default-server in
 *   force are the same words in both; else the line of `structure` stays.
 *
 * Sections in which no server line changes come back as the same objects. Names are taken to be unique in a section:
 * HAProxy refuses others.
 */
export function mergeEndpoints(structure: Config, endpoints: Config): Config {
  const others = sectionsByKey(endpoints);
  const merged = new Map<Section, Section>();
  for (const [key, section] of sectionsByKey(structure)) {
    const other = others.get(key);
    if (other !== undefined && mergeable(section) && mergeable(other))
      merged.set(section, mergeSection(section, other));
  }
  return {
    preamble: structure.preamble,
    sections: structure.sections.map((section) => merged.get(section) ?? section),
  };
}

function mergeable(section: Section): boolean {
  return holdsServers(section.kind) && section.conditional === undefined;
}

function mergeSection(section: Section, other: Section): Section {
  if (sectionsEqual(section, other, { ignoreServers: false })) return section;
  const sameStructure =
    sectionsEqual(section, other, { ignoreServers: true }) &&
    sameWords(defaultServerOf(section)?.words ?? [], defaultServerOf(other)?.words ?? []);
  const incoming = new Map(serverLines(other).map((server) => [server.name, server]));
  const existing = serversByLine(section);
  const arrivals = arrivalsByPredecessor(
    serverLines(other),
    new Set([...existing.values()].map((server) => server.name)),
  );

  const lines: Line[] = [];
  let first = true;
  for (const [index, line] of section.lines.entries()) {
    const server = existing.get(index);
    if (server === undefined) {
      lines.push(line);
      continue;
    }
    if (first) lines.push(...(arrivals.get(undefined) ?? []));
    first = false;
    const replacement = incoming.get(server.name);
    if (replacement === undefined) continue;
    lines.push(sameStructure || sameOptions(server, replacement) ? replacement.line : line);
    lines.push(...(arrivals.get(server.name) ?? []));
  }
  if (first) lines.splice(endOfContent(lines), 0, ...(arrivals.get(undefined) ?? []));
  return sameLines(section.lines, lines) ? section : { ...section, lines };
}

/** The lines of servers that are new, by the known server they follow; undefined for those before any. */
function arrivalsByPredecessor(
  servers: readonly ServerLine[],
  known: ReadonlySet<string>,
): ReadonlyMap<string | undefined, readonly Line[]> {
  const arrivals = new Map<string | undefined, Line[]>();
  let predecessor: string | undefined;
  for (const server of servers) {
    if (known.has(server.name)) {
      predecessor = server.name;
      continue;
    }
    const lines = arrivals.get(predecessor) ?? [];
    lines.push(server.line);
    arrivals.set(predecessor, lines);
  }
  return arrivals;
}

/** Index behind the last line with words. */
function endOfContent(lines: readonly Line[]): number {
  return lines.findLastIndex((line) => line.words.length > 0) + 1;
}

function sameOptions(a: ServerLine, b: ServerLine): boolean {
  return a.uncertain === b.uncertain && sameWords(a.options, b.options) && sameWords(a.defaults, b.defaults);
}

function sameWords(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, index) => word === b[index]);
}

function sameLines(a: readonly Line[], b: readonly Line[]): boolean {
  return a.length === b.length && a.every((line, index) => line.raw === b[index]?.raw);
}
