import type { RouteOptions } from "../settings/options/table.ts";
import { hexDigest } from "../support/digest.ts";
import { hostAndPort } from "../support/ip.ts";
import { shareClaims } from "./shares.ts";
import { shown } from "./shown.ts";
import type { Backend, Claim, Exclusion, Origin, Route, RoutePattern, RouteTarget, Server } from "./types.ts";

/** Options that hold for a route as a whole: who has it says what they are. */
const wholeRoute = ["auth", "allow", "deny", "redirect", "https-redirect", "rate"] as const;

export interface MergedClaims {
  readonly route?: Route;
  readonly excluded: readonly Exclusion[];
}

/**
 * What becomes of a pattern that is claimed: those who go together share it, those who do not are named. Fabio's rule is
 * that services which want the same route share it; the name of a service (`<service>.<domain>`) is its own alone.
 *
 * @param claims of one pattern, not empty; each with its backend, which exists
 */
export function mergeClaims(claims: readonly Claim[], backends: ReadonlyMap<string, Backend>): MergedClaims {
  const sorted = [...claims].sort(byPrecedence);
  const [winner] = sorted;
  if (winner === undefined) return { excluded: [] };
  const excluded: Exclusion[] = [];
  const members: Claim[] = [];
  for (const claim of sorted) {
    const together = goTogether(claim, winner);
    if (claim.backend !== winner.backend && !together) {
      excluded.push(conflict(claim, winner));
      continue;
    }
    // Instances of one service that differ, in a rolling deploy, all serve on; what guards the route is the winner's.
    members.push(together ? claim : { ...claim, options: withWholeOf(claim.options, winner.options) });
    if (!together) excluded.push(overruled(claim, winner));
  }
  const targets = sharedTargets(serving(members, backends), backends);
  const { pattern } = winner;
  const route: Route = {
    ...pattern,
    targets,
    priority: Math.max(...members.map(({ priority }) => priority)),
    sticky: targets.some(({ side }) => side !== undefined),
  };
  return { route, excluded };
}

/** Tells patterns apart. */
export function patternKey(pattern: RoutePattern): string {
  const { listen = 0, host, hostPort = 0, path, match, methods, conditions } = pattern;
  const kind = match === "segments" && path.endsWith("/") ? "prefix" : match;
  return JSON.stringify([listen, host, hostPort, path, kind, methods, conditions]);
}

/** Those that can serve; where nobody can, the first keeps the route, and its backend answers that nobody is there. */
function serving(members: readonly Claim[], backends: ReadonlyMap<string, Backend>): readonly Claim[] {
  const taking = members.filter(({ count }) => count > 0);
  if (taking.length > 0) return taking;
  // Servers that are being drained go before none.
  const some = members.filter((claim) => carriersOf(claim, backends.get(claim.backend)).length > 0);
  return (some.length > 0 ? some : members.slice(0, 1)).map((claim) => ({ ...claim, count: 1 }));
}

function sharedTargets(members: readonly Claim[], backends: ReadonlyMap<string, Backend>): readonly RouteTarget[] {
  const shares = shareClaims(members);
  const sticky = members.length > 1 && members.some((claim) => claim.sticky);
  const targets = new Map<string, RouteTarget>();
  for (const [index, claim] of members.entries()) {
    const share = shares[index] ?? 0;
    if (share <= 0) continue;
    const side = sticky ? { side: sideOf(claim) } : {};
    for (const part of partsOf(claim, backends.get(claim.backend))) {
      const target = { ...part, share: share * part.share, origins: [claim.origin], ...side };
      const key = JSON.stringify([part.backend, part.server, part.options, side]);
      const same = targets.get(key);
      targets.set(key, same === undefined ? target : joined(same, target));
    }
  }
  return [...targets]
    .sort(([a, one], [b, other]) => order(one.backend, other.backend) || order(a, b))
    .map(([, target]) => target);
}

function joined(a: RouteTarget, b: RouteTarget): RouteTarget {
  const origins = [...a.origins, ...b.origins.filter((one) => !a.origins.some((other) => sameOrigin(one, other)))];
  return { ...a, share: a.share + b.share, origins };
}

function sameOrigin(a: Origin, b: Origin): boolean {
  return a.service === b.service && a.kind === b.kind && a.text === b.text;
}

/**
 * The backend as it is, or its servers by name: where not all of them ask for the route, and where a request carries the
 * server's own address (`host-header=dst`), which is known before the backend is asked only for a server that is named.
 */
function partsOf(claim: Claim, backend: Backend | undefined): readonly Omit<RouteTarget, "origins">[] {
  const { options } = claim;
  const own = options["host-header"] === "dst";
  const carriers = carriersOf(claim, backend);
  if ((claim.carriers === "all" && !own) || carriers.length === 0) {
    return [{ backend: claim.backend, share: 1, options: own ? withHost(options, undefined) : options }];
  }
  const weighing = carriers.filter(({ weight }) => weight > 0);
  const chosen = weighing.length > 0 ? weighing : carriers;
  const sum = chosen.reduce((all, { weight }) => all + Math.max(weight, weighing.length > 0 ? 0 : 1), 0);
  return chosen.map((server) => ({
    backend: claim.backend,
    server: server.name,
    share: Math.max(server.weight, weighing.length > 0 ? 0 : 1) / sum,
    options: own ? withHost(options, hostAndPort(server.address, server.port)) : options,
  }));
}

function carriersOf({ carriers }: Claim, backend: Backend | undefined): readonly Server[] {
  const servers = backend?.servers ?? [];
  if (carriers === "all") return servers;
  const names = new Set(carriers);
  return servers.filter(({ name }) => names.has(name));
}

function withHost(options: RouteOptions, host: string | undefined): RouteOptions {
  const { "host-header": _, ...rest } = options;
  return host === undefined ? rest : { ...rest, "host-header": host };
}

/** The same as long as the service and what it does stay the same, whatever its share is. */
function sideOf({ backend, options, share }: Claim): string {
  return hexDigest(JSON.stringify([backend, options, share === undefined]), 8);
}

function goTogether(claim: Claim, winner: Claim): boolean {
  if (claim === winner) return true;
  const named = claim.origin.kind === "domain" || winner.origin.kind === "domain";
  if (named && claim.backend !== winner.backend) return false;
  return wholeOf(claim.options) === wholeOf(winner.options);
}

function wholeOf(options: RouteOptions): string {
  return JSON.stringify(wholeRoute.map((key) => options[key] ?? null));
}

function withWholeOf(options: RouteOptions, winner: RouteOptions): RouteOptions {
  const rest = Object.entries(options).filter(([key]) => !(wholeRoute as readonly string[]).includes(key));
  const whole = wholeRoute.flatMap((key) => (winner[key] === undefined ? [] : [[key, winner[key]] as const]));
  return Object.fromEntries([...rest, ...whole]) as RouteOptions;
}

/**
 * Who has a route where not all can: the service whose name it is (one written in small letters before one with capitals),
 * the higher priority, who is registered longer, the first by name.
 */
function byPrecedence(a: Claim, b: Claim): number {
  const named = Number(b.origin.kind === "domain") - Number(a.origin.kind === "domain");
  if (named !== 0) return named;
  if (a.origin.kind === "domain") {
    const small = Number(isSmall(b)) - Number(isSmall(a));
    // Not by age: `WEB` and `web` each have their name for good.
    if (small !== 0) return small;
    if (a.backend !== b.backend) return order(a.origin.service, b.origin.service) || order(a.backend, b.backend);
  }
  return (
    b.priority - a.priority ||
    a.since - b.since ||
    order(a.origin.service, b.origin.service) ||
    order(a.backend, b.backend) ||
    order(a.origin.text, b.origin.text) ||
    order(JSON.stringify(a), JSON.stringify(b))
  );
}

function isSmall({ origin: { service } }: Claim): boolean {
  return service === service.toLowerCase();
}

function conflict({ origin, pattern }: Claim, winner: Claim): Exclusion {
  if (origin.kind === "domain") {
    const reason = `the host ${pattern.host} leads to backend ${winner.backend}; rename one`;
    return { service: origin.service, code: "name-conflict", reason };
  }
  const why =
    winner.origin.kind === "domain"
      ? "it is that service's own name; choose another host"
      : `their options (${wholeRoute.join(", ")}) do not go together; make them the same, or give this one a higher priority`;
  const reason = `the route ${routeText(pattern)} (${shown(origin.text)}) belongs to the service ${shown(winner.origin.service)}: ${why}`;
  return { service: origin.service, code: "route-conflict", reason };
}

function overruled({ origin, pattern, options }: Claim, winner: Claim): Exclusion {
  const keys = wholeRoute.filter((key) => JSON.stringify(options[key]) !== JSON.stringify(winner.options[key]));
  const said = (of: RouteOptions) =>
    keys.map((key) => (of[key] === undefined ? `no ${key}` : `${key} ${shown(textOf(of[key]))}`)).join(", ");
  const reason = `instances of the service want different options for the route ${routeText(pattern)}: ${said(winner.options)} is in force, not ${said(options)}`;
  return { service: origin.service, code: "route-conflict", reason };
}

function textOf(value: RouteOptions[keyof RouteOptions]): string {
  return typeof value === "object" && !Array.isArray(value) ? Object.values(value).join(" ") : String(value);
}

/** A route's place in words: `a.example.com/path`. */
export function routeText({ listen, host, hostPort, path, match }: RoutePattern): string {
  const port = listen === undefined ? "" : `:${listen} `;
  const at = hostPort === undefined ? host : `${host}:${hostPort}`;
  return `${port}${at}${match === "exact" ? "=" : ""}${path}`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
