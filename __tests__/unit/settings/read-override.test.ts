import { describe, expect, test } from "@jest/globals";
import { readOverride } from "../../../src/settings/options/read-override.ts";

describe("a document of the key-value store", () => {
  test.each([
    ["flat YAML", "timeout.server: 5s\nenable: false\nhost: [a.example.com, b.example.com]\n"],
    ["nested YAML", "timeout: {server: 5s}\nenable: 'false'\nhost: a.example.com,b.example.com\n"],
    ["JSON", '{"timeout": {"server": "5s"}, "enable": false, "host": ["a.example.com", "b.example.com"]}'],
  ])("says the same as %s", (_form, text) => {
    expect(readOverride(text)).toEqual({
      options: { "timeout.server": 5_000, enable: false, host: ["a.example.com", "b.example.com"] },
      routes: {},
      problems: [],
      unreadable: false,
    });
  });

  test.each([["routes: {api: {path: /api, strip: /api}}"], ["route.api.path: /api\nroute.api.strip: /api"]])(
    "may have named routes: %s",
    (text) => {
      expect(readOverride(text)).toMatchObject({ routes: { api: { path: ["/api"], strip: "/api" } }, problems: [] });
    },
  );

  test("what cannot be read costs itself only, and is named with what would be right", () => {
    const { options, problems, unreadable } = readOverride("balence: leastconn\nretries: many\nmode: tcp\n");
    expect(options).toEqual({ mode: "tcp" });
    expect(problems).toEqual([
      "balence is no option; did you mean balance?",
      expect.stringMatching(/^retries .*whole/),
    ]);
    expect(unreadable).toBe(false);
  });

  test.each([
    ["half a document", "host: [a", /neither YAML nor JSON/],
    ["a list", "- host", /has no keys/],
    ["a word", "host", /has no keys/],
    ["two documents", "mode: tcp\n---\nmode: http\n", /neither YAML nor JSON/],
    ["a key twice", "mode: tcp\nmode: http\n", /neither YAML nor JSON/],
    ["aliases", "a: &a [x]\nhost: *a\n", /aliases/],
    ["too much", `# ${"x".repeat(70_000)}`, /70002 characters/],
  ])("%s says nothing", (_what, text, problem) => {
    const read = readOverride(text);
    expect(read).toMatchObject({ options: {}, routes: {}, unreadable: true });
    expect(read.problems).toEqual([expect.stringMatching(problem)]);
    // Nothing of the document itself is repeated.
    expect(read.problems.join()).not.toContain("xxx");
  });

  test.each([[""], ["# later\n"], ["{}"], ["null"]])("an empty one is none: %j", (text) => {
    expect(readOverride(text)).toEqual({ options: {}, routes: {}, problems: [], unreadable: false });
  });

  test("no key reaches what objects are made of", () => {
    const { options, routes } = readOverride('{"__proto__": {"host": "x"}, "routes": {"constructor": {"path": "/x"}}}');
    expect(options).toEqual({});
    expect(Object.getPrototypeOf(options)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)["host"]).toBeUndefined();
    expect(Object.keys(routes)).toEqual(["constructor"]);
  });

  test("many problems are not all told", () => {
    const text = Array.from({ length: 100 }, (_, index) => `nothing${index}: 1`).join("\n");
    const { problems } = readOverride(text);
    expect(problems).toHaveLength(21);
    expect(problems.at(-1)).toBe("and 80 more");
  });
});
