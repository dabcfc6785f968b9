import { describe, expect, test } from "@jest/globals";
import { addGlobalLines, structureOf, withGlobalLines } from "../../../../src/haproxy/config/global-lines.ts";
import { parseConfig } from "../../../../src/haproxy/config/parse.ts";

const socketLine = "  stats socket /run/s.sock mode 600 level admin expose-fd listeners";
const both = { structure: "abc", statsSocket: "/run/s.sock" };

describe("withGlobalLines", () => {
  test("puts its lines behind the header of the first global section", () => {
    expect(withGlobalLines("# top\nglobal # g\n  maxconn 1\ndefaults\nglobal\n", both)).toBe(
      `# top\nglobal # g\n  setenv SLUICE_STRUCTURE abc\n${socketLine}\n  maxconn 1\ndefaults\nglobal\n`,
    );
  });

  test("makes a global section at the top where there is none for sure", () => {
    expect(withGlobalLines("defaults\n", both)).toBe(
      `global\n  setenv SLUICE_STRUCTURE abc\n${socketLine}\ndefaults\n`,
    );
    expect(withGlobalLines(".if 1\nglobal\n.endif\n", { structure: "abc" })).toBe(
      "global\n  setenv SLUICE_STRUCTURE abc\n.if 1\nglobal\n.endif\n",
    );
  });

  test("replaces what is there, and changes nothing more a second time", () => {
    const once = withGlobalLines(
      "global\n\tsetenv SLUICE_STRUCTURE old\nglobal\n  setenv SLUICE_STRUCTURE older\n",
      both,
    );
    expect(once).toBe(`global\n  setenv SLUICE_STRUCTURE abc\n${socketLine}\nglobal\n`);
    expect(withGlobalLines(once, both)).toBe(once);
  });

  test.each([
    "stats socket /run/s.sock level admin",
    "stats socket unix@/run/s.sock",
    "stats 'socket' \"/run/s.sock\"",
  ])("leaves a stats socket of that path alone: %s", (line) => {
    const text = `global\nglobal\n  ${line}\n`;
    expect(withGlobalLines(text, { statsSocket: "/run/s.sock" })).toBe(text);
  });

  test("adds the socket beside others, quoted where it must be", () => {
    expect(withGlobalLines("global\n  stats socket /other\n", { statsSocket: "/a b" })).toBe(
      "global\n  stats socket '/a b' mode 600 level admin expose-fd listeners\n  stats socket /other\n",
    );
  });

  test("a resetenv or unsetenv does not wipe the digest out", () => {
    const text = "global\n  resetenv PATH\n  maxconn 1\nglobal\n  unsetenv A SLUICE_STRUCTURE\n  maxconn 2\n";
    expect(withGlobalLines(text, { structure: "abc" })).toBe(
      text.replace("  maxconn 2", "  setenv SLUICE_STRUCTURE abc\n  maxconn 2"),
    );
    const harmless = "global\n  resetenv SLUICE_STRUCTURE\n  unsetenv A\n";
    expect(withGlobalLines(harmless, { structure: "abc" })).toBe(
      harmless.replace("global", "global\n  setenv SLUICE_STRUCTURE abc"),
    );
  });

  test("refuses what cannot stand in the file", () => {
    expect(() => withGlobalLines("global\n", { statsSocket: "/a\n  bad" })).toThrow(
      expect.objectContaining({ code: "ERR_VALUE_UNSAFE" }),
    );
  });
});

describe("addGlobalLines", () => {
  test("leaves other sections the objects they are", () => {
    const config = parseConfig("global\nbackend b\n");
    expect(addGlobalLines(config, both).sections[1]).toBe(config.sections[1]);
  });
});

describe("structureOf", () => {
  test("reads the digest back: the last one counts, as in HAProxy", () => {
    expect(structureOf(parseConfig(withGlobalLines("defaults\n", both)))).toBe("abc");
    expect(structureOf(parseConfig("global\nsetenv SLUICE_STRUCTURE a\nglobal\nsetenv SLUICE_STRUCTURE b\n"))).toBe(
      "b",
    );
    expect(structureOf(parseConfig("global\nsetenv X a\n"))).toBeUndefined();
  });
});
