import { parseDocument } from "yaml";
import { type OptionDocument, readDocument } from "./read-document.ts";

/** What a document of the key-value store says of a service. */
export interface ReadOverride extends OptionDocument {
  /** In words, each with the key it is about. Sorted as they stand in the document. */
  readonly problems: readonly string[];
  /** True where the document as a whole cannot be read, so that it says nothing. */
  readonly unreadable: boolean;
}

/** Longer documents are not read: no service has that many options. In UTF-16 units. */
const longest = 65_536;
/** More problems of one document help nobody. */
const mostProblems = 20;

/** A YAML or JSON document as text; see {@link readDocument}. What cannot be read of it costs itself only. */
export function readOverride(text: string): ReadOverride {
  const document = parse(text);
  if (typeof document === "string") return { options: {}, routes: {}, problems: [document], unreadable: true };
  const { options, routes, problems } = readDocument(document);
  const said = problems.slice(0, mostProblems).map(({ key, problem }) => `${key} ${problem}`);
  if (problems.length > said.length) said.push(`and ${problems.length - said.length} more`);
  return { options, routes, problems: said, unreadable: false };
}

/** The document's keys, or why there are none. */
function parse(text: string): object | string {
  if (text.length > longest) return `is ${text.length} characters long, ${longest} are read; shorten it`;
  const document = parseDocument(text, { prettyErrors: false, logLevel: "error", schema: "core" });
  const [error] = document.errors;
  // What stands behind the colon quotes the source, which may hold anything.
  if (error !== undefined) return `is neither YAML nor JSON: ${error.message.replace(/:.*$/s, "")}; mend it`;
  let value: unknown;
  try {
    // Aliases can make much of little, and nobody needs them here.
    value = document.toJS({ maxAliasCount: 0 });
  } catch {
    return "has aliases, which are not read; write them out";
  }
  // A document that was emptied says nothing.
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value)) return "has no keys; write key: value";
  return value;
}
