import type { z } from "zod";
import { nearest } from "../nearest.ts";
import { metaKeyOf, type OptionKey, type Options, optionTable } from "./table.ts";

export interface OptionProblem {
  readonly key: string;
  /** What is wrong with it, behind the key, in words a person understands. */
  readonly problem: string;
}

export interface ReadOptions {
  readonly options: Options;
  readonly problems: readonly OptionProblem[];
}

const keys = Object.keys(optionTable) as OptionKey[];
const keyOfMeta: ReadonlyMap<string, OptionKey> = new Map(keys.map((key) => [metaKeyOf(key), key]));

/** The option of a meta key (`haproxy_timeout_server`). */
export function optionOfMeta(metaKey: string): OptionKey | undefined {
  return keyOfMeta.get(metaKey);
}

/** Values by option key, as tags, meta or a document have them, checked. What cannot be read costs itself only. */
export function readOptions(values: Readonly<Record<string, unknown>>): ReadOptions {
  const options: Record<string, unknown> = {};
  const problems: OptionProblem[] = [];
  for (const [key, value] of Object.entries(values)) {
    if (!Object.hasOwn(optionTable, key)) {
      const near = nearest(key, keys);
      problems.push({ key, problem: `is no option${near === undefined ? "" : `; did you mean ${near}?`}` });
      continue;
    }
    const result = (optionTable[key as OptionKey].value as z.ZodType).safeParse(value);
    if (result.success) options[key] = result.data;
    else problems.push({ key, problem: problemOf(result.error) });
  }
  return { options: options as Options, problems };
}

function problemOf({ issues }: z.ZodError): string {
  const [issue] = issues;
  if (issue?.code === "invalid_value") return `is not one of ${issue.values.join(", ")}`;
  return issue?.message ?? "cannot be read";
}
