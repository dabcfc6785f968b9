import { describe, expect, test } from "@jest/globals";
import { parseConfig, SectionCache } from "../../../../src/haproxy/config/parse.ts";
import { printConfig } from "../../../../src/haproxy/config/print.ts";

const kinds = (text: string) => parseConfig(text).sections.map(({ kind, name, from }) => [kind, name, from]);

describe("sections", () => {
  test("begin where HAProxy sees a section word first in a line, whatever the column", () => {
    const text = 'global\n  maxconn 10\n   backend a\n\tlisten l # x\n"back"end b\nglobal#x\n\r \vfrontend f\n';
    expect(kinds(text)).toEqual([
      ["global", undefined, undefined],
      ["backend", "a", undefined],
      ["listen", "l", undefined],
      ["backend", "b", undefined],
      ["global", undefined, undefined],
      ["frontend", "f", undefined],
    ]);
  });

  test("begin with no other word", () => {
    const text =
      "backend a\nserver s 1.2.3.4:80\nbackendx b\nlistener c\n# global\n'global ' d\nBackend e\nacl global path /\n";
    expect(kinds(text)).toEqual([["backend", "a", undefined]]);
    expect(parseConfig(text).sections[0]?.lines).toHaveLength(7);
  });

  test("have a name and the defaults they inherit from", () => {
    expect(kinds("defaults\ndefaults d\ndefaults e from d\ndefaults from e\nbackend b from e\npeers from x\n")).toEqual(
      [
        ["defaults", undefined, undefined],
        ["defaults", "d", undefined],
        ["defaults", "e", "d"],
        ["defaults", undefined, "e"],
        ["backend", "b", "e"],
        ["peers", "from", undefined],
      ],
    );
  });

  test("what stands before the first is the preamble", () => {
    const { preamble, sections } = parseConfig("# head\n\n.notice hello\nglobal\n");
    expect(preamble.map(({ raw }) => raw)).toEqual(["# head", "", ".notice hello"]);
    expect(sections).toHaveLength(1);
    expect(parseConfig("")).toEqual({ preamble: [], sections: [] });
  });

  test("within an .if block are conditional", () => {
    const text = ".if 1\nbackend a\n.else\nbackend b\n.endif\nbackend c\n.if 0\nmaxconn 1\n.endif\nbackend d\n";
    expect(parseConfig(text).sections.map(({ name, conditional }) => [name, conditional])).toEqual([
      ["a", true],
      ["b", true],
      ["c", undefined],
      ["d", undefined],
    ]);
  });
});

describe("default-server", () => {
  const words = (text: string) =>
    Object.fromEntries(parseConfig(text).sections.map((section) => [section.name, section.inherited?.words]));

  test("is inherited from the named defaults, else from the last ones above", () => {
    const text = [
      "defaults one",
      "  default-server inter 1s",
      "  default-server rise 2",
      "backend a",
      "defaults two from one",
      "  default-server fall 3",
      "backend b",
      "listen c from one",
      "frontend f from one",
      "defaults three",
      "backend d",
      "backend e from two",
      "",
    ].join("\n");
    expect(words(text)).toEqual({
      one: undefined,
      a: ["inter", "1s", "rise", "2"],
      two: ["inter", "1s", "rise", "2"],
      b: ["inter", "1s", "rise", "2", "fall", "3"],
      c: ["inter", "1s", "rise", "2"],
      f: undefined,
      three: undefined,
      d: undefined,
      e: ["inter", "1s", "rise", "2", "fall", "3"],
    });
  });

  test("is uncertain with a variable or in an .if block", () => {
    const uncertain = (text: string) => parseConfig(`${text}backend b\n`).sections.at(-1)?.inherited?.uncertain;
    expect(uncertain("defaults\ndefault-server inter 1s\n")).toBe(false);
    expect(uncertain('defaults\ndefault-server inter "$INTER"\n')).toBe(true);
    expect(uncertain("defaults\n.if 1\ndefault-server inter 1s\n.endif\n")).toBe(true);
    expect(uncertain(".if 1\ndefaults\ndefault-server inter 1s\n.endif\n")).toBe(true);
  });
});

describe("printConfig", () => {
  test.each([
    "",
    "\n",
    "# only\n",
    "global\n",
    "\r\nglobal\r\n  maxconn 1\r\n\r\n",
    "a\n\n\nbackend  b # c\n\tserver 's' x\n\n",
  ])("gives back %j", (text) => {
    expect(printConfig(parseConfig(text))).toBe(text);
  });

  test("adds the newline that is missing at the end: HAProxy refuses a file without", () => {
    expect(printConfig(parseConfig("global\n  maxconn 1"))).toBe("global\n  maxconn 1\n");
  });
});

describe("SectionCache", () => {
  const text =
    "global\ndefaults d\n  default-server inter 1s\nbackend a\n  server s 1.2.3.4:80\nbackend b\n  server s 1.2.3.4:80\n";

  test("gives the same objects for sections that did not change", () => {
    const cache = new SectionCache();
    const before = parseConfig(text, cache);
    const after = parseConfig(text.replace("backend b", "backend c"), cache);
    expect(after.sections.slice(0, 3).every((section, index) => section === before.sections[index])).toBe(true);
    expect(after.sections[3]).not.toBe(before.sections[3]);
    expect(after.sections[3]?.name).toBe("c");
  });

  test("gives other objects when what is inherited changed", () => {
    const cache = new SectionCache();
    const before = parseConfig(text, cache);
    const after = parseConfig(text.replace("inter 1s", "inter 2s"), cache);
    expect(after.sections[0]).toBe(before.sections[0]);
    expect(after.sections[2]).not.toBe(before.sections[2]);
    expect(after.sections[2]?.inherited?.words).toEqual(["inter", "2s"]);
    expect(after).toEqual(parseConfig(text.replace("inter 1s", "inter 2s")));
    expect(parseConfig(text.replace("  default-server inter 1s\n", ""), cache).sections[2]).not.toHaveProperty(
      "inherited",
    );
  });

  test("gives other objects within an .if block", () => {
    const cache = new SectionCache();
    parseConfig(text, cache);
    expect(parseConfig(`.if 1\n${text}`, cache).sections[2]?.conditional).toBe(true);
    expect(parseConfig(text, cache).sections[2]).not.toHaveProperty("conditional");
  });

  test("forgets what has long not been seen", () => {
    const cache = new SectionCache();
    const [global] = parseConfig("global\nbackend first\n", cache).sections;
    for (let index = 0; index < 500; index += 1) parseConfig(`global\nbackend b${index}\n`, cache);
    expect(cache.size).toBeLessThanOrEqual(104);
    expect(parseConfig("global\n", cache).sections[0]).toBe(global);
  });
});
