import { type Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ask } from "./system.ts";

/** What of a route is done with a request on its way. */
export type RouteWay = "plain" | "strip" | "prepend" | "redirect";

/** One route of Fabio's: `route-<number>.example.com/part`, to a service. */
export interface TestRoute {
  readonly number: number;
  readonly way: RouteWay;
}

export const routeWays: readonly RouteWay[] = ["plain", "strip", "prepend", "redirect"];

export function routeHost({ number }: Pick<TestRoute, "number">): string {
  return `route-${number}.example.com`;
}

/** The tag that asks for it. */
export function routeTag(route: TestRoute): string {
  const words: Readonly<Record<RouteWay, string>> = {
    plain: "",
    strip: " strip=/part",
    prepend: " prepend=/before",
    redirect: " redirect=302,http://elsewhere.example.com$path",
  };
  return `urlprefix-${routeHost(route)}/part${words[route.way]}`;
}

/** How HAProxy answers a request for `/part/of` of a route; undefined: the route is not there. */
export function routeAnswer(service: string, way: RouteWay | undefined): string {
  switch (way) {
    case undefined:
      return "404";
    case "plain":
      return `200 ${service} /part/of`;
    case "strip":
      return `200 ${service} /of`;
    case "prepend":
      return `200 ${service} /before/part/of`;
    case "redirect":
      return "302 http://elsewhere.example.com/part/of";
  }
}

/**
 * The same as it is answered now.
 *
 * @param agent default: a connection of its own
 */
export async function routeAnswered(port: number, route: Pick<TestRoute, "number">, agent?: Agent): Promise<string> {
  const question = { host: routeHost(route), path: "/part/of", ...(agent !== undefined && { agent }) };
  const { status, body, headers } = await ask(port, question);
  if (status === 200) return `200 ${body}`;
  return status === 302 ? `302 ${headers["location"]}` : String(status);
}

export interface EchoInstance {
  readonly service: string;
  /** Its ServiceID. */
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** A web server that answers `<service> <path>`. */
export async function startEcho(service: string, name: string): Promise<EchoInstance> {
  const server = createServer((request, response) => response.end(`${service} ${request.url}`));
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    service,
    name,
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** One of a list, by a generator of the same numbers each time (Numerical Recipes' constants). */
export function seededPick(seed: number): <T>(list: readonly T[]) => T {
  let state = seed;
  return (list) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return list[Math.floor((state / 2 ** 32) * list.length)] as (typeof list)[number];
  };
}
