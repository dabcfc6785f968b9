import type { z } from "zod";
import { type SettingKey, settingAt } from "./keys.ts";
import { nearest } from "./nearest.ts";

/** Something wrong with the settings, in words a person understands. */
export interface SettingProblem {
  /** Where it stands: `sluice.yaml:12:5`, `SLUICE_LOG_LEVEL`, `--log-level`. */
  readonly where: string;
  /** Key path: `log.level`; undefined where no key is meant. */
  readonly key?: string;
  /** What was found, what is expected, what to do. Never the value of a secret. */
  readonly message: string;
}

/** A finding of zod as one or more messages; the values come from the input, so that they can be shown. */
export function messagesOf(
  finding: z.core.$ZodIssue,
  input: object,
  keys: readonly SettingKey[],
): readonly { readonly key: string; readonly message: string }[] {
  const path = finding.path.map(String).join(".");
  const document = keys.find((key) => key.kind === "document" && path.startsWith(`${key.path}.`));
  if (document !== undefined) return entryMessages(finding, path, input, document);
  if (finding.code === "unrecognized_keys") {
    return finding.keys.map((name) => {
      const key = path === "" ? name : `${path}.${name}`;
      return { key, message: unknownKey(name, path, keys) };
    });
  }
  const setting = keys.find((one) => one.path === path);
  const value = settingAt(input, path);
  if (setting === undefined) {
    return [{ key: path, message: `found ${kindOfValue(value)}, expected a section with keys below it` }];
  }
  const found = setting.sensitive ? kindOfValue(value) : shown(value);
  if (finding.code === "custom" || finding.code === "invalid_format") {
    return [
      { key: path, message: setting.sensitive ? `the value is ${finding.message}` : `${found} is ${finding.message}` },
    ];
  }
  if (value === null)
    return [{ key: path, message: `has no value; give it ${setting.expected}, or leave the key out` }];
  const quotes = setting.expected === "a text" && typeof value !== "object" ? "; put it in quotes" : "";
  return [{ key: path, message: `found ${found}, expected ${setting.expected}${quotes}` }];
}

/** Of what stands in a document: its keys are names, which may hold dots. */
function entryMessages(finding: z.core.$ZodIssue, path: string, input: object, { entryKeys = [] }: SettingKey) {
  if (finding.code === "unrecognized_keys") {
    return finding.keys.map((name) => {
      const near = nearest(name, entryKeys);
      const advice = near === undefined ? `known here: ${entryKeys.join(", ")}` : `did you mean ${near}?`;
      return { key: `${path}.${name}`, message: `unknown key; ${advice}` };
    });
  }
  let value: unknown = input;
  for (const name of finding.path) value = (value as Readonly<Record<PropertyKey, unknown>> | undefined)?.[name];
  const expected = finding.code === "invalid_type" ? `expected ${expectedType(finding.expected)}` : finding.message;
  if (finding.code === "custom") {
    const scalar = value !== undefined && (typeof value !== "object" || value === null);
    const message =
      scalar && finding.message.startsWith("is not ") ? `${shown(value)} ${finding.message}` : finding.message;
    return [{ key: path, message }];
  }
  return [{ key: path, message: `${value === undefined ? "has no value" : `found ${shown(value)}`}, ${expected}` }];
}

function expectedType(type: string): string {
  return type === "string" ? "a text" : type === "record" || type === "object" ? "a section with keys below it" : type;
}

function unknownKey(name: string, section: string, keys: readonly SettingKey[]): string {
  const prefix = section === "" ? "" : `${section}.`;
  const siblings = keys.filter((key) => key.path.startsWith(prefix)).map((key) => nameBelow(key.path, prefix));
  const near = nearest(name, siblings);
  if (near !== undefined) return `unknown key; did you mean ${prefix}${near}?`;
  const lastNames = new Map(keys.map((key) => [key.path.slice(key.path.lastIndexOf(".") + 1), key.path]));
  const elsewhere = nearest(name, lastNames.keys());
  if (elsewhere !== undefined) return `unknown key; did you mean ${lastNames.get(elsewhere)}?`;
  return `unknown key; known here: ${[...new Set(siblings)].join(", ")}`;
}

function nameBelow(path: string, prefix: string): string {
  return path.slice(prefix.length).split(".")[0] as string;
}

/** A value as one short line; a password within an address is left out. */
function shown(value: unknown): string {
  if (value !== null && typeof value === "object") return kindOfValue(value);
  const line = (JSON.stringify(value) ?? "nothing").replace(/\/\/[^@/]*@/, "//***@");
  return line.length > 80 ? `${line.slice(0, 77)}…` : line;
}

function kindOfValue(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null || value === undefined) return "nothing";
  return typeof value === "object" ? "a section" : `a ${typeof value === "string" ? "text" : typeof value}`;
}
