/**
 * Globs of host names, as Fabio reads them (github.com/gobwas/glob without separators): `*` and `**` are any
 * characters, dots too, or none; `?` is one; `[abc]` and `[a-z]` one of these, `[!abc]` none of these; `{a,b}` one
 * of these globs; `\` takes a sign's meaning away. There is one range or one list in brackets, never both, and braces
 * that are left open are closed at the end.
 */

/** One part of a glob without braces: any characters, or one that is in a set, or one that is not. */
type Part =
  | { readonly kind: "any" }
  | { readonly kind: "one"; readonly not: boolean; readonly from: readonly (readonly [string, string])[] };

/** Braces stand for so many globs at most: each of them is tried. */
const mostAlternatives = 64;
const special = /[*?[{\\]/;
const anyCharacter: Part = { kind: "one", not: true, from: [] };

/** Whether a host has signs of a glob in it. */
export function isGlob(host: string): boolean {
  return special.test(host);
}

/** What is wrong with a glob, in words a person understands; `undefined` where it can be used. */
export function globProblem(glob: string): string | undefined {
  const read = readGlob(glob);
  return typeof read === "string" ? read : undefined;
}

/**
 * A regular expression (PCRE) for the whole host name in lower case. It is made of ASCII without spaces, and takes no
 * longer than the name's length times the glob's: what stands behind a `*` is looked for from the left, once, and a
 * place that was found is not given back.
 *
 * @throws RangeError for a glob that `globProblem` finds fault with
 */
export function globPattern(glob: string): string {
  const patterns = alternativesOf(glob).map(patternOf);
  return patterns.length === 1 ? `^${patterns[0]}$` : `^(?:${patterns.join("|")})$`;
}

/** Whether a glob takes a host name in lower case. */
export function globMatches(glob: string, host: string): boolean {
  const text = [...host].map(literal);
  return alternativesOf(glob).some((parts) => covers(parts, text));
}

/** Whether every host name that `narrow` takes is one that `wide` takes too, as far as their signs can tell. */
export function globCovers(wide: string, narrow: string): boolean {
  if (endDifferently(wide, narrow)) return false;
  const wider = alternativesOf(wide);
  return alternativesOf(narrow).every((parts) => wider.some((one) => covers(one, parts)));
}

/** Whether no name can end as both do, told by the plain signs at their ends: that is quickly seen, and mostly so. */
function endDifferently(a: string, b: string): boolean {
  const [one, other] = [endOf(a), endOf(b)];
  return one.length <= other.length ? !other.endsWith(one) : !one.endsWith(other);
}

const ends = new Map<string, string>();

function endOf(glob: string): string {
  const before = ends.get(glob);
  if (before !== undefined) return before;
  if (ends.size >= mostKnown) ends.clear();
  const end = glob.includes("{") ? "" : (/[a-z0-9._-]*$/.exec(glob)?.[0] ?? "");
  ends.set(glob, end);
  return end;
}

/** The most specific first, which is told from the end of the name: as Fabio sorts its hosts. */
export function compareGlobs(a: string, b: string): number {
  const [one, other] = [backwards(a), backwards(b)];
  return one < other ? 1 : one > other ? -1 : 0;
}

function backwards(text: string): string {
  return [...text].reverse().join("");
}

const known = new Map<string, readonly Part[][] | string>();
/** Globs that are remembered; then all are forgotten at once. */
const mostKnown = 4_096;

function alternativesOf(glob: string): readonly Part[][] {
  const read = readGlob(glob);
  if (typeof read === "string") throw new RangeError(`glob ${glob} ${read}`);
  return read;
}

function readGlob(glob: string): readonly Part[][] | string {
  const before = known.get(glob);
  if (before !== undefined) return before;
  const read = parse(glob);
  if (known.size >= mostKnown) known.clear();
  known.set(glob, read);
  return read;
}

/** Readings of a glob's signs so far, one for each combination of what its braces hold. */
type Alternatives = Part[][];

/** Braces that are open: what stood before them, and the alternatives in them that are whole. */
interface Braces {
  readonly before: Alternatives;
  readonly whole: Alternatives;
}

function parse(glob: string): Alternatives | string {
  if (!/^[!-~]+$/.test(glob)) return "has signs that no host name has; write an international name as xn--…";
  const open: Braces[] = [];
  let current: Alternatives = [[]];
  const add = (part: Part) => {
    current = current.map((parts) => (part.kind === "any" && parts.at(-1)?.kind === "any" ? parts : [...parts, part]));
  };
  const close = (braces: Braces): boolean => {
    const within = [...braces.whole, ...current];
    current = braces.before.flatMap((parts) => within.map((more) => [...parts, ...more]));
    return current.length <= mostAlternatives;
  };
  const tooMany = `stands for more than ${mostAlternatives} names; write several`;
  for (let at = 0; at < glob.length; at += 1) {
    const sign = glob.charAt(at);
    const braces = open.at(-1);
    if (sign === "*") add({ kind: "any" });
    else if (sign === "?") add(anyCharacter);
    else if (sign === "[") {
      const set = readSet(glob, at + 1);
      if (typeof set === "string") return set;
      add(set.part);
      at = set.end;
    } else if (sign === "{") {
      open.push({ before: current, whole: [] });
      current = [[]];
    } else if (sign === "," && braces !== undefined) {
      braces.whole.push(...current);
      if (braces.whole.length > mostAlternatives) return tooMany;
      current = [[]];
    } else if (sign === "}" && braces !== undefined) {
      open.pop();
      if (!close(braces)) return tooMany;
    } else if (sign === "\\") {
      at += 1;
      if (at < glob.length) add(literal(glob.charAt(at)));
    } else add(literal(sign));
  }
  for (let braces = open.pop(); braces !== undefined; braces = open.pop()) if (!close(braces)) return tooMany;
  return current;
}

/** What stands in brackets, from behind the opening one. `end`: where the closing one is. */
function readSet(glob: string, start: number): { readonly part: Part; readonly end: number } | string {
  const not = glob.charAt(start) === "!";
  let at = not ? start + 1 : start;
  if (glob.charAt(at + 1) === "-" && at + 2 < glob.length) {
    const [low, high] = [glob.charAt(at), glob.charAt(at + 2)];
    if (glob.charAt(at + 3) !== "]") return "has more than one range in brackets; write {[a-z],[0-9]}";
    if (high < low) return `has the range ${low}-${high}, whose end comes before its beginning`;
    return { part: { kind: "one", not, from: [[low, high]] }, end: at + 3 };
  }
  const from: (readonly [string, string])[] = [];
  for (; at < glob.length; at += 1) {
    const sign = glob.charAt(at);
    if (sign === "]") {
      return from.length === 0 ? "has brackets with nothing in them" : { part: { kind: "one", not, from }, end: at };
    }
    if (sign === "\\") at += 1;
    if (at < glob.length) from.push([glob.charAt(at), glob.charAt(at)]);
  }
  return "has a bracket that is not closed";
}

function literal(sign: string): Part {
  return { kind: "one", not: false, from: [[sign, sign]] };
}

function patternOf(parts: readonly Part[]): string {
  let pattern = "";
  let found = "";
  let behindAny = false;
  for (const part of parts) {
    if (part.kind === "one") {
      found += setPattern(part);
      continue;
    }
    // The first place where it is found is as good as any later one, as its length is fixed.
    pattern += behindAny ? `(?>.*?${found})` : found;
    found = "";
    behindAny = true;
  }
  return behindAny ? `${pattern}.*${found}` : found;
}

function setPattern({ not, from }: Part & { readonly kind: "one" }): string {
  const [first] = from;
  if (first === undefined) return ".";
  if (!not && from.length === 1 && first[0] === first[1]) return escaped(first[0]);
  const ranges = from.map(([low, high]) => (low === high ? escaped(low) : `${escaped(low)}-${escaped(high)}`));
  return `[${not ? "^" : ""}${ranges.join("")}]`;
}

function escaped(sign: string): string {
  return /[A-Za-z0-9_]/.test(sign) ? sign : `\\${sign}`;
}

/** Whether every text that `narrow` stands for is one of `wide`'s. */
function covers(wide: readonly Part[], narrow: readonly Part[]): boolean {
  let [at, other] = [0, 0];
  let star: { readonly at: number; other: number } | undefined;
  while (other < narrow.length) {
    const [part, taken] = [wide[at], narrow[other]];
    if (part?.kind === "any") {
      star = { at, other };
      at += 1;
    } else if (part !== undefined && taken?.kind === "one" && includes(part, taken)) {
      at += 1;
      other += 1;
    } else if (star !== undefined) {
      star.other += 1;
      at = star.at + 1;
      other = star.other;
    } else return false;
  }
  return wide.slice(at).every((part) => part.kind === "any");
}

function includes(wide: Part & { readonly kind: "one" }, narrow: Part & { readonly kind: "one" }): boolean {
  if (wide.not && wide.from.length === 0) return true;
  if (narrow.not) return wide.not && wide.from.every((range) => narrow.from.some((one) => within(range, one)));
  return narrow.from.every((range) =>
    wide.not
      ? wide.from.every(([low, high]) => range[1] < low || high < range[0])
      : wide.from.some((one) => within(range, one)),
  );
}

function within([low, high]: readonly [string, string], [from, to]: readonly [string, string]): boolean {
  return from <= low && high <= to;
}
