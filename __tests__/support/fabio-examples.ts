import { readFile } from "node:fs/promises";

/** One tag, and the instance that carries it. */
export interface ExampleTag {
  readonly service: string;
  /** `A`, or `A1` of the service `A`. */
  readonly instance: string;
  readonly tag: string;
}

/** A row of the tables of docs/fabio.md. */
export interface Example {
  readonly section: string;
  readonly tags: readonly ExampleTag[];
  readonly steps: readonly { readonly request: string; readonly answer: string }[];
}

/** The rows of the tables under "Examples", each `Tags | Requests | Answers` with `<br>` between several of a cell. */
export async function fabioExamples(): Promise<readonly Example[]> {
  const page = await readFile(new URL("../../docs/fabio.md", import.meta.url), "utf8");
  const [, examples = ""] = page.split(/^## Examples$/m);
  const [tables = ""] = examples.split(/^## /m);
  return tables.split(/^### /m).flatMap((part) => {
    const section = part.split("\n", 1)[0] ?? "";
    const lines = part.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| Tags |"));
    return lines.map((line) => exampleOf(section, line));
  });
}

function exampleOf(section: string, line: string): Example {
  const [tags = [], requests = [], answers = []] = line
    .slice(1, -1)
    .split(" | ")
    .map((cell) => cell.trim().split("<br>"));
  if (requests.length !== answers.length) throw new Error(`as many requests as answers: ${line}`);
  return {
    section,
    tags: tags.map((text) => {
      const [, instance = "A", tag] = /^(?:([A-Z]\d?): )?`([^`]*)`$/.exec(text) ?? [];
      if (tag === undefined) throw new Error(`no tag: ${text}`);
      return { service: instance.charAt(0), instance, tag };
    }),
    steps: requests.map((request, at) => ({
      request: request.replaceAll("`", ""),
      answer: (answers[at] ?? "").replaceAll("`", ""),
    })),
  };
}

/** In the order of their first one. */
export function grouped<T>(all: readonly T[], keyOf: (one: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) {
    const group = groups.get(keyOf(one));
    if (group === undefined) groups.set(keyOf(one), [one]);
    else group.push(one);
  }
  return groups;
}
