import type { MapRow, Route, RouteMaps } from "./types.ts";

/** What the routes are at run time: the rows of the map files that the frontends look a request up in. Sorted. */
export function routeMaps(routes: readonly Route[]): RouteMaps {
  return {
    clients: [],
    shares: [],
    conditions: [],
    rewrites: [],
    hosts: [],
    routes: routes.flatMap(routeRow).sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)),
    listeners: [],
  };
}

function routeRow({ host, path, targets: [target] }: Route): MapRow[] {
  return target === undefined ? [] : [{ key: `${host}${path}`, value: target.backend }];
}
