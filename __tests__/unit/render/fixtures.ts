import type { TemplateSource } from "../../../src/reconciler/ports.ts";
import { loadTemplate, templateFromSources } from "../../../src/render/template-source.ts";
import { routeMaps } from "../../../src/routing/map-rows.ts";
import type { Backend, LoadBalancer, Server } from "../../../src/routing/types.ts";
import { type Settings, settingsSchema } from "../../../src/settings/schema.ts";
import { route } from "../../support/routes.ts";

export const paths = {
  directory: "/var/lib/sluice",
  maps: "/var/lib/sluice/maps",
  assets: "/var/lib/sluice/assets",
  runtimeSocket: "/var/lib/sluice/sockets/runtime.sock",
};

export function settings(given: object = {}): Settings {
  return settingsSchema.parse(given);
}

export function server(name: string, address: string, port: number, more: Partial<Server> = {}): Server {
  const instance = { node: "node-1", id: name };
  return { name, address, port, weight: 1, options: {}, joining: false, instance, tags: [], meta: {}, ...more };
}

export function backend(name: string, servers: readonly Server[], more: Partial<Backend> = {}): Backend {
  return {
    name,
    sources: [{ datacenter: "dc1", name }],
    mode: "http",
    balance: "roundrobin",
    consistent: false,
    options: {},
    picks: false,
    servers,
    ...more,
  };
}

/** With a route `<name>.service.local` to each backend. */
export function loadBalancer(backends: readonly Backend[], more: Partial<LoadBalancer> = {}): LoadBalancer {
  const routes = more.routes ?? backends.map(({ name }) => route(`${name}.service.local`, name));
  return { backends, routes, listeners: [], maps: routeMaps(routes), registers: [], excluded: [], ...more };
}

/** Two services: one with an IPv6 server and one that waits, one with a consistent hash. */
export const small: LoadBalancer = loadBalancer([
  backend(
    "cache",
    [
      server("c1_10.0.1.1:11211", "10.0.1.1", 11211, { id: 1_048_577 }),
      server("c2_10.0.1.2:11211", "10.0.1.2", 11211, { id: 22, weight: 0 }),
    ],
    { balance: "hdr(x-user)", consistent: true },
  ),
  backend("web", [
    server("w1_10.0.0.1:8080", "10.0.0.1", 8080, { weight: 10 }),
    server("w2_fd00::2:8080", "fd00::2", 8080, { weight: 5 }),
    server("w3_10.0.0.3:8080", "10.0.0.3", 8080, { weight: 0, joining: true }),
  ]),
]);

/** A template whose main file is `main.njk`, over the parts that come with Sluice. */
export async function templateOf(main: string, parts: Readonly<Record<string, string>> = {}): Promise<TemplateSource> {
  const { sources } = await loadTemplate();
  return templateFromSources("/etc/sluice/main.njk", { ...sources, ...parts, "main.njk": main });
}
