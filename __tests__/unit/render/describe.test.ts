import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { viewTable, withViewTable } from "../../../src/render/describe.ts";

const document = new URL("../../../docs/template.md", import.meta.url);

test("docs/template.md has the table of today (npx tsx docs/write-view.ts writes it anew)", async () => {
  const text = await readFile(document, "utf8");
  expect(text).toContain(viewTable());
  expect(withViewTable(text)).toBe(text);
});

test("every field of the view is described", () => {
  const rows = viewTable().split("\n").slice(2);
  expect(rows.map((row) => /^\| `([^`]+)`/.exec(row)?.[1])).toEqual(
    expect.arrayContaining(["backends[].servers[].id", "routes[].host", "http", "stats.password", "sluice.version"]),
  );
  expect(rows.filter((row) => !/ \| [A-Z0-9`<].{5,} \|$/.test(row))).toEqual([]);
});

test("a document without marks stays as it is", () => expect(withViewTable("text\n")).toBe("text\n"));
