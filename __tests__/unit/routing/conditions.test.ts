import { describe, expect, test } from "@jest/globals";
import { conditionProblem, fits, requestRegex } from "../../../src/routing/conditions.ts";
import { regexProblem } from "../../../src/routing/safe-regex.ts";
import type { Condition } from "../../../src/routing/types.ts";

const like = (value: string): Condition => ({ on: "header", name: "x-a", is: "like", value });
const equal = (value: string): Condition => ({ on: "header", name: "x-a", is: "equal", value });
const present: Condition = { on: "header", name: "x-a", is: "present" };
const cookie: Condition = { on: "cookie", name: "c", value: "1" };

/** What HAProxy finds: the expression of the row over method and headers. */
function found(conditions: readonly Condition[], headers: Readonly<Record<string, string>>, method = "GET"): boolean {
  const lines = Object.entries({ host: "h", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return new RegExp(`^${requestRegex({ methods: [], conditions })}`).test(`${method} \r\n${lines.join("")}\r\n`);
}

describe("the expression of a row", () => {
  test.each([
    ["there", [present], { "x-a": "" }, true],
    ["not there", [present], { "x-ab": "1", b: "x-a: 1" }, false],
    ["equal", [equal("1.(2)")], { "x-a": "1.(2)" }, true],
    ["not a part", [equal("1")], { "x-a": "11" }, false],
    ["not another character", [equal("1.2")], { "x-a": "1x2" }, false],
    ["found in it", [like("b+")], { "x-a": "abbc" }, true],
    ["from its beginning", [like("^b")], { "x-a": "ab" }, false],
    ["to its end", [like("b$")], { "x-a": "abc" }, false],
    ["of several, one", [like("^a$|c$")], { "x-a": "abc" }, true],
    ["not across lines", [like("a[^x]*z")], { "x-a": "a", "x-b": "z" }, false],
    ["not across lines by white space", [like("a\\s*x")], { "x-a": "a", "x-b": "z" }, false],
    ["not in another header", [like("z")], { "x-a": "a", "x-b": "z" }, false],
    ["white space within a line", [like("a\\s\\D\\W[^\\s]\\S")], { "x-a": "a b!cd" }, true],
    ["nothing but white space", [like("^\\W$")], { "x-a": " ", "x-b": "" }, true],
    ["with spaces", [like("a b[ c]d")], { "x-a": "a b d" }, true],
    ["a cookie", [cookie], { cookie: "a=2; c=1; d=3" }, true],
    ["the only cookie", [cookie], { cookie: "c=1" }, true],
    ["no other cookie", [cookie], { cookie: "xc=1; c=12" }, false],
    ["all of them", [present, cookie], { "x-a": "1" }, false],
    ["in any order", [present, cookie], { cookie: "c=1", "x-a": "1" }, true],
  ] satisfies [string, Condition[], Record<string, string>, boolean][])(
    "%s",
    (_what, conditions, headers, expected) => {
      expect(found(conditions, headers)).toBe(expected);
      expect(fits({ methods: [], conditions }, "GET", headers)).toBe(expected);
    },
  );

  test("has the methods, and no white space", () => {
    const regex = requestRegex({ methods: ["GET", "HEAD"], conditions: [equal("a b\té"), like("a b")] });
    expect(regex).toMatch(/^\(\?:GET\|HEAD\)\\x20/);
    expect(regex).toMatch(/^[!-~]+$/);
    expect(new RegExp(`^${requestRegex({ methods: ["GET"], conditions: [] })}`).test("GETX \r\n\r\n")).toBe(false);
  });
});

describe("expressions of strangers", () => {
  test.each([
    "a",
    "^a$",
    "[a-z]+",
    "(?:a|b)*c",
    "a{2,3}",
    "a+?b*?",
    "\\d+\\.\\d",
    "[^\\s]",
    "(a|b)?c+",
    "[.*]+",
    "[.:]",
    "[.]",
    "a|^b$",
    "[^,]{1000}\\S{1000}\\W{1000}",
  ])("%s can be used", (source) => expect(regexProblem(source)).toBeUndefined());

  test.each([
    ["(", "is no regular expression"],
    ["(?<=a)b", "(?"],
    ["(?i)a", "is no regular expression"],
    ["(?!a)", "(?"],
    ["(a+)+", "repetition"],
    ["((a|b)*c){5}", "repetition"],
    ["(?:a{2,})*", "repetition"],
    ["a{1001}", "1000"],
    ["(a)\\1", "escape"],
    ["\\p{L}", "escape"],
    ["\\u0041", "escape"],
    ["[\\u0041]", "escape"],
    ["[]", "nothing"],
    ["[^]", "nothing"],
    ["[[:alpha:]]", "is no regular expression"],
    ["[a[b]", "bracket"],
    ["é", "ASCII"],
    ["a\nb", "ASCII"],
    ["a".repeat(513), "512"],
    // HAProxy refuses the whole file for these: PCRE2 writes out what is repeated, and bounds how deep groups may be.
    [`(?:${"abcdefgh".repeat(50)}){1000}`, "too long"],
    [`(${"[a-c]".repeat(90)}){0,700}`, "too long"],
    [`${"(".repeat(255)}a${")".repeat(255)}`, "deep"],
    ["[:alpha:]", "both ends"],
    ["a[.x.]", "both ends"],
    ["[==]", "both ends"],
    ["[=\\]=]", "both ends"],
    ["[\\s\\S]{1000}", "too long"],
  ])("%s cannot", (source, problem) => expect(regexProblem(source)).toContain(problem));

  test("of headers hold anchors at the ends of alternatives alone", () => {
    expect(conditionProblem(like("^a$|^b"))).toBeUndefined();
    expect(conditionProblem(like("a(^b|c)"))).toContain("at the ends alone");
    expect(conditionProblem(like("a$b"))).toContain("at the ends alone");
    expect(conditionProblem(like("[$^]\\$"))).toBeUndefined();
    expect(conditionProblem(equal("a\r\nb"))).toContain("control character");
    expect(conditionProblem(present)).toBeUndefined();
  });
});
