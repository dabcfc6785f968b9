import { describe, expect, test } from "@jest/globals";
import { createGlobChains } from "../../../src/routing/glob-chains.ts";
import { compareGlobs } from "../../../src/routing/globs.ts";
import { globChain, globPrefix, type HostGlob } from "../../../src/routing/scopes.ts";

const sorted = (globs: readonly HostGlob[]) =>
  [...globs].sort((a, b) => compareGlobs(a.glob, b.glob) || (b.port ?? 0) - (a.port ?? 0));
const all = sorted([
  { glob: "*" },
  { glob: "*", port: 81 },
  { glob: "*.x" },
  { glob: "*.a.x" },
  { glob: "*.a.x", port: 81 },
  { glob: "b*.a.x" },
  { glob: "*.y" },
  { glob: "?.y" },
]);

describe("chains of globs", () => {
  test("are what they would be if they were made anew, whatever came and went before", () => {
    const chainsOf = createGlobChains();
    // Each subset of eight, in an order in which several come and go at a time.
    for (let step = 0; step < 256; step += 1) {
      const number = (step * 93) % 256;
      const globs = all.filter((_, index) => (number & (1 << index)) !== 0);
      const anew = new Map(globs.map((glob) => [globPrefix(0, glob), globChain(glob, globs)]));
      expect(chainsOf(globs)).toEqual(anew);
    }
  });

  test("of globs that a change does not touch stay the same lists", () => {
    const chainsOf = createGlobChains();
    const before = chainsOf(sorted([{ glob: "*.x" }, { glob: "b*.a.x" }, { glob: "?.y" }]));
    const after = chainsOf(sorted([{ glob: "*.x" }, { glob: "b*.a.x" }, { glob: "?.y" }, { glob: "*.a.x" }]));
    expect(after.get("*.x")).toBe(before.get("*.x"));
    expect(after.get("?.y")).toBe(before.get("?.y"));
    expect(after.get("b*.a.x")).not.toEqual(before.get("b*.a.x"));
    expect(chainsOf(sorted([{ glob: "*.x" }, { glob: "b*.a.x" }, { glob: "?.y" }, { glob: "*.a.x" }]))).toBe(after);
  });
});
