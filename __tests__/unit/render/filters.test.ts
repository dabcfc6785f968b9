import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { splitWords } from "../../../src/haproxy/config/words.ts";
import { duration, format, host, quote, token, words } from "../../../src/render/filters.ts";

const unsafe = expect.objectContaining({ code: "ERR_VALUE_UNSAFE" });
/** HAProxy takes an empty word for the end of the line. */
const hostile = ["", "a\nb", "a\rb", "a\0b", "\x7f", "a\tb", "a\x0bb"];

describe("quote", () => {
  test("gives back one word that HAProxy reads as the value, whatever the value", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (value) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: those are refused
        fc.pre(!/[\x00-\x1f\x7f]/.test(value));
        expect(splitWords(`word ${quote(value)} end`)).toEqual(["word", value, "end"]);
      }),
    );
  });

  test("takes numbers", () => expect(quote(8080)).toBe("8080"));

  test.each(hostile)("refuses %j", (value) => expect(() => quote(value)).toThrow(unsafe));

  test.each([undefined, null, {}, ["a"], true, Number.NaN])("refuses what is no text: %p", (value) => {
    expect(() => quote(value)).toThrow(expect.objectContaining({ code: "ERR_TEMPLATE_FAILED" }));
  });
});

describe("format", () => {
  test("gives back one word in which a log-format string has nothing to evaluate", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("%", "[", "]", "{", "}", "a", " ", "'", "\\", "$"), minLength: 1 }),
        (value) => {
          expect(splitWords(`word ${format(value)} end`)).toEqual(["word", value.replaceAll("%", "%%"), "end"]);
        },
      ),
    );
  });

  test.each([
    ["100%", "100%%"],
    ["%[env(HOME)]", "%%[env(HOME)]"],
    ["a %b", "'a %%b'"],
    [8080, "8080"],
  ])("writes %p as %s", (value, written) => expect(format(value)).toBe(written));

  test.each(hostile)("refuses %j", (value) => expect(() => format(value)).toThrow(unsafe));

  test.each([undefined, null, {}])("refuses what is no text: %p", (value) => {
    expect(() => format(value)).toThrow(expect.objectContaining({ code: "ERR_TEMPLATE_FAILED" }));
  });
});

describe("words", () => {
  test("keeps words apart and quotes each", () => {
    expect(words("  url_param  user id#1 ")).toBe("url_param user 'id#1'");
    expect(words("roundrobin")).toBe("roundrobin");
  });

  test.each(hostile)("refuses %j", (value) => expect(() => words(value)).toThrow(unsafe));
});

describe("token", () => {
  test("passes names", () => expect(token("Web_1.a:b-c")).toBe("Web_1.a:b-c"));

  test.each([...hostile, "", "a b", "a#", "é", "a/b", "$x", "[::1]"])("refuses %j", (value) => {
    expect(() => token(value)).toThrow(unsafe);
  });
});

describe("host", () => {
  test.each([
    ["10.0.0.1", "10.0.0.1"],
    ["fd00::1", "[fd00::1]"],
    ["db.example.org", "db.example.org"],
    ["a", "a"],
  ])("writes %s as %s", (value, written) => expect(host(value)).toBe(written));

  test.each([...hostile, "", "a b", "[::1]", "fe80::1%eth0", "-a", "a.", "10.0.0.1:80", "a/b"])(
    "refuses %j",
    (value) => {
      expect(() => host(value)).toThrow(unsafe);
    },
  );
});

describe("duration", () => {
  test.each([
    [0, "0s"],
    [1, "1ms"],
    [1_500, "1500ms"],
    [30_000, "30s"],
    [90_000, "90s"],
    [300_000, "5m"],
    [86_400_000, "24h"],
  ])("writes %d ms as %s", (ms, written) => expect(duration(ms)).toBe(written));

  test.each([-1, 1.5, 2 ** 31, Number.NaN, "30s", undefined])("refuses %p", (value) => {
    expect(() => duration(value)).toThrow(unsafe);
  });
});
