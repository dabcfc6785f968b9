import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { sectionsEqual, structureText } from "../../src/haproxy/config/equality.ts";
import { addGlobalLines, structureOf, withGlobalLines } from "../../src/haproxy/config/global-lines.ts";
import { parseConfig, SectionCache } from "../../src/haproxy/config/parse.ts";
import { lineAt } from "../../src/haproxy/config/position.ts";
import { printConfig } from "../../src/haproxy/config/print.ts";
import type { Config, Section } from "../../src/haproxy/config/types.ts";
import { quoteWord, splitWords, tokenize } from "../../src/haproxy/config/words.ts";

/** Characters that mean something to HAProxy, and some that do not. */
const character = fc.constantFrom(..."ab1.:/-_ \t'\"\\#$xn{}[]*\r\v\fé日\u{1f480}\u00a0\u2028");
const rawLine = fc.string({ unit: character, maxLength: 24 });

const kind = fc.constantFrom("global", "defaults", "frontend", "backend", "listen", "peers");
const name = fc.constantFrom("a", "b", "c");
const word = fc.oneof(
  name,
  fc.constantFrom("check", "weight", "5", "disabled", "it's", "a b", "#", "", "$HOME", "\\n"),
);
const header = fc
  .tuple(kind, fc.option(name), fc.option(name))
  .map(([first, own, from]) => [first, ...(own === null ? [] : [own, ...(from === null ? [] : ["from", from])])]);
const directive = fc.oneof(
  fc
    .tuple(name, fc.constantFrom("10.0.0.1:80", "[::1]:80", "host:1"), fc.array(word, { maxLength: 3 }))
    .map(([server, address, options]) => ["server", server, address, ...options]),
  fc.array(word, { maxLength: 3 }).map((words) => ["default-server", ...words]),
  fc.array(word, { maxLength: 3 }).map((words) => ["balance", ...words]),
  fc.constantFrom([".if", "1"], [".endif"], ["setenv", "SLUICE_STRUCTURE", "x"], ["resetenv"]),
);
/** The lines of a configuration as words; none is blank. */
const wordLines = fc.array(fc.oneof({ weight: 1, arbitrary: header }, { weight: 3, arbitrary: directive }), {
  maxLength: 14,
});

const plainText = wordLines.map((lines) => lines.map((words) => `${words.map(quoteWord).join(" ")}\n`).join(""));
const anyText = fc
  .array(
    fc.oneof(
      rawLine,
      wordLines.map((lines) => lines.map((words) => words.map(quoteWord).join(" ")).join("\n")),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.map((part) => `${part}\n`).join(""));

/** Another way to write a word, with the same meaning. */
function otherQuoting(text: string, style: number): string {
  if (style % 3 === 0) return quoteWord(text);
  if (style % 3 === 1) return `"${text.replace(/["\\$]/g, "\\$&")}"`;
  return text === "" ? '""' : [...text].map((one) => (/[ '"\\#]/.test(one) ? `\\${one}` : one)).join("");
}

const styles = fc.infiniteStream(fc.nat({ max: 11 }));

/** The same lines in another dress: indentation, quoting, comments, blank lines, line ends. */
function dressed(lines: readonly (readonly string[])[], style: Iterator<number>): string {
  const next = () => style.next().value as number;
  let text = "";
  for (const words of lines) {
    if (next() % 4 === 0) text += ["\n", "# comment ' \" \\\n", " \t\r\n"][next() % 3];
    text +=
      " \t".repeat(next() % 3) + words.map((one) => otherQuoting(one, next())).join(next() % 2 === 0 ? " " : "\t ");
    text += ["\n", " # c\n", "#c '\n", "\r\n"][next() % 4];
  }
  return text;
}

const bySection = (a: Config, b: Config, compare: (a: Section, b: Section) => boolean) =>
  a.sections.length === b.sections.length &&
  a.sections.every((section, index) => compare(section, b.sections[index] as Section));

test("print after parse gives back any text that ends in a newline", () => {
  fc.assert(fc.property(anyText, (text) => expect(printConfig(parseConfig(text))).toBe(text)));
});

test("a quoted word splits back to exactly that word", () => {
  const carried = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are refused
    return !/[\x00-\x1f\x7f]/.test(text) && text.isWellFormed();
  });
  const special = fc.string({ unit: fc.constantFrom(..."a '\"\\#$x41{}\udc80\udcff"), maxLength: 10 });
  fc.assert(
    fc.property(fc.oneof(carried, special), (text) => {
      expect(tokenize(quoteWord(text))).toEqual({ words: [text] });
      expect(splitWords(`\t${quoteWord(text)} x${quoteWord(text)}#`)).toEqual([text, `x${text}`]);
    }),
  );
});

test("lines without special characters split at white space", () => {
  const plain = fc.string({ unit: fc.constantFrom(..."ab1.:/-_$ \t\v\f"), maxLength: 24 });
  fc.assert(
    fc.property(plain, (raw) => {
      const slow = splitWords(`${raw} ''`);
      expect([...splitWords(raw), ""]).toEqual(slow);
    }),
  );
});

test("parsing with a cache gives what parsing without gives, and the same objects again", () => {
  fc.assert(
    fc.property(fc.array(anyText, { minLength: 1, maxLength: 4 }), (texts) => {
      const cache = new SectionCache();
      for (const text of [...texts, ...texts]) expect(parseConfig(text, cache)).toEqual(parseConfig(text));
      const last = texts.at(-1) as string;
      const [once, again] = [parseConfig(last, cache), parseConfig(last, cache)];
      // Two sections of one text that differ in place only push each other out.
      const distinct = new Set(
        once.sections.map(({ header: { raw }, lines }) => [raw, ...lines.map((line) => line.raw)].join("\n")),
      );
      if (distinct.size === once.sections.length) expect(bySection(once, again, (a, b) => a === b)).toBe(true);
    }),
  );
});

test("equality minds words and nothing else", () => {
  fc.assert(
    fc.property(wordLines, styles, (lines, style) => {
      const plain = parseConfig(lines.map((words) => `${words.map(quoteWord).join(" ")}\n`).join(""));
      const other = parseConfig(dressed(lines, style[Symbol.iterator]()));
      for (const ignoreServers of [true, false]) {
        expect(bySection(plain, other, (a, b) => sectionsEqual(a, b, { ignoreServers }))).toBe(true);
        expect(bySection(other, plain, (a, b) => sectionsEqual(a, b, { ignoreServers }))).toBe(true);
      }
      expect(structureText(other)).toBe(structureText(plain));
    }),
  );
});

test("equality is symmetric, and equal sections make equal structures", () => {
  fc.assert(
    fc.property(plainText, plainText, fc.boolean(), (one, two, ignoreServers) => {
      const [a, b] = [parseConfig(one), parseConfig(two)];
      for (const section of a.sections) {
        expect(sectionsEqual(section, { ...section }, { ignoreServers })).toBe(true);
        for (const other of b.sections) {
          const equal = sectionsEqual(section, other, { ignoreServers });
          expect(sectionsEqual(other, section, { ignoreServers })).toBe(equal);
          if (!equal) continue;
          const alone = (part: Section) => structureText({ preamble: [], sections: [part] });
          expect(alone(section)).toBe(alone(other));
        }
      }
    }),
  );
});

test("Sluice's global lines are found again, whatever the text", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const lines = { structure: "0123abcd", statsSocket: "/run/sluice.sock" };
      const once = withGlobalLines(text, lines);
      expect(structureOf(parseConfig(once))).toBe("0123abcd");
      expect(withGlobalLines(once, lines)).toBe(once);
      expect(printConfig(addGlobalLines(parseConfig(text), lines))).toBe(once);
    }),
  );
});

test("every line of the text has the position of its section", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const config = parseConfig(text);
      const expected = [
        ...config.preamble.map(() => undefined),
        ...config.sections.flatMap((section) => [section.kind, ...section.lines.map(() => section.kind)]),
      ];
      expect(text.split("\n").map((_, index) => lineAt(config, index + 1)?.kind)).toEqual([...expected, undefined]);
    }),
  );
});
