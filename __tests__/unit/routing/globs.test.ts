import { describe, expect, test } from "@jest/globals";
import { compareGlobs, globCovers, globMatches, globPattern, globProblem, isGlob } from "../../../src/routing/globs.ts";

/** The pattern as JavaScript reads it, which has no atomic groups: `(?=(x))\1` is the same. */
function matches(pattern: string, host: string): boolean {
  let groups = 0;
  const rewritten = pattern.replaceAll(/\(\?>((?:\\.|[^)\\])*)\)/g, (_, inner: string) => {
    groups += 1;
    return `(?=(${inner}))\\${groups}`;
  });
  return new RegExp(rewritten).test(host);
}

/** Signs, what they take, and what they do not; the first ones are from Fabio's and its library's own tests. */
const cases: readonly (readonly [glob: string, takes: readonly string[], leaves: readonly string[]])[] = [
  ["*.abc.com", ["x.abc.com", ".abc.com", "x.y.abc.com"], ["abc.com", "xabc.com", "x.abc.com.de", "x.abcxcom"]],
  ["*.aaa.abc.com", ["x.aaa.abc.com"], ["x.abc.com", "aaa.abc.com"]],
  ["*", ["a", "a.b", ""], []],
  ["**.b", ["a.b", "a.a.b"], ["b"]],
  ["a.*", ["a.", "a.b.c"], ["a", "b.a."]],
  ["a*c", ["ac", "abc", "abcc"], ["ab", "bac"]],
  ["*a*b*", ["ab", "xaybz", "aab"], ["ba", "a", "b"]],
  ["*ab*ab", ["abab", "ababab", "xabyab"], ["ab", "aba", "abb"]],
  ["?.abc.com", ["x.abc.com"], [".abc.com", "xy.abc.com"]],
  ["at?*", ["ate", "atxyz"], ["at"]],
  ["[abc].com", ["a.com", "c.com"], ["d.com", "ab.com", ".com"]],
  ["[!abc].com", ["d.com"], ["a.com", ".com"]],
  ["[a-c]x", ["ax", "cx"], ["dx", "-x"]],
  ["[!a-c]x", ["dx"], ["ax", "x"]],
  ["[ab-]x", ["ax", "-x"], ["cx"]],
  ["{a,b}.com", ["a.com", "b.com"], ["c.com", "ab.com", "a,b.com"]],
  ["{a*,b?}.com", ["a.com", "axx.com", "bx.com"], ["b.com", "bxx.com"]],
  ["{a,{b,c}d}", ["a", "bd", "cd"], ["ad", "b", "d"]],
  ["{a,}x", ["ax", "x"], ["aax"]],
  ["{a,b", ["a", "b"], ["{a,b"]],
  ["a\\*b", ["a*b"], ["axb"]],
  ["a,b}", ["a,b}"], ["a"]],
  ["[\\]]x", ["]x"], ["x"]],
  ["x.+(a|b)$^*", ["x.+(a|b)$^y"], ["xxxa"]],
];

describe("a glob", () => {
  test.each(cases)("%s", (glob, takes, leaves) => {
    const pattern = globPattern(glob);
    for (const host of takes)
      expect([host, globMatches(glob, host), matches(pattern, host)]).toEqual([host, true, true]);
    for (const host of leaves) {
      expect([host, globMatches(glob, host), matches(pattern, host)]).toEqual([host, false, false]);
    }
  });

  test("is told from a name by its signs", () => {
    expect(["*.a", "a?", "[ab]", "{a,b}", "a\\b"].filter(isGlob)).toHaveLength(5);
    expect(["a.example.com", "a_b-c.d", "", "a}", "a]"].filter(isGlob)).toEqual([]);
  });

  test("that cannot be read says why", () => {
    expect(globProblem("*.example.com")).toBeUndefined();
    expect(globProblem("[ab")).toBe("has a bracket that is not closed");
    expect(globProblem("[]x")).toBe("has brackets with nothing in them");
    expect(globProblem("[a-z0-9].com")).toBe("has more than one range in brackets; write {[a-z],[0-9]}");
    expect(globProblem("[z-a]")).toBe("has the range z-a, whose end comes before its beginning");
    expect(globProblem("*.bücher.de")).toContain("xn--");
    expect(globProblem("* b")).toBeDefined();
    expect(globProblem("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}")).toContain("more than 64 names");
    expect(() => globPattern("[ab")).toThrow(RangeError);
  });

  test("puts nothing into its pattern that ends the key of a map, and nothing that is not ASCII", () => {
    for (const [glob] of cases) expect(globPattern(glob)).toMatch(/^\^[!-~]*\$$/);
  });

  test("is looked for without going back: many stars cost no more than their number", () => {
    const glob = `${"*a".repeat(30)}b`;
    const host = "a".repeat(253);
    const start = performance.now();
    expect(globMatches(glob, host)).toBe(false);
    expect(matches(globPattern(glob), host)).toBe(false);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

test("the most specific goes first: Fabio's order, by the name's end", () => {
  const globs = ["*.com", "*", "*.a.foo.com", "*.foo.com", "a*.foo.com", "b.*"];
  const sorted = ["*.a.foo.com", "a*.foo.com", "*.foo.com", "*.com", "b.*", "*"];
  expect(globs.sort(compareGlobs)).toEqual(sorted);
  expect(globs.reverse().sort(compareGlobs)).toEqual(sorted);
});

test("one covers another where it takes all that the other takes", () => {
  const yes: [string, string][] = [
    ["*", "*.a"],
    ["*.com", "*.foo.com"],
    ["*.com", "a.com"],
    ["{a,b}.com", "{b,a}.com"],
    ["[a-z].com", "[bc].com"],
    ["?.com", "[!a].com"],
    ["[!ab]", "[!abc]"],
    ["[!a]", "b"],
    ["a*", "a?b*"],
  ];
  const no: [string, string][] = [
    ["*.foo.com", "*.com"],
    ["a.*", "*.foo.com"],
    ["?", "*"],
    ["[bc].com", "[a-z].com"],
    ["[!a]", "[!b]"],
    ["[!a]", "[a-b]"],
    ["{a,b}", "{a,c}"],
  ];
  for (const [wide, narrow] of yes) expect([wide, narrow, globCovers(wide, narrow)]).toEqual([wide, narrow, true]);
  for (const [wide, narrow] of no) expect([wide, narrow, globCovers(wide, narrow)]).toEqual([wide, narrow, false]);
});
