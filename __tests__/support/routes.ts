import type { Claim, Route, RouteMaps, RoutePattern } from "../../src/routing/types.ts";

/** A route of a host to one backend. */
export function route(host: string, backend: string, more: Partial<Route> = {}): Route {
  return {
    host,
    path: "/",
    match: "prefix",
    methods: [],
    conditions: [],
    targets: [{ backend, share: 1, options: {}, origins: [{ service: backend, kind: "domain", text: host }] }],
    priority: 0,
    sticky: false,
    ...more,
  };
}

/** The backend a route leads to; of several the first. */
export function leadsTo({ targets }: Route): string {
  return targets[0]?.backend ?? "";
}

export const noMaps: RouteMaps = {
  clients: [],
  shares: [],
  conditions: [],
  rewrites: [],
  hosts: [],
  routes: [],
  listeners: [],
};

/** What a service of one instance wants of a host. */
export function claim(
  service: string,
  pattern: Partial<RoutePattern> = {},
  { pattern: _, ...more }: Partial<Claim> = {},
): Claim {
  const place = { host: "a.example.com", path: "/", match: "prefix", methods: [], conditions: [], ...pattern } as const;
  return {
    pattern: place,
    options: {},
    priority: 0,
    backend: service,
    carriers: "all",
    count: 1,
    sticky: false,
    since: 1,
    origin: { service, kind: "tag", text: `haproxy.host=${place.host}` },
    ...more,
  };
}
