import { describe, expect, test } from "@jest/globals";
import { commandText, escapeWord, isWord } from "../../../../src/haproxy/runtime/command-text.ts";

describe("escapeWord", () => {
  test.each([
    ["web-1_10.0.0.1:80", "web-1_10.0.0.1:80"],
    ["[fe80::1%eth0]:80", "[fe80::1%eth0]:80"],
    ["/health?a=1&b=2", "/health?a=1&b=2"],
    ["a b", "a\\ b"],
    ["a;del server b/s", "a\\;del\\ server\\ b/s"],
    ["a\\;b", "a\\\\\\;b"],
    ["süß", "süß"],
  ])("%j becomes %j", (value, word) => {
    expect(escapeWord(value)).toBe(word);
    expect(isWord(value)).toBe(true);
  });

  test.each(["", "a\nb", "a\rb", "a\tb", "a\0b", "\u007f", "<<", "<<END"])("%j is refused", (value) => {
    expect(isWord(value)).toBe(false);
    expect(() => escapeWord(value)).toThrow(expect.objectContaining({ code: "ERR_VALUE_UNSAFE" }));
  });
});

test("a payload ends in an empty line", () => {
  expect(commandText({ line: "add map @1 /m", payload: ["a b", "c d"] })).toBe("add map @1 /m <<\na b\nc d\n\n");
  expect(commandText({ line: "show info" })).toBe("show info\n");
});
