import { conditionProblem } from "./conditions.ts";
import { globProblem, isGlob } from "./globs.ts";
import { routeText } from "./merge-claims.ts";
import { rewriteProblem } from "./rewrites.ts";
import { optionsProblem } from "./route-value.ts";
import { shown } from "./shown.ts";
import type { Claim, Exclusion } from "./types.ts";

export interface UsableClaim {
  /** Left out where nothing of it can be carried. */
  readonly claim?: Claim;
  readonly excluded: readonly Exclusion[];
}

const hostName = /^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/;
/** RFC 1035, 2.3.4 */
const longestHost = 253;
const longestPath = 1_024;
/** Taken out of a request's path before it is looked up, or refused (see request.njk). */
const neverLookedUp = /;|\/\/|\/\.\.?\//;

/**
 * A claim as far as it can be carried into the maps. One whose conditions cannot be asked goes altogether, for without
 * them it would take what is not meant; a rewrite that cannot be done goes alone.
 */
export function usableClaim(claim: Claim): UsableClaim {
  const { pattern, options, origin } = claim;
  const host = hostProblem(pattern.host);
  if (host !== undefined) return without(claim, "host-unusable", `the host ${shown(pattern.host)} ${host}`);
  if (!/^\/[^\s?\p{C}]*$/u.test(pattern.path) || pattern.path.length > longestPath) {
    return without(claim, "option-unusable", `the path ${shown(pattern.path)} is none that a request can have`);
  }
  if (neverLookedUp.test(pattern.path)) {
    const problem = `paths are looked up without ";…", "//", "/./" and "/../", so none begins with ${shown(pattern.path)}`;
    return without(claim, "option-unusable", problem);
  }
  for (const condition of pattern.conditions) {
    const problem = conditionProblem(condition);
    if (problem === undefined) continue;
    const what = "value" in condition ? condition.value : condition.name;
    return without(claim, "option-unusable", `the condition ${shown(what)} on ${condition.name} ${problem}`);
  }
  if (!pattern.methods.every((method) => /^[A-Z]{1,20}$/.test(method))) {
    return without(claim, "option-unusable", `${shown(pattern.methods.join(","))} are no methods`);
  }
  const rewrite = rewriteProblem(options);
  const { rewrite: _, ...rest } = options;
  const kept = rewrite === undefined ? options : rest;
  const carried = optionsProblem(kept);
  if (carried !== undefined) return without(claim, "option-unusable", carried);
  if (rewrite === undefined) return { claim, excluded: [] };
  const reason = `the rewrite ${shown(options.rewrite?.pattern ?? "")} of the route ${routeText(pattern)} ${rewrite}; it is left out`;
  return {
    claim: { ...claim, options: kept },
    excluded: [{ service: origin.service, code: "option-unusable", reason }],
  };
}

function hostProblem(host: string): string | undefined {
  if (host === "") return undefined;
  if (host.length > longestHost) return `is longer than ${longestHost} characters`;
  if (isGlob(host)) return globProblem(host);
  return hostName.test(host) ? undefined : "is none that a request can have";
}

function without({ origin, pattern }: Claim, code: Exclusion["code"], problem: string): UsableClaim {
  const reason = `the route ${shown(routeText(pattern))} is left out: ${problem}`;
  return { excluded: [{ service: origin.service, code, reason }] };
}
