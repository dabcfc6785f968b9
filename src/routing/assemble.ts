import { serviceKeyString } from "../catalog/service-key.ts";
import type { ServiceKey } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import type { ServiceBackend } from "./backend.ts";
import { routeMaps } from "./map-rows.ts";
import { shown } from "./shown.ts";
import type { Backend, Exclusion, LoadBalancer, Route } from "./types.ts";

/**
 * A host name as a request may carry it; `_` is not in DNS's rules but in people's names. Asked before letters are made
 * small: some that look like others become ASCII only then (U+212A becomes "k").
 */
const hostName = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
/** RFC 1035, 2.3.4 */
const longestHost = 253;

/**
 * Puts the services' backends together: sorted, names told apart, a host route for each. Where two services want one
 * backend name, one that has servers goes before one that is only remembered, else the first in the order of their own
 * names. Where two want one host, the one whose name is written
 * in small letters has it, so that a newcomer `WEB` takes nothing from `web`; else the first. The other one is named.
 */
export function assemble(found: readonly ServiceBackend[], settings: Pick<Settings, "http">): LoadBalancer {
  const excluded: Exclusion[] = [];
  const backends: Backend[] = [];
  let previous: Backend | undefined;
  for (const { backend, excluded: left } of [...found].sort(byBackend)) {
    if (backend.name === previous?.name) {
      const reason = `its backend name ${backend.name} is taken by the service ${shown(sourceOf(previous).name)}; rename one`;
      excluded.push({ service: sourceOf(backend).name, code: "name-conflict", reason });
      continue;
    }
    previous = backend;
    backends.push(backend);
    excluded.push(...left);
  }
  const { domain, defaultService } = settings.http;
  const routes = hostRoutes(backends, domain, excluded);
  const fallback =
    defaultService === undefined ? undefined : backends.find((backend) => sourceOf(backend).name === defaultService);
  return {
    backends,
    routes: routes.sort((a, b) => order(a.host, b.host)),
    listeners: [],
    maps: routeMaps(routes),
    ...(fallback !== undefined && { defaultBackend: fallback.name }),
    excluded: excluded.sort(byService),
  };
}

function hostRoutes(backends: readonly Backend[], domain: string, excluded: Exclusion[]): Route[] {
  const routes = new Map<string, Route>();
  const claim = (service: string, backend: string) => {
    const written = `${service}.${domain}`;
    if (written.length > longestHost || !hostName.test(written)) {
      const reason = "its name cannot stand in a host name, so no request reaches it by host; rename the service";
      excluded.push({ service, code: "host-unusable", reason });
      return;
    }
    const host = written.toLowerCase();
    const holder = routes.get(host);
    if (holder === undefined) routes.set(host, domainRoute(host, service, backend));
    else {
      const reason = `the host ${host} leads to backend ${holder.targets[0]?.backend}; rename one`;
      excluded.push({ service, code: "name-conflict", reason });
    }
  };
  const others: Backend[] = [];
  for (const backend of backends) {
    const { name } = sourceOf(backend);
    if (name === name.toLowerCase()) claim(name, backend.name);
    else others.push(backend);
  }
  for (const backend of others) claim(sourceOf(backend).name, backend.name);
  return [...routes.values()];
}

function domainRoute(host: string, service: string, backend: string): Route {
  return {
    host,
    path: "/",
    match: "prefix",
    methods: [],
    conditions: [],
    targets: [{ backend, share: 1, options: {}, origins: [{ service, kind: "domain", text: host }] }],
    priority: 0,
    sticky: false,
  };
}

function sourceOf(backend: Backend): ServiceKey {
  const source = backend.sources[0];
  if (source === undefined) throw new TypeError(`backend ${backend.name} has no source`);
  return source;
}

function byBackend({ backend: a }: ServiceBackend, { backend: b }: ServiceBackend): number {
  if (a.name !== b.name) return order(a.name, b.name);
  // A service that is only remembered must not keep its name from one that has instances: a datacenter that was renamed.
  if ((a.servers.length === 0) !== (b.servers.length === 0)) return a.servers.length === 0 ? 1 : -1;
  const [one, other] = [sourceOf(a), sourceOf(b)];
  return order(one.name, other.name) || order(serviceKeyString(one), serviceKeyString(other));
}

function byService(a: Exclusion, b: Exclusion): number {
  return order(a.service, b.service) || order(a.instance ?? "", b.instance ?? "") || order(a.code, b.code);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
