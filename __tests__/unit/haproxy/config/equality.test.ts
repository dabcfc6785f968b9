import { describe, expect, test } from "@jest/globals";
import { sectionKey, sectionsByKey, sectionsEqual, structureText } from "../../../../src/haproxy/config/equality.ts";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";
import type { Section } from "../../../../src/haproxy/config/types.ts";

const last = (text: string) => parseConfig(text).sections.at(-1) as Section;
const equal = (a: string, b: string, ignoreServers = false) => sectionsEqual(last(a), last(b), { ignoreServers });

describe("sectionsEqual", () => {
  const base = "backend b\n  balance leastconn\n  http-request set-header X 'a b'\n  server s 1.2.3.4:80 check\n";

  test.each([
    ["comments and blank lines", base.replace("  balance", "\n# c\n  balance").replace("check", "check # c")],
    ["indentation", base.replaceAll("  ", "\t ")],
    ["quoting", base.replace("'a b'", "a\\ b").replace("leastconn", '"leastconn"')],
    ["carriage returns", base.replaceAll("\n", "\r\n")],
  ])("does not mind %s", (_what, text) => {
    expect(equal(base, text)).toBe(true);
    expect(equal(base, text, true)).toBe(true);
  });

  test.each([
    ["another word", base.replace("leastconn", "first")],
    [
      "another order",
      "backend b\n  http-request set-header X 'a b'\n  balance leastconn\n  server s 1.2.3.4:80 check\n",
    ],
    ["one word less", base.replace("'a b'", "a")],
    ["two words for one", base.replace("'a b'", "a b")],
    ["another name", base.replace("backend b", "backend c")],
    ["another kind", base.replace("backend", "listen")],
    ["other defaults", base.replace("backend b", "backend b from d")],
    ["an open quote", base.replace("'a b'", "'a b")],
    ["an .if block around it", `.if 1\n${base}`],
    ["a variable for a text", base.replace("'a b'", '"$A"')],
  ])("minds %s", (_what, text) => {
    expect(equal(base, text)).toBe(false);
    expect(equal(base, text, true)).toBe(false);
  });

  test("a variable and the text it looks like differ", () => {
    expect(equal('backend b\nlog-tag "$A"\n', "backend b\nlog-tag '$A'\n")).toBe(false);
  });

  test("servers count unless they are ignored, and only those that are known count as such", () => {
    const moved = base.replace("1.2.3.4", "1.2.3.5");
    expect(equal(base, moved)).toBe(false);
    expect(equal(base, moved, true)).toBe(true);
    expect(equal("peers p\nserver a x:1\n", "peers p\nserver a x:2\n", true)).toBe(false);
    expect(equal("backend b\n.if 1\nserver a x:1\n.endif\n", "backend b\n.if 1\nserver a x:2\n.endif\n", true)).toBe(
      false,
    );
  });

  test("Sluice's own line in global does not count, elsewhere it does", () => {
    expect(equal("global\nsetenv SLUICE_STRUCTURE a\n", "global\nsetenv SLUICE_STRUCTURE b\n")).toBe(true);
    expect(equal("global\nsetenv SLUICE_STRUCTURE a\n", "global\n")).toBe(true);
    expect(equal("global\nsetenv OTHER a\n", "global\nsetenv OTHER b\n")).toBe(false);
    expect(equal("ring r\nsetenv SLUICE_STRUCTURE a\n", "ring r\n")).toBe(false);
  });
});

describe("structureText", () => {
  const text = "# head\nglobal\n  setenv SLUICE_STRUCTURE x\n\nbackend b\n  server s 1.2.3.4:80\n  balance first\n";
  const structure = (config: string) => structureText(parseConfig(config));

  test("does not change with servers, layout and its own digest", () => {
    expect(structure(text)).toBe(structure("global\nbackend 'b'\n balance first # x\n server t 1.2.3.4:81\n"));
  });

  test.each([
    ["a line", text.replace("first", "leastconn")],
    ["a section", `${text}backend c\n`],
    ["the order of sections", "backend b\n  balance first\nglobal\n"],
    ["the preamble", `.notice x\n${text}`],
  ])("changes with %s", (_what, other) => {
    expect(structure(other)).not.toBe(structure(text));
  });
});

describe("sectionsByKey", () => {
  test("tells repeated sections apart by their ordinal", () => {
    const config = parseConfig("global\ndefaults\nbackend b\nglobal\ndefaults d\nbackend b\nlisten b\nglobal\n");
    expect([...sectionsByKey(config).keys()]).toEqual([
      "global",
      "defaults",
      "backend b",
      "global #2",
      "defaults d",
      "backend b #2",
      "listen b",
      "global #3",
    ]);
    expect(sectionsByKey(config).get("backend b #2")).toBe(config.sections[5]);
    expect(sectionKey(last("backend b\n"))).toBe("backend b");
  });
});
