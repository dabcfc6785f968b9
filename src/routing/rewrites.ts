import type { RouteOptions } from "../settings/options/table.ts";
import { hexDigest } from "../support/digest.ts";
import { boundedTries, regexProblem, withoutSpaces } from "./safe-regex.ts";
import type { MapRow } from "./types.ts";

export interface RewriteRow {
  /** Digest of what it says. */
  readonly id: string;
  readonly row: MapRow;
}

/** The row of rewrites.map for an option `rewrite`: an expression over `<id> <path>`, and the path it becomes. */
export function rewriteRow({ rewrite }: RouteOptions): RewriteRow | undefined {
  if (rewrite === undefined) return undefined;
  const { pattern, replacement } = rewrite;
  const id = hexDigest(JSON.stringify([pattern, replacement]), 12);
  return { id, row: { key: `${boundedTries}^${id}\\x20${anchored(pattern)}`, value: replacement } };
}

/** What is wrong with an option `rewrite`, in words a person understands; `undefined` where it can be used. */
export function rewriteProblem({ rewrite }: RouteOptions): string | undefined {
  if (rewrite === undefined) return undefined;
  const { pattern, replacement } = rewrite;
  if (!/^[!-~]+$/.test(replacement)) return "becomes a path with characters that no path has";
  return regexProblem(pattern);
}

/** The path a rewrite makes of another: as HAProxy's map_regm does. */
export function rewritten({ rewrite }: RouteOptions, path: string): string {
  if (rewrite === undefined) return path;
  const match = new RegExp(`^${anchored(rewrite.pattern)}`, "u").exec(path);
  return match === null
    ? path
    : rewrite.replacement.replace(/\\(\d)/g, (_, group: string) => match[Number(group)] ?? "");
}

/** The same for a text of which it must be the beginning. A `^` before alternatives is one for all of them. */
function anchored(pattern: string): string {
  return pattern.startsWith("^") ? `(?:${withoutSpaces(pattern.slice(1))})` : `.*?(?:${withoutSpaces(pattern)})`;
}
