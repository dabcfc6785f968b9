import { SluiceError } from "../../support/errors.ts";

/** A line's words, and where environment variables stand in them (see `Line`). */
export interface Tokens {
  readonly words: readonly string[];
  readonly variables?: readonly string[];
}

/**
 * Splits a line of haproxy.cfg into words as HAProxy does (configuration manual 2.2 and 2.3; checked against 2.6.12):
 *
 * - space, tab, vertical tab and form feed part words; a carriage return ends the line unless it stands behind one
 * - `#` outside quotes begins a comment, also within a word
 * - '…' takes all as it is; "…" knows escapes and environment variables
 * - outside '…': `\n \r \t`, a space, `\ ' " #` behind a backslash, `\xHH` for a byte; `\$` only within "…"; before any
 *   other character the backslash stands for itself
 * - `$NAME`, `${NAME}`, `${NAME-default}`, `${NAME[*]}` within "…" stay as written; elsewhere a dollar is a dollar
 *
 * A byte from 0x80 on that was written as `\xHH` becomes the lone surrogate U+DC00 + byte: HAProxy sees a byte, not a
 * character, and no text read from UTF-8 can equal it. A line HAProxy cannot split (open quote, bad `\x`, bad variable)
 * is one opaque word, the line itself.
 */
export function tokenize(raw: string): Tokens {
  const line = raw.replace(/^[ \t\v\f\r\n]+/, "").replace(/\r$/, "");
  if (!/["'\\#\r\n]/.test(line)) {
    return { words: line === "" ? [] : line.split(/[ \t\v\f]+/).filter((word) => word !== "") };
  }
  return new Splitter(line).split() ?? { words: [raw] };
}

/** The words of `tokenize`. */
export function splitWords(raw: string): readonly string[] {
  return tokenize(raw).words;
}

const hexEscape = /\\x([0-9a-fA-F]{2})/y;
const variable = /\$(?:\{[A-Za-z_.][A-Za-z0-9_]*(?:\[\*\])?(?:-[^}]*)?\}|[A-Za-z_.][A-Za-z0-9_]*)/y;
const namedEscapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  [" ", " "],
  ["\\", "\\"],
  ["'", "'"],
  ['"', '"'],
  ["#", "#"],
]);

/** The slow way, for lines with quotes, escapes or comments. */
class Splitter {
  readonly #line: string;
  readonly #words: string[] = [];
  readonly #variables: string[] = [];
  #at = 0;
  #word: string | undefined;
  #quote: '"' | "'" | undefined;

  constructor(line: string) {
    this.#line = line;
  }

  /** Undefined where HAProxy refuses the line. */
  split(): Tokens | undefined {
    while (this.#at < this.#line.length) {
      const character = this.#line.charAt(this.#at);
      if (character === "\r" || character === "\n") break;
      if (character === this.#quote) {
        this.#quote = undefined;
        this.#at += 1;
      } else if (this.#quote === "'") {
        this.#take(character, 1);
      } else if (character === "\\") {
        if (!this.#escape()) return undefined;
      } else if (this.#quote === '"') {
        if (character !== "$") this.#take(character, 1);
        else if (!this.#variable()) return undefined;
      } else if (character === "#") {
        break;
      } else {
        this.#unquoted(character);
      }
    }
    if (this.#quote !== undefined) return undefined;
    this.#endWord();
    return this.#variables.length === 0 ? { words: this.#words } : { words: this.#words, variables: this.#variables };
  }

  #unquoted(character: string): void {
    if (character === '"' || character === "'") {
      this.#quote = character;
      this.#take("", 1);
    } else if (/[ \t\v\f]/.test(character)) {
      this.#endWord();
      while (/[ \t\v\f\r\n]/.test(this.#line.charAt(this.#at))) this.#at += 1;
    } else {
      this.#take(character, 1);
    }
  }

  #escape(): boolean {
    const next = this.#line.charAt(this.#at + 1);
    if (next === "x") {
      const digits = this.#match(hexEscape)?.[1];
      if (digits === undefined) return false;
      const byte = Number.parseInt(digits, 16);
      this.#take(String.fromCharCode(byte < 0x80 ? byte : 0xdc00 + byte), 4);
      return true;
    }
    const meant = next === "$" && this.#quote === '"' ? "$" : namedEscapes.get(next);
    if (meant === undefined) this.#take("\\", 1);
    else this.#take(meant, 2);
    return true;
  }

  #variable(): boolean {
    const written = this.#match(variable)?.[0];
    if (written === undefined) return false;
    this.#variables.push(`${this.#words.length}:${this.#word?.length ?? 0}`);
    this.#take(written, written.length);
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#line);
  }

  #take(text: string, consumed: number): void {
    this.#word = (this.#word ?? "") + text;
    this.#at += consumed;
  }

  #endWord(): void {
    if (this.#word !== undefined) this.#words.push(this.#word);
    this.#word = undefined;
  }
}

/**
 * A word written so that HAProxy reads back exactly this word: as it is where nothing in it is special, in '…' where
 * that will do, else with backslashes. The word is text: a dollar in it never becomes a variable.
 *
 * @throws SluiceError ERR_VALUE_UNSAFE for control characters (0x00..0x1f, 0x7f) and for surrogates that stand for no byte
 */
export function quoteWord(word: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\x00-\x1f\x7f]/.test(word)) {
    throw new SluiceError(
      "ERR_VALUE_UNSAFE",
      `The value ${JSON.stringify(word)} has a control character and cannot stand in haproxy.cfg; take it out at its source`,
    );
  }
  if (word === "") return "''";
  if (!/[\s"'\\#$\ud800-\udfff]/.test(word)) return word;
  if (!/['\ud800-\udfff]/.test(word)) return `'${word}'`;
  let quoted = "";
  for (const character of word) quoted += escapeCharacter(character, word);
  return quoted;
}

function escapeCharacter(character: string, word: string): string {
  if (/[ "'\\#]/.test(character)) return `\\${character}`;
  const code = character.charCodeAt(0);
  if (character.length === 1 && code >= 0xd800 && code <= 0xdfff) {
    if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`;
    throw new SluiceError(
      "ERR_VALUE_UNSAFE",
      `The value ${JSON.stringify(word)} has half a character in it and cannot stand in haproxy.cfg; correct it at its source`,
    );
  }
  return character;
}
