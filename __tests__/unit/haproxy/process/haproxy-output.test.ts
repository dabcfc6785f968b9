import { describe, expect, test } from "@jest/globals";
import { parseOutput, sentence } from "../../../../src/haproxy/process/haproxy-output.ts";

const file = "/etc/sluice/haproxy.cfg";
const problems = (...lines: string[]) => parseOutput(lines.join("\n"), file).problems;

describe("what HAProxy writes to stderr", () => {
  test.each([
    [
      `[ALERT]    (12) : config : parsing [${file}:14] : unknown keyword 'foo' in 'backend' section`,
      { line: 14, message: "unknown keyword 'foo' in 'backend' section" },
    ],
    [
      `[ALERT]    (12) : config : parsing [${file}:14]: Missing LF on last line`,
      { line: 14, message: "Missing LF on last line" },
    ],
    [`[ALERT]    (12) : config : Parsing [${file}:14]: missing map`, { line: 14, message: "missing map" }],
    // 3.2 and newer
    [`[ALERT]    (12) : parsing [${file}:14] : unknown keyword`, { line: 14, message: "unknown keyword" }],
    [
      `[ALERT]    (12) : config : [${file}:13] : 'server b/s1' : unknown keyword 'chekc'; did you mean 'check' maybe ?`,
      { line: 13, message: "'server b/s1' : unknown keyword 'chekc'; did you mean 'check' maybe ?" },
    ],
    [
      "[ALERT]    (12) : Proxy 'f': unable to find required default_backend: 'nope'.",
      { message: "Proxy 'f': unable to find required default_backend: 'nope'." },
    ],
    [
      `[ALERT]    (12) : Binding [${file}:11] for frontend f: cannot bind socket (Address already in use) for [127.0.0.1:80]`,
      { line: 11, message: "binding for frontend f: cannot bind socket (Address already in use) for [127.0.0.1:80]" },
    ],
    [
      "[ALERT]    (12) : config : parsing [/etc/other.cfg:3] : unknown keyword",
      { message: "parsing [/etc/other.cfg:3] : unknown keyword" },
    ],
  ])("%s", (line, problem) => {
    expect(problems(line)).toEqual([problem]);
  });

  test("continuations belong to the message above, summaries say nothing, notices are none", () => {
    const output = [
      "[NOTICE]   (12) : haproxy version is 2.6.12-1+deb12u4",
      `[ALERT]    (12) : config : parsing [${file}:2] : first`,
      "   | and more of it",
      "[WARNING]  (12) : config : Proxy 'f': timeouts are missing",
      "   | set them",
      `[WARNING]  (12) : config : parsing [${file}:9] : deprecated`,
      `[ALERT]    (12) : config : Error(s) found in configuration file : ${file}`,
      "[ALERT]    (12) : config : Fatal errors found in configuration.",
      "",
    ].join("\n");
    expect(parseOutput(output, file)).toEqual({
      problems: [{ line: 2, message: "first; and more of it" }],
      warnings: ["Proxy 'f': timeouts are missing; set them", "line 9: deprecated"],
    });
  });

  test("a summary is better than nothing, and so are words without a form", () => {
    expect(problems("[ALERT]    (12) : config : Fatal errors found in configuration.")).toEqual([
      { message: "Fatal errors found in configuration." },
    ]);
    expect(problems("haproxy: error while loading shared libraries: libssl.so.3")).toEqual([
      { message: "haproxy: error while loading shared libraries: libssl.so.3" },
    ]);
    expect(parseOutput("", file)).toEqual({ problems: [], warnings: [] });
  });
});

test("a problem in a sentence", () => {
  expect(sentence({ line: 3, message: "x" })).toBe("line 3: x");
  expect(sentence({ message: "x" })).toBe("x");
});
