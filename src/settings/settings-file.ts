import { readFileSync } from "node:fs";
import { isMap, isNode, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { SluiceError, systemErrorCode } from "../support/errors.ts";
import type { SettingProblem } from "./problem.ts";

/** A settings file as read: its values, and where in the file each key stands. */
export interface SettingsFile {
  /** Sections left empty are absent; empty when the file is. */
  readonly tree: object;
  /** What makes the YAML itself unusable; the tree is empty then. */
  readonly problems: readonly SettingProblem[];
  /** `file:line:column` of a key path, or of the nearest section above it that the file has. */
  where(path: string): string;
}

/** @throws {SluiceError} ERR_SETTINGS_UNREADABLE */
export function readSettingsFile(file: string): SettingsFile {
  let source: string;
  try {
    source = readFileSync(file, "utf8");
  } catch (cause) {
    const code = systemErrorCode(cause) ?? "unknown error";
    throw new SluiceError(
      "ERR_SETTINGS_UNREADABLE",
      `the settings file ${file} cannot be read (${code}); check that it exists and that this user may read it`,
      { cause, details: { file } },
    );
  }
  return parseSettingsFile(file, source);
}

/** YAML 1.2 as a tree of sections. Messages never quote a line of the source: it may hold a secret. */
function parseSettingsFile(file: string, source: string): SettingsFile {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const position = (offset: number | undefined): string => {
    if (offset === undefined) return file;
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };

  const where = (path: string): string => {
    let node: unknown = document.contents;
    let offset: number | undefined;
    let rest = path;
    while (isMap(node)) {
      // Names of services and options may hold dots.
      const pair = node.items.find(({ key }) => isScalar(key) && `${rest}.`.startsWith(`${String(key.value)}.`));
      if (pair === undefined || !isScalar(pair.key)) break;
      offset = pair.key.range?.[0] ?? offset;
      rest = rest.slice(String(pair.key.value).length + 1);
      node = pair.value;
    }
    return position(offset);
  };

  const problems: SettingProblem[] = document.errors.map((error) => ({
    where: position(error.pos[0]),
    // What stands behind the colon quotes the source.
    message: `not YAML: ${error.message.replace(/:.*$/s, "")}`,
  }));
  visit(document, {
    Pair: (_, pair) => {
      if (isScalar(pair.key)) return;
      const offset = isNode(pair.key) ? pair.key.range?.[0] : undefined;
      problems.push({ where: position(offset), message: "a key must be a plain name, not a list or a section" });
    },
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return;
      const message = "an alias (*name) without its anchor (&name); put a value that begins with * in quotes";
      problems.push({ where: position(alias.range?.[0]), message });
    },
  });
  let tree: unknown = {};
  if (problems.length === 0) {
    try {
      tree = document.toJS() ?? {};
    } catch (cause) {
      // Aliases that multiply without end.
      problems.push({ where: file, message: `not YAML: ${cause instanceof Error ? cause.message : String(cause)}` });
    }
  }
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) {
    problems.push({ where: position(0), message: "not settings: expected sections such as consul: and haproxy:" });
    tree = {};
  }
  return { tree: tree as object, problems, where };
}
