import { extname, join } from "node:path";
import type { TemplateSource } from "../reconciler/ports.ts";
import type { Exclusion } from "../routing/types.ts";
import { hexDigest } from "../support/digest.ts";
import { SluiceError } from "../support/errors.ts";

export interface FilePaths {
  /** Directory of map files. */
  readonly maps: string;
  /** Directory of files named by their content. */
  readonly assets: string;
}

/** What a rendering refers to besides its text: files by absolute path, and what it had to leave out. */
export interface RenderedFiles {
  readonly maps: Map<string, string>;
  readonly assets: Map<string, string>;
  /** What a template said it left out. */
  readonly excluded: Exclusion[];
}

export function noFiles(): RenderedFiles {
  return { maps: new Map(), assets: new Map(), excluded: [] };
}

/**
 * A map file (configuration manual 7.1.6 and the converter `map`): a line per row, in the order of the rows, since
 * regular expressions are tried in it. Names the file and remembers its text.
 *
 * @param rows objects that have both fields
 * @returns the file's absolute path
 * @throws SluiceError ERR_VALUE_UNSAFE for a key or value a map file cannot carry
 */
export function addMap(
  files: RenderedFiles,
  paths: FilePaths,
  name: unknown,
  rows: unknown,
  keyField: unknown,
  valueField: unknown,
): string {
  if (typeof name !== "string" || !/^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(name)) {
    throw misused(`${JSON.stringify(name)} is not the name of a file; write one like hosts.map`);
  }
  if (!Array.isArray(rows) || typeof keyField !== "string" || typeof valueField !== "string") {
    throw misused(`write mapFile("${name}", rows, "field of the key", "field of the value")`);
  }
  const text = mapTextOf(name, rows, keyField, valueField);
  const path = expressionPath(join(paths.maps, name));
  const known = files.maps.get(path);
  if (known !== undefined && known !== text)
    throw misused(`the map ${name} is made twice with different rows; give one another name`);
  files.maps.set(path, text);
  return path;
}

/** The text made of rows that cannot change any more, with the name and the fields it was made for. */
const madeOf = new WeakMap<object, { readonly made: string; readonly text: string }>();

function mapTextOf(name: string, rows: readonly unknown[], keyField: string, valueField: string): string {
  const made = JSON.stringify([name, keyField, valueField]);
  const known = madeOf.get(rows);
  if (known?.made === made) return known.text;
  const lines = new Map<string, string>();
  for (const row of rows) {
    const key = mapKey(field(row, keyField), name);
    if (lines.has(key))
      throw misused(`the map ${name} has the key ${JSON.stringify(key)} twice; HAProxy would see the first alone`);
    lines.set(key, mapValue(field(row, valueField), key, name));
  }
  const text = [...lines].map(([key, value]) => `${key} ${value}\n`).join("");
  if (Object.isFrozen(rows)) madeOf.set(rows, { made, text });
  return text;
}

/**
 * A file of the template (an error page), put beside the configuration under a name made of its content: a changed page
 * is another path, and so a change of the configuration that HAProxy is told about.
 *
 * @returns the copy's absolute path
 */
export function addAsset(files: RenderedFiles, paths: FilePaths, template: TemplateSource, name: unknown): string {
  const text = typeof name === "string" && Object.hasOwn(template.sources, name) ? template.sources[name] : undefined;
  if (typeof name !== "string" || text === undefined) {
    throw misused(
      `there is no file ${JSON.stringify(name)} beside the template; *.http and *.njk files are what it may be`,
    );
  }
  const path = assetPath(paths, name, text);
  files.assets.set(path, text);
  return path;
}

/** Where a copy of a file lies: another place for another content. */
export function assetPath(paths: FilePaths, name: string, text: string): string {
  const extension = extname(name);
  const stem = name.slice(name.lastIndexOf("/") + 1, extension === "" ? undefined : -extension.length);
  return join(paths.assets, `${stem.replace(/[^A-Za-z0-9_.-]/g, "_")}.${hexDigest(text, 8)}${extension}`);
}

function field(row: unknown, name: string): string {
  const value = typeof row === "object" && row !== null ? (row as Readonly<Record<string, unknown>>)[name] : undefined;
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw misused(`a row has no "${name}" that is a text or a number`);
}

function mapKey(key: string, map: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (key !== "" && !/[\s\x00-\x1f\x7f]/.test(key) && !key.startsWith("#")) return key;
  throw unsafe(map, `the key ${shown(key)} is empty, has white space or control characters, or begins with #`);
}

function mapValue(value: string, key: string, map: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (value !== "" && !/[\x00-\x1f\x7f]/.test(value) && value.trim() === value) return value;
  throw unsafe(
    map,
    `the value ${shown(value)} of ${shown(key)} is empty, has control characters, or white space at its ends`,
  );
}

/** A path that can stand within an expression, `%[…,map(<path>)]`, where quoting does not reach. */
function expressionPath(path: string): string {
  if (/^[A-Za-z0-9_./:@+~-]+$/.test(path)) return path;
  throw new SluiceError(
    "ERR_VALUE_UNSAFE",
    `the path ${shown(path)} cannot stand in an expression of haproxy.cfg; set haproxy.directory to one of letters, digits and _ . / : @ + ~ -`,
  );
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function unsafe(map: string, problem: string): SluiceError {
  return new SluiceError("ERR_VALUE_UNSAFE", `the map ${map} cannot be written: ${problem}`);
}

function misused(problem: string): SluiceError {
  return new SluiceError("ERR_TEMPLATE_FAILED", problem);
}
