import { z } from "zod";

/** What an option belongs to: one route, the service as a whole, or one instance of it. */
export type OptionScope = "route" | "service" | "instance";

/** One row of the table of options: how its value is written, what it means, and what a change of it costs. */
export interface Option<S extends z.ZodType = z.ZodType> {
  readonly scope: OptionScope;
  /** Takes the text of a tag or meta value, or the value a YAML or JSON document has in its place. */
  readonly value: S;
  /** One sentence for docs/routing.md. */
  readonly describe: string;
  /** A value as a tag has it. */
  readonly example: string;
  /** What a change takes on a backend that runs: commands of the Runtime API alone, or a reload. */
  readonly change: "runtime" | "reload";
}

export function option<S extends z.ZodType>(row: Option<S>): Option<S> {
  return row;
}

/** A scalar of a YAML or JSON document, or a text, as a text. */
export const scalar = z.union([z.string(), z.number(), z.boolean()]).transform((value) => String(value).trim());

/** Comma-separated in a text, or a list of a document. Empty parts are left out. */
export function listOf<O>(one: z.ZodType<O, string | number | boolean>) {
  return z
    .union([scalar.transform((text) => text.split(",")), z.array(scalar)])
    .transform((parts): (string | number | boolean)[] => parts.map((part) => part.trim()).filter((part) => part !== ""))
    .pipe(z.array(one).min(1, { error: "is empty" }));
}

/** Values that hold commas themselves: one each, by repeating the tag, or a list of a document. */
export function linesOf<O>(one: z.ZodType<O, string | number | boolean>) {
  return z
    .union([scalar.transform((text) => [text]), z.array(scalar)])
    .transform((lines): (string | number | boolean)[] => lines)
    .pipe(z.array(one).min(1, { error: "is empty" }));
}

export const flag = scalar.pipe(z.enum(["true", "false"])).transform((text) => text === "true");

export function whole(least: number, most: number) {
  return scalar
    .refine((text) => /^\d{1,10}$/.test(text) && Number(text) >= least && Number(text) <= most, {
      error: `is not a whole number from ${least} to ${most}`,
    })
    .transform(Number);
}

export function oneOf<const T extends readonly [string, ...string[]]>(choices: T) {
  return scalar.pipe(z.enum(choices));
}

/** A text of one line, matched by a pattern. */
export function like(pattern: RegExp, expected: string) {
  return scalar.refine((text) => text.length <= 1_024 && pattern.test(text), { error: `is not ${expected}` });
}
