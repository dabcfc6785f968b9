/**
 * Regular expressions of strangers that go into a map: HAProxy refuses a whole file for one that its library (PCRE2)
 * cannot read, and one that tries without end would hold up every request. So only what reads the same everywhere is
 * taken, and nothing that is repeated within what is repeated.
 */

const longest = 512;
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
    /** For each group that is open whether something in it is repeated. */
    const repeats: boolean[] = [false];
    while (this.#at < this.#source.length) {
      const sign = this.#take();
      if (sign === "\\") {
        if (!escapes.test(this.#take())) return "has an escape that is not known everywhere; leave it out";
      } else if (sign === "[") {
        const problem = this.#class();
        if (problem !== undefined) return problem;
      } else if (sign === "(") {
        if (this.#source[this.#at] === "?" && this.#source.slice(this.#at, this.#at + 2) !== "?:") {
          return "has a group beginning with (?; only (?: is taken";
        }
        if (this.#source[this.#at] === "?") this.#at += 2;
        repeats.push(false);
        continue;
      }
      const inner = sign === ")" && repeats.pop() === true;
      const repeated = this.#quantifier();
      if (repeated === "too many") return "repeats something more than 1000 times";
      if (inner && repeated === "many") return "repeats what has a repetition in it; that may take without end";
      if (inner || repeated === "many") repeats[repeats.length - 1] = true;
    }
    return undefined;
  }

  #take(): string {
    const sign = this.#source[this.#at] ?? "";
    this.#at += 1;
    return sign;
  }

  #class(): string | undefined {
    if (this.#source[this.#at] === "^") this.#at += 1;
    if (this.#source[this.#at] === "]") return "has brackets with nothing in them";
    for (let sign = this.#take(); sign !== "]" && sign !== ""; sign = this.#take()) {
      if (sign === "[") return "has a bracket within brackets; write \\[";
      if (sign === "\\" && !escapes.test(this.#take()))
        return "has an escape that is not known everywhere; leave it out";
    }
    return undefined;
  }

  #quantifier(): "no" | "once" | "many" | "too many" {
    const [, sign = ""] = /^([*+?]|\{\d+(?:,\d*)?\})\??/.exec(this.#source.slice(this.#at)) ?? [];
    if (sign === "") return "no";
    this.#at += sign.length;
    if (this.#source[this.#at] === "?") this.#at += 1;
    const numbers = (sign.match(/\d+/g) ?? []).map(Number);
    if (numbers.some((number) => number > 1_000)) return "too many";
    return sign === "?" ? "once" : "many";
  }
}
