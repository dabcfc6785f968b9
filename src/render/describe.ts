import { z } from "zod";
import { viewSchema } from "./view-schema.ts";

const begin = "<!-- view: generated from the schema, do not edit -->";
const end = "<!-- end of view -->";

interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
}

/** What a template sees, as a Markdown table. */
export function viewTable(): string {
  const rows: string[] = [];
  addRows(z.toJSONSchema(viewSchema) as Node, "", rows);
  return ["| Name | Type | Meaning |", "| --- | --- | --- |", ...rows].join("\n");
}

/** A document with the table between its two marks brought up to date; unchanged where it has no marks. */
export function withViewTable(document: string): string {
  const from = document.indexOf(begin);
  const to = document.indexOf(end, from);
  if (from < 0 || to < 0) return document;
  return `${document.slice(0, from + begin.length)}\n\n${viewTable()}\n\n${document.slice(to)}`;
}

function addRows(node: Node, prefix: string, rows: string[]): void {
  for (const [name, field] of Object.entries(node.properties ?? {})) {
    const path = `${prefix}${name}`;
    const missing = node.required?.includes(name) === true ? "" : ", may be missing";
    if (field.description !== undefined)
      rows.push(`| \`${path}\` | ${typeOf(field)}${missing} | ${field.description} |`);
    if (field.items?.properties !== undefined) addRows(field.items, `${path}[].`, rows);
    else addRows(field, `${path}.`, rows);
  }
}

function typeOf(field: Node): string {
  switch (field.type) {
    case "array":
      return field.items?.properties === undefined ? "list of texts" : "list";
    case "object":
      return "object";
    case "integer":
      return "whole number";
    case "boolean":
      return "true or false";
    default:
      return "text";
  }
}
