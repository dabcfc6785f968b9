import { tableRow, withTable } from "../marked-table.ts";
import { metaKeyOf, type OptionKey, optionTable } from "./table.ts";

const marks = ["<!-- options: generated from the table, do not edit -->", "<!-- end of options -->"] as const;

/** Every option as a Markdown table. */
export function optionsTable(): string {
  const rows = (Object.keys(optionTable) as OptionKey[]).map((key) => {
    const { scope, describe, example, change } = optionTable[key];
    return tableRow([
      `\`${key}\``,
      scope,
      describe,
      `\`haproxy.${key}=${example}\``,
      `\`${metaKeyOf(key)}=${example}\``,
      change === "runtime" ? "no reload" : "a reload",
    ]);
  });
  return [
    "| Option | Of | Meaning | As a tag | As meta | A change costs |",
    "| --- | --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

/** docs/routing.md with its table brought up to date. */
export function withOptionsTable(document: string): string {
  return withTable(document, marks, optionsTable());
}
