import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { optionsTable, withOptionsTable } from "../../../src/settings/options/describe-options.ts";
import { readDocument } from "../../../src/settings/options/read-document.ts";
import { type OptionKey, optionTable } from "../../../src/settings/options/table.ts";

const keys = Object.keys(optionTable) as OptionKey[];
const document = readFileSync(new URL("../../../docs/routing.md", import.meta.url), "utf8");

describe("the documentation of routing", () => {
  test("is up to date (npx tsx docs/write-routing.ts)", () => {
    expect(document).toContain("| Option | Of | Meaning |");
    expect(document).toBe(withOptionsTable(document));
  });

  test("names each option once, as a tag and as meta", () => {
    const lines = optionsTable().split("\n");
    expect(lines).toHaveLength(keys.length + 2);
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^\| `timeout\.server` \| service \| .+ \| `haproxy\.timeout\.server=5m` \| `haproxy_timeout_server=5m` \| a reload \|$/,
      ),
    );
    for (const line of lines) expect(line.split(/(?<!\\)\|/)).toHaveLength(8);
  });

  test("gives documents and tags that can be read", () => {
    const blocks = [...document.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, language, text = ""]) => ({
      language,
      text,
    }));
    const yaml = blocks.filter(({ language }) => language === "yaml").map(({ text }) => parse(text));
    const kept = blocks.flatMap(({ text }) => /<<'DOCUMENT'\n([\s\S]*?)\nDOCUMENT/.exec(text)?.[1] ?? []);
    const documents = [
      ...yaml.flatMap((tree) => Object.values<object>(tree.services.options)),
      ...kept.map((one) => parse(one)),
    ];
    expect(documents).toHaveLength(3);
    for (const one of documents) expect(readDocument(one).problems).toEqual([]);
    // A block of tags is a document of flat keys, in which each stands once.
    const tags = blocks.filter(({ text }) => text.startsWith("haproxy.")).map(({ text }) => text.trim().split("\n"));
    expect(tags).toHaveLength(3);
    for (const lines of tags) {
      const flat = lines.map((line) => /^haproxy\.([^=]+)=(.*)$/.exec(line)?.slice(1) as [string, string]);
      expect(readDocument(Object.fromEntries(flat)).problems).toEqual([]);
    }
  });
});

test("each option has a test that shows it with real traffic, named after it", () => {
  const folder = new URL("../../integration/", import.meta.url);
  const source = readdirSync(folder)
    .filter((file) => /^options-.+\.test\.ts$/.test(file))
    .map((file) => readFileSync(new URL(file, folder), "utf8"))
    .join("\n");
  const titles = new Set(
    [...source.matchAll(/\b(?:test|describe)(?:\.each\S*)?\(\s*["'`]haproxy\.([a-z.-]+[a-z])/g)].map(([, key]) => key),
  );
  expect(keys.filter((key) => !titles.has(key))).toEqual([]);
});
