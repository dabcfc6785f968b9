import type { Route, RouteMaps } from "../../src/routing/types.ts";

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
