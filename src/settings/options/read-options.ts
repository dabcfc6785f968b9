import type { z } from "zod";
import { nearest } from "../nearest.ts";
import { metaKeyOf, type OptionKey, optionTable } from "./table.ts";

export interface OptionProblem {
  readonly key: string;
  /** What is wrong with it, behind the key, in words a person understands. */
  readonly problem: string;
}

/** One value, checked. */
export type ReadOption =
  | { readonly kind: "value"; readonly key: OptionKey; readonly value: unknown }
  | { readonly kind: "problem"; readonly problem: string };

/** Every key, in the order of the table. */
export const optionKeys = Object.keys(optionTable) as readonly OptionKey[];

const keyOfMeta: ReadonlyMap<string, OptionKey> = new Map(optionKeys.map((key) => [metaKeyOf(key), key]));

/** The option of a meta key (`haproxy_timeout_server`). */
export function optionOfMeta(metaKey: string): OptionKey | undefined {
  return keyOfMeta.get(metaKey);
}

export function isOptionKey(key: string): key is OptionKey {
  return Object.hasOwn(optionTable, key);
}

/** The value of one option, as a tag, meta or a document has it. */
export function readOption(key: string, value: unknown): ReadOption {
  if (!isOptionKey(key)) {
    const near = nearest(key, optionKeys);
    return { kind: "problem", problem: `is no option${near === undefined ? "" : `; did you mean ${near}?`}` };
  }
  const result = (optionTable[key].value as z.ZodType).safeParse(value);
  return result.success
    ? { kind: "value", key, value: result.data }
    : { kind: "problem", problem: problemOf(result.error) };
}

function problemOf({ issues }: z.ZodError): string {
  const [issue] = issues;
  if (issue?.code === "invalid_value") return `is not one of ${issue.values.join(", ")}`;
  if (issue?.code === "invalid_union") return "has a value of the wrong kind";
  return issue?.message ?? "cannot be read";
}
