import { isOptionKey, type OptionProblem, readOption } from "./read-options.ts";
import { type OptionKey, type Options, optionTable, type RouteOptions } from "./table.ts";

/** What a document says of a service: of sluice.yaml, or of an operator in Consul's key-value store. */
export interface OptionDocument {
  readonly options: Options;
  /** Its named routes. */
  readonly routes: Readonly<Record<string, RouteOptions>>;
}

/** What of a document cannot be read. */
export interface DocumentProblem extends OptionProblem {
  /** Where it stands in the document: the keys on the way. */
  readonly path: readonly string[];
}

/** How the name of a route is written, in tags and documents alike. */
const routeName = /^[a-z0-9]{1,64}$/;

/** A key that says something of a named route: `route.<name>.<key>`. */
const routeKey = /^route\.([^.]*)\.(.+)$/;

/** Deeper than any option, and a bound for a document that holds itself. */
const deepest = 4;

/**
 * A YAML or JSON document of options: flat (`timeout.server: 5s`) or nested (`timeout: { server: 5s }`), named routes
 * under `routes: { <name>: … }` or as `route.<name>.<key>`. What cannot be read costs itself only.
 */
export function readDocument(document: object): OptionDocument & { readonly problems: readonly DocumentProblem[] } {
  const options: Record<string, unknown> = {};
  const routes = new Map<string, Record<string, unknown>>();
  const problems: DocumentProblem[] = [];
  for (const { key, path, value } of leaves(document, "", [])) {
    const target = targetOf(key);
    const read = target.kind === "problem" ? target : readOption(target.key, value);
    if (read.kind === "problem") problems.push({ key, path, problem: read.problem });
    else if (target.kind === "option") options[read.key] = read.value;
    else if (target.kind === "route") {
      const route = routes.get(target.name) ?? {};
      route[read.key] = read.value;
      routes.set(target.name, route);
    }
  }
  return { options: options as Options, routes: Object.fromEntries(routes), problems };
}

/** What a key as tags and documents have it speaks of. */
export type OptionTarget =
  | { readonly kind: "option"; readonly key: string }
  | { readonly kind: "route"; readonly name: string; readonly key: OptionKey }
  | { readonly kind: "problem"; readonly problem: string };

export function targetOf(written: string): OptionTarget {
  const [, name = "", key = ""] = routeKey.exec(written) ?? [];
  if (key === "") return { kind: "option", key: written };
  if (!routeName.test(name)) {
    return { kind: "problem", problem: "has a route's name that is not made of a-z and 0-9" };
  }
  if (!isOptionKey(key)) {
    const read = readOption(key, "");
    return { kind: "problem", problem: read.kind === "problem" ? read.problem : "is no option" };
  }
  return optionTable[key].scope === "route"
    ? { kind: "route", name, key }
    : { kind: "problem", problem: `belongs to no single route; write ${key} without route.${name}` };
}

interface Leaf {
  readonly key: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

function* leaves(document: object, above: string, path: readonly string[]): Generator<Leaf> {
  for (const [name, value] of Object.entries(document)) {
    // `routes: { api: { path: /api } }` is `route.api.path`.
    const key = above === "" ? (name === "routes" ? "route" : name) : `${above}.${name}`;
    const here = [...path, name];
    if (isSection(value) && here.length < deepest) yield* leaves(value, key, here);
    else yield { key, path: here, value };
  }
}

function isSection(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
