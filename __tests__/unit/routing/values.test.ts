import { describe, expect, test } from "@jest/globals";
import type { Instance } from "../../../src/catalog/types.ts";
import { carriedValues } from "../../../src/routing/values.ts";

function withValues(tags: readonly string[], meta: Readonly<Record<string, string>> = {}): Instance {
  return {
    node: "node-1",
    id: "web-1",
    service: { datacenter: "dc1", name: "web" },
    address: "10.0.0.1",
    port: 80,
    tags,
    meta,
    weights: { passing: 1, warning: 1 },
    health: "passing",
  };
}

describe("values of an instance", () => {
  test("of one line are carried as they are, whatever characters they have", () => {
    const odd = ["#", "$HOME", "%[env(TOKEN)]", "a b", "\u202eabc", '"', "\\"];
    const values = carriedValues(withValues(odd, { version: "1", odd: "'; reload" }));
    expect(values).toEqual({ tags: odd, meta: { version: "1", odd: "'; reload" }, problems: [] });
  });

  test("with a control character, or too long, cost themselves only and are named", () => {
    const long = "x".repeat(1_025);
    const values = carriedValues(withValues(["", "good", "two\nlines", "nul\0", long], { good: "1", bad: "\r" }));
    expect(values.tags).toEqual(["good"]);
    expect(values.meta).toEqual({ good: "1" });
    expect(values.problems).toHaveLength(4);
    expect(values.problems[0]).toMatch(/^tag "two\\nlines" has a control character/);
    expect(values.problems[2]).toMatch(/is 1025 characters long, 1024 can be carried/);
    expect(values.problems[3]).toMatch(/^meta "bad" = "\\r" has a control character/);
    expect(values.problems.join("")).not.toContain(long);
  });

  test("with half a character, which no filter could write, cost themselves only and are named", () => {
    const values = carriedValues(withValues(["good", "\ud800", "\u{1f480}"], { bad: "a\udc80", good: "1" }));
    expect(values.tags).toEqual(["good", "\u{1f480}"]);
    expect(values.meta).toEqual({ good: "1" });
    expect(values.problems).toEqual([
      'tag "\\ud800" has half a character; register it without',
      'meta "bad" = "a\\udc80" has half a character; register it without',
    ]);
  });

  test("under a key that Consul does not allow, or no object can have, are left out", () => {
    const { meta, problems } = carriedValues(
      withValues(
        [],
        Object.fromEntries([
          ["a b", "1"],
          ["__proto__", "2"],
          ["ok", "3"],
        ]),
      ),
    );
    expect(meta).toEqual({ ok: "3" });
    expect(problems).toHaveLength(2);
  });

  test("are remembered for the very same instance", () => {
    const instance = withValues(["a"]);
    expect(carriedValues(instance)).toBe(carriedValues(instance));
  });
});
