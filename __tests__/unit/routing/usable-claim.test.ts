import { describe, expect, test } from "@jest/globals";
import { rewriteProblem, rewriteRow, rewritten } from "../../../src/routing/rewrites.ts";
import { usableClaim } from "../../../src/routing/usable-claim.ts";
import { mapReg } from "../../support/map-lookup.ts";
import { claim } from "../../support/routes.ts";

describe("a claim that cannot be carried is named and goes", () => {
  test.each([
    ["a host with a space", { host: "a b" }, "host-unusable"],
    ["a host with a sign of ours", { host: "a!b" }, "host-unusable"],
    ["a host with a slash", { host: "a/b" }, "host-unusable"],
    ["a long host", { host: "a".repeat(254) }, "host-unusable"],
    ["a pattern that is none", { host: "[a" }, "host-unusable"],
    ["a path without a slash", { path: "a" }, "option-unusable"],
    ["a path with a space", { path: "/a b" }, "option-unusable"],
    ["a path with a question mark", { path: "/a?b" }, "option-unusable"],
    ["a path with a line break", { path: "/a\nb" }, "option-unusable"],
    ["a path with doubled slashes", { path: "/a//b" }, "option-unusable"],
    ["a path with what is not looked up", { path: "/a;b/c" }, "option-unusable"],
    ["a path that goes up", { path: "/a/../b" }, "option-unusable"],
    ["a path that stays", { path: "/./b" }, "option-unusable"],
    ["a long path", { path: `/${"a".repeat(1_024)}` }, "option-unusable"],
    ["a method that is none", { methods: ["GET|POST"] }, "option-unusable"],
    [
      "an expression that HAProxy may not take",
      { conditions: [{ on: "header", name: "x", is: "like", value: "(?<=a+)b" }] },
      "option-unusable",
    ],
  ] as const)("%s", (_what, pattern, code) => {
    const { claim: left, excluded } = usableClaim(claim("web", pattern));
    expect(left).toBeUndefined();
    expect(excluded).toMatchObject([{ service: "web", code }]);
    expect(excluded[0]?.reason).toMatch(/^[^\p{C}]+$/u);
  });

  test("one that can is the same object", () => {
    const good = claim("web", { host: "*.{a,b}.x", path: "/ü" });
    expect(usableClaim(good)).toEqual({ claim: good, excluded: [] });
    expect(usableClaim(good).claim).toBe(good);
  });

  test("options too long for a map", () => {
    const options = {
      "cors.headers": Array.from({ length: 200 }, (_, at) => `X-Header-Number-${at}`),
      "cors.origin": ["*"],
    };
    expect(usableClaim(claim("web", {}, { options })).excluded[0]?.reason).toContain("4000");
  });

  test("a rewrite that cannot be done goes alone", () => {
    const options = { strip: "/a", rewrite: { pattern: "(a+)+", replacement: "/" } };
    const { claim: left, excluded } = usableClaim(claim("web", {}, { options }));
    expect(left?.options).toEqual({ strip: "/a" });
    expect(excluded).toMatchObject([{ service: "web", code: "option-unusable" }]);
    expect(excluded[0]?.reason).toContain("it is left out");
  });
});

describe("rewrites", () => {
  const rewrite = (pattern: string, replacement: string) => ({ rewrite: { pattern, replacement } });

  test.each([
    ["^/old/(.*)$", "/new/\\1", "/old/a/b", "/new/a/b"],
    ["^/old/(.*)$", "/new/\\1", "/x/old/a", "/x/old/a"],
    ["/(v\\d)/", "/\\1", "/a/v2/b", "/v2"],
    ["^/(a|b)/(c)?", "/\\2\\1", "/b/x", "/b"],
    ["^/a|/b", "/c", "/x/b", "/x/b"],
  ])("%s makes %s of %s: %s", (pattern, replacement, path, expected) => {
    const options = rewrite(pattern, replacement);
    expect(rewritten(options, path)).toBe(expected);
    const { id, row } = rewriteRow(options) ?? { id: "", row: { key: "none", value: "" } };
    expect(mapReg([row], `${id} ${path}`) !== undefined).toBe(rewritten(options, path) !== path);
  });

  test("end in a path of plain signs", () => {
    expect(rewriteProblem(rewrite("a", "/b"))).toBeUndefined();
    expect(rewriteProblem(rewrite("a", "/b\u0001"))).toContain("no path has");
    expect(rewriteProblem({})).toBeUndefined();
    expect(rewriteRow({})).toBeUndefined();
    expect(rewritten({}, "/a")).toBe("/a");
  });
});
