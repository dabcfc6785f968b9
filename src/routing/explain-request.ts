import type { RouteOptions } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { canonicalIp } from "../support/ip.ts";
import { admits, clientList } from "./clients.ts";
import { answeredBy, type ExplainedServer, explainServers } from "./explain-servers.ts";
import type { SeenServer } from "./explain-service.ts";
import { listenPlaces } from "./listen-places.ts";
import { type HttpRequest, matchRequest } from "./match.ts";
import { patternText } from "./pattern-text.ts";
import type { ReadRequest } from "./read-request.ts";
import { shown } from "./shown.ts";
import type { LoadBalancer, Origin, Route, RouteTarget } from "./types.ts";

export interface ExplainedTarget {
  readonly to: string;
  readonly share: number;
  /** Who asked for it, in which words. */
  readonly origins: readonly string[];
}

export interface RequestExplanation {
  readonly kind: "request";
  readonly request: string;
  /** Whether a server gets it, or the answer is one that was asked for. */
  readonly serves: boolean;
  readonly listener: string;
  readonly route?: { readonly pattern: string; readonly targets: readonly ExplainedTarget[] };
  /** What is done on the way, in order. */
  readonly way: readonly string[];
  /** Who wanted the same and did not get it. */
  readonly lost: readonly string[];
  readonly servers: readonly ExplainedServer[];
  /** What the client gets. */
  readonly answer: string;
}

export interface RequestFacts {
  readonly loadBalancer: LoadBalancer;
  readonly settings: Pick<Settings, "http" | "https" | "auth">;
  /** By `<backend>/<server>`; undefined where HAProxy could not be asked. */
  readonly seen: ReadonlyMap<string, SeenServer> | undefined;
}

/** Where a request goes, through what, and what the client gets. */
export function explainRequest(asked: ReadRequest, facts: RequestFacts): RequestExplanation {
  return asked.kind === "tcp" ? explainConnection(asked, facts) : explainHttp(asked, facts);
}

function explainHttp(asked: ReadRequest & { readonly kind: "http" }, facts: RequestFacts): RequestExplanation {
  const { loadBalancer } = facts;
  const { request, listener, blocked } = entered(asked.request, facts);
  const base = { kind: "request" as const, request: asked.text, listener, way: [], lost: [], servers: [] };
  if (blocked !== undefined) return { ...base, serves: false, answer: blocked };
  const match = matchRequest(loadBalancer, request);
  if (match.kind === "refused") return { ...base, serves: false, answer: `400: ${match.reason}` };
  if (match.kind === "none") {
    const { defaultBackend, defaultAwaited } = loadBalancer;
    if (defaultBackend === undefined) {
      const answer = defaultAwaited
        ? "503: no route matches, and http.defaultService is not known to Consul"
        : "404, the page for what no route matches";
      return { ...base, serves: false, answer };
    }
    const servers = explainServers([{ backend: defaultBackend, share: 1 }], facts);
    const way = ["no route matches: http.defaultService takes it"];
    return { ...base, way, servers, ...answeredBy(servers, defaultBackend) };
  }
  const { route } = match;
  const [first] = route.targets;
  const options = first?.options ?? {};
  const explained = {
    ...base,
    route: { pattern: patternText(route), targets: route.targets.map(explainedTarget) },
    way: wayOf(route, asked.from, facts),
    lost: lostTo(route, loadBalancer),
  };
  const answer = answeredOnTheWay(options, request, asked.from, facts);
  if (answer !== undefined) return { ...explained, ...answer };
  const servers = explainServers(route.targets, facts);
  return { ...explained, servers, ...answeredBy(servers, first?.backend ?? "") };
}

/** On which port a URL comes in, and whether one of ours is there. */
function entered(request: HttpRequest, { loadBalancer, settings }: RequestFacts) {
  const port = Number(/:(\d{1,5})$/.exec(request.host)?.[1]);
  const own = loadBalancer.listeners.find((one) => one.port === port && one.mode === "http");
  if (own !== undefined) {
    return {
      request: { ...request, listen: own.port },
      listener: `port ${own.port}, opened for services`,
      blocked: undefined,
    };
  }
  if (request.tls !== true) return { request, listener: `http.bind ${settings.http.bind}`, blocked: undefined };
  const { bind } = settings.https;
  return {
    request,
    listener: bind === undefined ? "no listener" : `https.bind ${bind}`,
    blocked: bind === undefined ? "nothing: there is no HTTPS entry point; set https.bind" : undefined,
  };
}

function explainedTarget({ backend, server, share, origins }: RouteTarget): ExplainedTarget {
  return {
    to: server === undefined ? `backend ${backend}` : `server ${backend}/${server}`,
    share,
    origins: origins.map(originText),
  };
}

function originText({ service, kind, text }: Origin): string {
  return kind === "domain"
    ? `the service ${shown(service)} by its name`
    : `the service ${shown(service)}, ${kind} ${shown(text)}`;
}

/** What is done with a request besides sending it on, in words. Options may differ by target: those of the largest share. */
function wayOf(route: Route, from: string | undefined, facts: RequestFacts): string[] {
  const options = route.targets[0]?.options ?? {};
  const way: string[] = [];
  if (options.allow !== undefined || options.deny !== undefined) {
    const verdict =
      from === undefined ? "say --from to know" : admitted(options, from) ? `${from} may` : `${from} may not`;
    way.push(`allow ${options.allow?.join(",") ?? "all"}, deny ${options.deny?.join(",") ?? "nobody"}: ${verdict}`);
  }
  if (options.auth !== undefined) {
    way.push(
      Object.hasOwn(facts.settings.auth, options.auth)
        ? `asks for a password by the scheme ${options.auth}`
        : `auth ${options.auth}: the setting auth has no such scheme, nobody is let in`,
    );
  }
  if (options.rate !== undefined)
    way.push(`at most ${options.rate.requests} requests of a client in ${options.rate.period}`);
  if (options["https-redirect"] !== undefined && options["https-redirect"] > 0)
    way.push("requests without TLS are sent to https");
  for (const key of ["strip", "prepend", "host-header", "hsts"] as const) {
    const value = options[key];
    if (value !== undefined) way.push(`${key} ${shown(value)}`);
  }
  if (options.rewrite !== undefined)
    way.push(`rewrite ${shown(options.rewrite.pattern)} to ${shown(options.rewrite.replacement)}`);
  if (options["cors.origin"] !== undefined) way.push(`cross-origin for ${options["cors.origin"].join(", ")}`);
  if (route.sticky) way.push("a client stays where its first request went, by a cookie");
  return way;
}

function admitted(options: Pick<RouteOptions, "allow" | "deny">, from: string): boolean {
  return canonicalIp(from) !== undefined && admits(clientList(options), from);
}

/** What is answered by HAProxy itself. */
function answeredOnTheWay(
  options: RouteOptions,
  request: HttpRequest,
  from: string | undefined,
  facts: RequestFacts,
): Pick<RequestExplanation, "serves" | "answer"> | undefined {
  if (from !== undefined && !admitted(options, from))
    return { serves: false, answer: "403: its address is not let in" };
  if (options.auth !== undefined && !Object.hasOwn(facts.settings.auth, options.auth)) {
    return { serves: false, answer: "403: nobody is let in" };
  }
  const code = options["https-redirect"] ?? 0;
  if (code > 0 && request.tls !== true) return { serves: true, answer: `${code}: a redirect to https` };
  if (options.redirect !== undefined) {
    return { serves: true, answer: `${options.redirect.code}: a redirect to ${shown(options.redirect.location)}` };
  }
  return undefined;
}

function explainConnection(
  { text, port, name, from }: ReadRequest & { readonly kind: "tcp" },
  facts: RequestFacts,
): RequestExplanation {
  const { loadBalancer } = facts;
  const listener = loadBalancer.listeners.find((one) => one.port === port);
  const base = { kind: "request" as const, request: text, way: [], lost: [], servers: [] };
  if (listener === undefined) {
    const answer =
      "nothing of ours: no service has this port (option listen, or Fabio's :port), or it may not be opened";
    const lost = loadBalancer.excluded.filter(
      ({ code, reason }) => code === "listen-refused" && reason.includes(`${port}`),
    );
    return { ...base, listener: "no listener", serves: false, lost: lost.map(lostText), answer };
  }
  const where = `port ${port}, opened for services, mode ${listener.mode}${listener.sni ? ", by the name TLS clients ask for" : ""}`;
  if (listener.mode === "http") {
    return {
      ...base,
      listener: where,
      serves: true,
      answer: `routes of port ${port} decide; ask for a URL with this port`,
    };
  }
  const places = listenPlaces(loadBalancer.maps.listeners, port, name);
  if (places.length === 0) {
    return { ...base, listener: where, serves: false, answer: "the connection is closed: nobody has this name" };
  }
  const servers = explainServers(places, facts);
  const refused =
    from !== undefined && places.every(({ list }) => !admits({ id: list, rows: loadBalancer.maps.clients }, from));
  return {
    ...base,
    listener: where,
    route: {
      pattern: `:${port}${name === "" ? "" : ` ${name}`}`,
      targets: places.map(({ backend, share }) => ({ to: `backend ${backend}`, share, origins: [] })),
    },
    servers,
    ...(refused
      ? { serves: false, answer: "the connection is closed: its address is not let in" }
      : answeredBy(servers, places[0]?.backend ?? "")),
  };
}

function lostTo(route: Route, { excluded }: LoadBalancer): readonly string[] {
  const services = new Set(route.targets.flatMap(({ origins }) => origins.map(({ service }) => service)));
  return excluded
    .filter(
      ({ code, reason }) => code === "route-conflict" && [...services].some((name) => reason.includes(shown(name))),
    )
    .map(lostText);
}

function lostText({ service, reason }: { readonly service: string; readonly reason: string }): string {
  return `${shown(service)}: ${reason}`;
}
