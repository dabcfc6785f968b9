import { admits, clientList } from "./clients.ts";
import { fits } from "./conditions.ts";
import { compareGlobs, globCovers, globMatches, isGlob } from "./globs.ts";
import type { LoadBalancer, Route } from "./types.ts";

/** A request as HAProxy sees it. */
export interface HttpRequest {
  /** Own port of HAProxy it came to; left out: an entry point. */
  readonly listen?: number;
  /** The Host header; empty where there is none. */
  readonly host: string;
  /** Whether it came over TLS: a Host header without a port then means 443, else 80. */
  readonly tls?: boolean;
  /** As the client sent it, without query. */
  readonly path: string;
  readonly method: string;
  /** Names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  /** Address of the client. */
  readonly client: string;
}

export type Match =
  /** `admitted`: whether `allow` and `deny` let the client in. */
  | { readonly kind: "route"; readonly route: Route; readonly admitted: boolean }
  /** Its host or path is one that is not looked up at all. */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "none" };

/** Where HAProxy sends a request: what haproxy/request.njk does with the maps, told from the routes. */
export function matchRequest({ routes }: Pick<LoadBalancer, "routes">, request: HttpRequest): Match {
  const host = requestHost(request);
  if (host === undefined) return { kind: "refused", reason: "its Host header is not one of a host" };
  const path = lookupPath(request.path);
  if (path === undefined) return { kind: "refused", reason: "its path has .., a NUL byte or an escape that is none" };
  const ours = routes.filter(({ listen }) => listen === request.listen);
  const glob = globOf(routes, host);
  const fitting = ours.flatMap((route) => {
    const rank = hostRank(route, host, glob);
    const length = matchedLength(route, path);
    return rank === undefined || length === undefined || !fits(route, request.method, request.headers)
      ? []
      : [{ route, rank, length }];
  });
  fitting.sort(
    (a, b) =>
      compareRanks(a.rank, b.rank) || b.length - a.length || byConditions(a.route, b.route) || byText(a.route, b.route),
  );
  const [first] = fitting;
  if (first === undefined) return { kind: "none" };
  const { route } = first;
  const admitted = route.targets.every(({ options }) => admits(clientList(options), request.client));
  return { kind: "route", route, admitted };
}

interface RequestHost {
  readonly name: string;
  readonly port: number;
}

function requestHost({ host, tls = false }: HttpRequest): RequestHost | undefined {
  const [, name, port] = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]*)(?::(\d{1,5}))?$/.exec(host.toLowerCase()) ?? [];
  if (name === undefined) return undefined;
  return { name: name.replace(/\.$/, ""), port: port === undefined ? (tls ? 443 : 80) : Number(port) };
}

/**
 * The path that is looked up: decoded, without doubled slashes, `/./` and what stands behind a `;` in a segment, so that no
 * other way to write a path leads past what guards it.
 */
export function lookupPath(path: string): string | undefined {
  if (/%(?:00|(?![0-9a-f]{2}))/i.test(path)) return undefined;
  const cleaned = decoded(path)
    .replaceAll("?", "%3F")
    .replaceAll(/;[^/]*/g, "")
    .replaceAll(/\/+(?:\.\/+)*/g, "/");
  return /\/\.\.(\/|$)/.test(cleaned) ? undefined : cleaned;
}

/** As HAProxy's url_dec, byte by byte. */
function decoded(path: string): string {
  const bytes = [...new TextEncoder().encode(path)].map((byte) => String.fromCharCode(byte)).join("");
  const plain = bytes.replace(/%([0-9a-f]{2})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return new TextDecoder().decode(Uint8Array.from(plain, (sign) => sign.charCodeAt(0)));
}

/** How long a beginning of the path a route takes; one for that path alone counts as longer. */
function matchedLength({ path, match }: Route, asked: string): number | undefined {
  const whole = match === "exact" || (match === "segments" && !path.endsWith("/"));
  if (whole && asked === path) return path.length + 1;
  if (match === "exact") return undefined;
  const beginning = whole ? `${path}/` : path;
  return asked.startsWith(beginning) ? beginning.length : undefined;
}

/** The pattern of a glob, and its port: what hosts.map finds for a host. */
type Glob = Pick<Route, "host" | "hostPort">;

function globOf(routes: readonly Route[], { name, port }: RequestHost): Glob | undefined {
  // No pattern stands for no host.
  if (name === "") return undefined;
  const found = routes.filter(
    (route) => isGlob(route.host) && (route.hostPort ?? port) === port && globMatches(route.host, name),
  );
  return found.sort(byGlob)[0];
}

/** Smaller goes before; globs by what they are. */
type Rank = { readonly kind: number; readonly glob?: Glob };

function hostRank(route: Route, { name, port }: RequestHost, glob: Glob | undefined): Rank | undefined {
  const { host, hostPort } = route;
  if (host === "") return { kind: 3 };
  if (hostPort !== undefined && hostPort !== port) return undefined;
  if (!isGlob(host)) return host === name ? { kind: hostPort === undefined ? 1 : 0 } : undefined;
  if (glob === undefined || !globCovers(host, glob.host) || (hostPort !== undefined && hostPort !== glob.hostPort)) {
    return undefined;
  }
  return { kind: 2, glob: route };
}

function compareRanks(a: Rank, b: Rank): number {
  if (a.kind !== b.kind) return a.kind - b.kind;
  return a.glob === undefined || b.glob === undefined ? 0 : byGlob(a.glob, b.glob);
}

function byGlob(a: Glob, b: Glob): number {
  return compareGlobs(a.host, b.host) || (b.hostPort ?? 0) - (a.hostPort ?? 0);
}

function isPlain({ methods, conditions }: Route): boolean {
  return methods.length === 0 && conditions.length === 0;
}

function byConditions(a: Route, b: Route): number {
  return (
    Number(isPlain(a)) - Number(isPlain(b)) ||
    b.priority - a.priority ||
    b.conditions.length - a.conditions.length ||
    Number(b.methods.length > 0) - Number(a.methods.length > 0) ||
    b.path.length - a.path.length
  );
}

function byText(a: Route, b: Route): number {
  const text = ({ methods, conditions, path, match }: Route) => JSON.stringify([methods, conditions, path, match]);
  return text(a) < text(b) ? -1 : 1;
}
