import { nestingChange } from "./conditions.ts";
import { defaultServerOf } from "./default-server.ts";
import { holdsServers } from "./servers.ts";
import type { Config, DefaultServer, Line, Section } from "./types.ts";
import { splitWords, tokenize } from "./words.ts";

/**
 * The words that open a section, in any version from 2.6 to 3.4 (configuration manual, chapters 3, 4, 10 to 12).
 * HAProxy goes by the first word alone: neither column nor blank lines matter. A word that this table has and the
 * installed version has not makes `haproxy -c` refuse the file, so nothing is lost by knowing it; nor by taking `no
 * backend b` for no header, which HAProxy takes for one and refuses.
 */
const sectionKinds: ReadonlySet<string> = new Set([
  "global",
  "defaults",
  "frontend",
  "backend",
  "listen",
  "peers",
  "resolvers",
  "mailers",
  "userlist",
  "program",
  "ring",
  "cache",
  "http-errors",
  "fcgi-app",
  "log-forward",
  "log-profile",
  "namespace_list",
  "crt-store",
  "traces",
  "acme",
  "healthcheck",
]);

/**
 * Finds the lines that may open a section: they begin with one of the words, or with a word that has quotes or escapes
 * in it. Matches end where that word begins.
 */
const headerCandidate = new RegExp(
  `(?:^|\\n)[ \\t\\v\\f\\r]*(?=(?:${[...sectionKinds].join("|")})(?:[ \\t\\v\\f\\r\\n#"'\\\\]|$)|[^ \\t\\v\\f\\r\\n#]*["'\\\\])`,
  "g",
);

/**
 * Takes a haproxy.cfg apart. Any text will do; `printConfig` gives it back byte for byte when it ends in a newline.
 *
 * A backend, listen or defaults section inherits from the last defaults section above it that has the name behind its
 * `from`; without `from`, a backend or listen section inherits from the last one above it, named or not, and a
 * defaults section from none (configuration manual, chapter 4; checked against 2.6.12).
 *
 * @param cache makes sections that did not change since an earlier call come back as the same objects
 */
export function parseConfig(text: string, cache?: SectionCache): Config {
  const starts = sectionStarts(text);
  const preamble = parseLines(text.slice(0, starts[0] ?? text.length));
  const sections: Section[] = [];
  const named = new Map<string, DefaultServer | undefined>();
  let last: DefaultServer | undefined;
  let depth = Math.max(0, nestingChange(preamble));
  for (const [index, start] of starts.entries()) {
    const raw = text.slice(start, starts[index + 1] ?? text.length);
    const section = parseSection(raw, cache, ({ kind, from }) => {
      const conditional = depth > 0;
      if (kind !== "defaults" && !holdsServers(kind)) return { inherited: undefined, conditional };
      if (from !== undefined) return { inherited: named.get(from), conditional };
      return { inherited: kind === "defaults" ? undefined : last, conditional };
    });
    sections.push(section);
    if (section.kind === "defaults") {
      last = defaultServerOf(section);
      if (section.name !== undefined) named.set(section.name, last);
    }
    depth = Math.max(0, depth + nestingChange(section.lines));
  }
  cache?.trim(sections.length);
  return { preamble, sections };
}

/** Offsets of the lines that open a section. */
function sectionStarts(text: string): readonly number[] {
  const starts: number[] = [];
  headerCandidate.lastIndex = 0;
  for (let match = headerCandidate.exec(text); match !== null; match = headerCandidate.exec(text)) {
    const lineStart = match[0].startsWith("\n") ? match.index + 1 : match.index;
    const lineEnd = text.indexOf("\n", lineStart);
    const [word] = splitWords(text.slice(lineStart, lineEnd === -1 ? text.length : lineEnd));
    if (word !== undefined && sectionKinds.has(word)) starts.push(lineStart);
    // An empty match (a candidate at the very start of the text) would be found for ever.
    if (match[0] === "") headerCandidate.lastIndex += 1;
  }
  return starts;
}

/** What a section's place in the text adds to its own words. */
interface Place {
  readonly inherited: DefaultServer | undefined;
  readonly conditional: boolean;
}

function parseSection(raw: string, cache: SectionCache | undefined, placeOf: (section: Section) => Place): Section {
  const known = cache?.get(raw);
  // A slice keeps the whole text it was cut from in memory; what the cache keeps must be a string of its own.
  const own = known === undefined && cache !== undefined ? ` ${raw}`.slice(1) : raw;
  const parsed = known ?? bareSection(own);
  const section = placed(parsed, placeOf(parsed));
  if (section !== known) cache?.set(own, section);
  return section;
}

function bareSection(raw: string): Section {
  const [header, ...lines] = parseLines(raw) as [Line, ...Line[]];
  const [kind = "", ...rest] = header.words;
  const { name, from } = headerNames(kind, rest);
  return { kind, ...(name === undefined ? {} : { name }), ...(from === undefined ? {} : { from }), header, lines };
}

/** `<kind> [<name>] [from <defaults>]`, and `defaults from <defaults>` for an unnamed one. */
function headerNames(
  kind: string,
  rest: readonly string[],
): { readonly name?: string | undefined; readonly from?: string | undefined } {
  if (kind === "defaults" && rest[0] === "from" && rest.length === 2) return { from: rest[1] };
  const proxy = kind === "defaults" || kind === "frontend" || kind === "backend" || kind === "listen";
  return { name: rest[0], from: proxy && rest[1] === "from" ? rest[2] : undefined };
}

function placed(section: Section, { inherited, conditional }: Place): Section {
  if ((section.conditional ?? false) === conditional && sameDefaultServer(section.inherited, inherited)) return section;
  const { inherited: _inherited, conditional: _conditional, ...bare } = section;
  return { ...bare, ...(inherited === undefined ? {} : { inherited }), ...(conditional ? { conditional } : {}) };
}

function sameDefaultServer(a: DefaultServer | undefined, b: DefaultServer | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return (
    a.uncertain === b.uncertain &&
    a.words.length === b.words.length &&
    a.words.every((word, index) => word === b.words[index])
  );
}

/** Lines of a text; its last newline ends a line and begins none. */
function parseLines(text: string): readonly Line[] {
  if (text === "") return [];
  const raws = (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
  return raws.map((raw) => ({ raw, ...tokenize(raw) }));
}

/**
 * Remembers sections by their text, so that a text of which little changed costs little to parse and gives the same
 * Section objects for all that did not change. Bounded by what the last texts had: twice the sections of the last
 * text and some more, the longest unused go first.
 */
export class SectionCache {
  readonly #entries = new Map<string, Entry>();

  /** The section last seen with this text. */
  get(raw: string): Section | undefined {
    const entry = this.#entries.get(raw);
    if (entry === undefined) return undefined;
    // To the end of the order, under the key it had: the caller's string may hold the whole text it was cut from.
    this.#entries.delete(entry.raw);
    this.#entries.set(entry.raw, entry);
    return entry.section;
  }

  /** @param raw kept as the key unless the text is known: a string of its own, no slice of a larger one */
  set(raw: string, section: Section): void {
    const key = this.#entries.get(raw)?.raw ?? raw;
    this.#entries.delete(key);
    this.#entries.set(key, { raw: key, section });
  }

  /** Called after each text with the number of its sections. */
  trim(sections: number): void {
    const bound = sections * 2 + 100;
    for (const raw of this.#entries.keys()) {
      if (this.#entries.size <= bound) return;
      this.#entries.delete(raw);
    }
  }

  get size(): number {
    return this.#entries.size;
  }
}

interface Entry {
  readonly raw: string;
  readonly section: Section;
}
