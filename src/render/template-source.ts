import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { TemplateSource } from "../reconciler/ports.ts";
import { hexDigest } from "../support/digest.ts";
import { SluiceError, systemErrorCode } from "../support/errors.ts";

/** The template that comes with Sluice. The same from src/ and from dist/. */
export const defaultTemplatePath = fileURLToPath(new URL("../../haproxy/haproxy.cfg.njk", import.meta.url));

/** What belongs to a template, besides the main file itself. */
const partOfTemplate = /\.(?:njk|http)$/;

/** Bounds that no template comes near; a tree beyond them is not a template's directory (`/`, a home). */
const mostFiles = 500;
const mostDirectories = 200;
const mostCharacters = 4 * 1024 * 1024;

/**
 * Reads a template whole: its main file and every *.njk and *.http file in that file's directory and below, directories
 * that begin with a dot left out. Parts that are not there come from the template Sluice brings. What is rendered later
 * is what was read here: it is frozen, can be kept as JSON, and does not change when the files do.
 *
 * @param path of the main template, any name will do; not given: the one Sluice brings
 * @throws SluiceError ERR_TEMPLATE_UNREADABLE with path and reason
 */
export async function loadTemplate(path: string = defaultTemplatePath): Promise<TemplateSource> {
  const main = resolve(path);
  const own = await readTree(main);
  const builtIn = main === defaultTemplatePath ? {} : await readTree(defaultTemplatePath);
  return templateFromSources(main, { ...builtIn, ...own });
}

/**
 * A template put together from sources that were read before.
 *
 * @param path of the main template, whose file name is its name among the sources
 */
export function templateFromSources(path: string, sources: Readonly<Record<string, string>>): TemplateSource {
  const sorted = Object.entries(sources).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.freeze({
    path,
    digest: hexDigest(JSON.stringify([basename(path), sorted])),
    sources: Object.freeze(Object.fromEntries(sorted)),
  });
}

/** The name of the main template among its sources. */
export function mainTemplate(template: TemplateSource): string {
  return basename(template.path);
}

/**
 * The files `loadTemplate` reads for this path, absolute and sorted: what to watch. The main template is among them
 * even where it is missing.
 *
 * @throws SluiceError ERR_TEMPLATE_UNREADABLE where the directory is too large or closed
 */
export function templateFiles(path: string = defaultTemplatePath): readonly string[] {
  const main = resolve(path);
  const root = dirname(main);
  return [main, ...partNames(main).map((name) => join(root, name))].sort();
}

async function readTree(main: string): Promise<Record<string, string>> {
  const root = dirname(main);
  const sources: Record<string, string> = { [basename(main)]: await readText(main) };
  let characters = 0;
  for (const name of partNames(main)) {
    let text: string;
    try {
      text = await readText(join(root, name));
    } catch (thrown) {
      // Gone since the directory was read.
      if (thrown instanceof SluiceError && thrown.details["code"] === "ENOENT") continue;
      throw thrown;
    }
    characters += text.length;
    if (characters > mostCharacters) throw tooLarge(root, `more than ${mostCharacters} characters of templates`);
    sources[name] = text;
  }
  return sources;
}

/** Names of the parts beside and below the main template, relative to its directory, with `/` between. */
function partNames(main: string): readonly string[] {
  const root = dirname(main);
  const names: string[] = [];
  const pending = [""];
  let directories = 0;
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    directories += 1;
    if (directories > mostDirectories) throw tooLarge(root, `more than ${mostDirectories} directories`);
    for (const entry of entriesOf(root, directory)) {
      const name = directory === "" ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!entry.name.startsWith(".") && entry.name !== "node_modules") pending.push(name);
      } else if (partOfTemplate.test(entry.name) && name !== basename(main)) names.push(name);
    }
    if (names.length > mostFiles) throw tooLarge(root, `more than ${mostFiles} templates`);
  }
  return names;
}

function entriesOf(root: string, directory: string) {
  try {
    return readdirSync(join(root, directory), { withFileTypes: true });
  } catch (cause) {
    const code = systemErrorCode(cause);
    // A directory that went holds no part; one below that is closed to us holds none that is meant for us.
    if (code === "ENOENT" || (directory !== "" && (code === "EACCES" || code === "EPERM"))) return [];
    throw unreadable(join(root, directory), cause);
  }
}

async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

const reasons: ReadonlyMap<string | undefined, string> = new Map([
  ["ENOENT", "there is no such file; check the setting template"],
  ["EISDIR", "it is a directory; name the file in it"],
  ["ENOTDIR", "a part of the path is not a directory; check the setting template"],
  ["EACCES", "it may not be read; change its mode or owner"],
  ["ERR_ENCODING_INVALID_ENCODED_DATA", "it is not UTF-8 text; save it as such"],
]);

function unreadable(path: string, cause: unknown): SluiceError {
  const code = systemErrorCode(cause);
  const reason = reasons.get(code) ?? (cause instanceof Error ? cause.message : String(cause));
  return new SluiceError("ERR_TEMPLATE_UNREADABLE", `template ${path} cannot be read: ${reason}`, {
    cause,
    details: { path, ...(code !== undefined && { code }) },
  });
}

function tooLarge(root: string, what: string): SluiceError {
  return new SluiceError(
    "ERR_TEMPLATE_UNREADABLE",
    `the template's directory ${root} holds ${what}; put the template in a directory of its own`,
    { details: { path: root } },
  );
}
