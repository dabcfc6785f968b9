import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";

const root = fileURLToPath(new URL("../../", import.meta.url));
const document = readFileSync(path.join(root, "docs/reliability.md"), "utf8");

/** `file.test.ts`: “title”, “title” */
const named = [...document.matchAll(/`([\w/-]+\.test\.ts)`: (“[^”]+”(?:, “[^”]+”)*)/g)].map(
  ([, file = "", titles = ""]) => ({ file, titles: [...titles.matchAll(/“([^”]+)”/g)].map(([, title = ""]) => title) }),
);

/** Titles of tests and groups of tests; what is put in at run time stands as `…`. */
function titlesIn(file: string): readonly string[] {
  const source = readFileSync(path.join(root, "__tests__", file), "utf8");
  const strings = source.matchAll(/(?:\b(?:test|describe)|\))\(\s*(["'`])((?:\\.|(?!\1)[^\n])*)\1,/g);
  return [...strings].map(([, , title = ""]) => title.replace(/\$\{[^}]*\}|%[sdj]/g, "…").replaceAll('\\"', '"'));
}

describe("docs/reliability.md", () => {
  test("names a test for every promise", () => {
    const rows = [...document.matchAll(/^\| (?!Promise|---).*$/gm)].map(([row]) => row);
    expect(rows.length).toBeGreaterThanOrEqual(25);
    for (const row of rows) expect(row).toMatch(/`[\w/-]+\.test\.ts`: “/);
  });

  test.each(named.map(({ file }) => file))("%s is there", (file) => {
    expect(existsSync(path.join(root, "__tests__", file))).toBe(true);
  });

  test.each(named.flatMap(({ file, titles }) => titles.map((title) => [file, title] as const)))(
    "%s has “%s”",
    (file, title) => {
      expect(titlesIn(file)).toContain(title);
    },
  );

  test("names every file of faults", () => {
    const files = readdirSync(path.join(root, "__tests__/faults")).filter((name) => name.endsWith(".test.ts"));
    expect(files.filter((name) => !named.some(({ file }) => file === `faults/${name}`))).toEqual([]);
  });

  test.each([...document.matchAll(/npm run ([\w:]+)/g)].map(([, name = ""]) => name))("npm script %s", (name) => {
    const { scripts } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { scripts: object };
    expect(Object.keys(scripts)).toContain(name);
  });
});
