/**
 * Regular expressions of strangers that go into a map: HAProxy refuses a whole file for one that its library (PCRE2)
 * cannot read, and one that tries without end would hold up every request. So only what reads the same everywhere is
 * taken, and nothing that is repeated within what is repeated.
 */

const longest = 512;
/** PCRE2 writes out a group that is repeated by number, and has room for 65,536 units (pcre2limits(3)). Reckoned too high. */
const mostUnits = 20_000;
/** PCRE2 allows 250. */
const deepestGroups = 50;
/** Signs behind a backslash that mean the same in PCRE2 and here: classes, and signs that stand for themselves. */
const escapes = /^[dDwWsSbB.*+?^$()[\]{}|\\/-]$/;

/** What is wrong with a regular expression, in words a person understands; `undefined` where it can be used. */
export function regexProblem(source: string): string | undefined {
  if (source.length > longest) return `is ${source.length} characters long, ${longest} can be carried`;
  if (!/^[\x20-\x7e]+$/.test(source)) return "has other characters than ASCII's printable ones";
  try {
    new RegExp(source, "u");
  } catch {
    return "is no regular expression";
  }
  return new Reader(source).problem();
}

/**
 * What stands before an expression of a stranger in a map, so that it gives up in less than a millisecond where it would
 * try for long (pcre2pattern(3), "Setting the match limit"): all other requests wait that long. It is enough for one that
 * goes through all headers of a request a few times over; with less, a client could make it fail by long headers.
 */
export const boundedTries = "(*LIMIT_MATCH=100000)";

/** One that has no white space in it, as the key of a map must be. The same expression otherwise. */
export function withoutSpaces(source: string): string {
  return source.replaceAll(" ", "\\x20");
}

class Reader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  problem(): string | undefined {
    /** For each group that is open whether something in it is repeated, and about how long it becomes. */
    const groups = [{ repeats: false, units: 0 }];
    while (this.#at < this.#source.length) {
      const begin = this.#at;
      const sign = this.#take();
      let units = 3;
      /** What has to be written out as a group is: see `withinLine`. */
      let whole = false;
      if (sign === "\\") {
        if (!escapes.test(this.#take())) return "has an escape that is not known everywhere; leave it out";
      } else if (sign === "[") {
        const problem = this.#class();
        if (problem !== undefined) return problem;
        units = 40;
        whole = /\\[sSDW]/.test(this.#source.slice(begin, this.#at));
      } else if (sign === "(") {
        if (this.#source[this.#at] === "?" && this.#source.slice(this.#at, this.#at + 2) !== "?:") {
          return "has a group beginning with (?; only (?: is taken";
        }
        if (this.#source[this.#at] === "?") this.#at += 2;
        groups.push({ repeats: false, units: 12 });
        if (groups.length > deepestGroups) return "has groups within groups too deep; write it with fewer";
        continue;
      }
      const closed = sign === ")" ? groups.pop() : undefined;
      const inner = closed?.repeats === true;
      const { kind, times } = this.#quantifier();
      if (kind === "too many") return "repeats something more than 1000 times";
      if (inner && kind === "many") return "repeats what has a repetition in it; that may take without end";
      const open = groups.at(-1);
      if (open === undefined) continue;
      if (inner || kind === "many") open.repeats = true;
      if (closed !== undefined) open.units += closed.units * times;
      else open.units += whole ? (units + 60) * times : units + 6;
      if (open.units > mostUnits) return "becomes too long where its repetitions are written out; repeat less";
    }
    return undefined;
  }

  #take(): string {
    const sign = this.#source[this.#at] ?? "";
    this.#at += 1;
    return sign;
  }

  #class(): string | undefined {
    const begin = this.#at;
    if (this.#source[this.#at] === "^") this.#at += 1;
    if (this.#source[this.#at] === "]") return "has brackets with nothing in them";
    for (let sign = this.#take(); sign !== "]" && sign !== ""; sign = this.#take()) {
      if (sign === "[") return "has a bracket within brackets; write \\[";
      if (sign === "\\" && !escapes.test(this.#take()))
        return "has an escape that is not known everywhere; leave it out";
    }
    // `[:alpha:]` and the like, which PCRE2 refuses where it does not stand in brackets itself.
    const [first = "", ...others] = this.#source.slice(begin, this.#at - 1);
    if (/[:.=]/.test(first) && others.at(-1) === first) {
      return `has brackets with ${first} at both ends, which would be a name of signs; change their order`;
    }
    return undefined;
  }

  /** `times`: how often it may be written out. */
  #quantifier(): { readonly kind: "no" | "once" | "many" | "too many"; readonly times: number } {
    const [, sign = ""] = /^([*+?]|\{\d+(?:,\d*)?\})\??/.exec(this.#source.slice(this.#at)) ?? [];
    if (sign === "") return { kind: "no", times: 1 };
    this.#at += sign.length;
    if (this.#source[this.#at] === "?") this.#at += 1;
    const numbers = (sign.match(/\d+/g) ?? []).map(Number);
    if (numbers.some((number) => number > 1_000)) return { kind: "too many", times: 1 };
    return { kind: sign === "?" ? "once" : "many", times: Math.max(2, ...numbers) };
  }
}
