// biome-ignore-all lint/suspicious/noTemplateCurlyInString: HAProxy writes variables like this
import { describe, expect, test } from "@jest/globals";
import { quoteWord, splitWords, tokenize } from "../../../../src/haproxy/config/words.ts";

describe("splitWords", () => {
  test.each<[string, readonly string[]]>([
    ["", []],
    ["   \t ", []],
    ["# a comment", []],
    ["  server s1 10.0.0.1:80\tcheck  ", ["server", "s1", "10.0.0.1:80", "check"]],
    ["acl a path /x\r", ["acl", "a", "path", "/x"]],
    ["a\vb\fc", ["a", "b", "c"]],
    ["a\rb", ["a"]],
    ["a \rb", ["a", "b"]],
    ["a b#c d", ["a", "b"]],
    ["a 'b#c' \"d#e\" f\\#g", ["a", "b#c", "d#e", "f#g"]],
    ["log-format '%ci \"%r\"'", ["log-format", '%ci "%r"']],
    ["a\"b c\"d'e f'", ["ab cde f"]],
    ["a '' \"\" b", ["a", "", "", "b"]],
    ["a\\ b \\\\ \\\" \\' \\n\\r\\t", ["a b", "\\", '"', "'", "\n\r\t"]],
    ["'a\\n\\ b'", ["a\\n\\ b"]],
    ['"a\\n\\"b\\\'"', ["a\n\"b'"]],
    ["\\x41\\x7e", ["A~"]],
    ["\\q \\$ \\X41", ["\\q", "\\$", "\\X41"]],
    ["end\\", ["end\\"]],
    ["^/a$ $HOME ${HOME}", ["^/a$", "$HOME", "${HOME}"]],
    ["a\u00a0b", ["a\u00a0b"]],
    ["é 日本", ["é", "日本"]],
  ])("%j", (raw, words) => {
    expect(splitWords(raw)).toEqual(words);
  });

  test.each([
    'server "a b',
    "server 'a b",
    '"ends in \\"',
    "a \\x4",
    "a \\xzz",
    'a "^/x$"',
    'a "${HOME"',
    'a "${}"',
    'a "$1"',
    'a "${A B}"',
  ])("what HAProxy cannot split is one opaque word: %j", (raw) => {
    expect(splitWords(raw)).toEqual([raw]);
  });

  test("a byte written in hexadecimal is no character", () => {
    expect(splitWords("\\xe9")).not.toEqual(splitWords("é"));
    expect(splitWords("\\xe9")).toEqual(["\udce9"]);
  });
});

describe("tokenize", () => {
  test("tells where environment variables stand", () => {
    expect(tokenize('bind "$HOST:${PORT-80}" name "${A[*]}"')).toEqual({
      words: ["bind", "$HOST:${PORT-80}", "name", "${A[*]}"],
      variables: ["1:0", "1:6", "3:0"],
    });
  });

  test("a dollar outside weak quotes or behind a backslash is no variable", () => {
    expect(tokenize("a $HOME '$HOME' \"\\$HOME\"")).toEqual({ words: ["a", "$HOME", "$HOME", "$HOME"] });
  });

  test("the default of a variable is taken as it is up to the brace", () => {
    expect(tokenize('a "${X-b "c"#\\d}e" f')).toEqual({ words: ["a", '${X-b "c"#\\d}e', "f"], variables: ["1:0"] });
  });
});

describe("quoteWord", () => {
  test.each([
    ["web-1_10.0.0.1:80", "web-1_10.0.0.1:80"],
    ["", "''"],
    ["a b", "'a b'"],
    ["a#b", "'a#b'"],
    ["$HOME", "'$HOME'"],
    ['say "x"', "'say \"x\"'"],
    ["it's \\ #1", "it\\'s\\ \\\\\\ \\#1"],
    ["\udce9", "\\xe9"],
  ])("%j → %s", (word, quoted) => {
    expect(quoteWord(word)).toBe(quoted);
    expect(tokenize(quoted)).toEqual({ words: [word] });
  });

  test.each(["a\nb", "a\rb", "a\tb", "\0", "\x1f", "\x7f", "a\ud800", "\udc00"])("refuses %j", (word) => {
    expect(() => quoteWord(word)).toThrow(expect.objectContaining({ code: "ERR_VALUE_UNSAFE" }));
  });
});
