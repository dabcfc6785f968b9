import { isDeepStrictEqual } from "node:util";
import type { CatalogService, Override } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import { createAssembler } from "./assemble.ts";
import { type ServiceBackend, serviceBackend } from "./backend.ts";
import { safeName, tcpName } from "./names.ts";
import { withoutOwnRegistrations } from "./own-registrations.ts";
import type { Admitted, LoadBalancer } from "./types.ts";

const nobody: ReadonlySet<string> = new Set();

/** The settings that have a say in what HAProxy should look like. */
export type RoutingSettings = Pick<Settings, "services" | "http" | "https" | "stats" | "tcp">;

/** A service's backend and claims, and all that they were made of; compared by identity. */
interface Remembered {
  readonly instances: CatalogService["instances"];
  readonly elsewhere: CatalogService["elsewhere"];
  readonly spoke: CatalogService["spoke"];
  readonly override: Override | undefined;
  readonly settings: Settings["services"];
  readonly domain: string;
  readonly http: Trust;
  readonly tcp: Trust;
  readonly result: ServiceBackend | undefined;
}

/** Which servers of a backend have been found well by HAProxy, and which not. */
interface Trust {
  readonly backend: string;
  readonly admitted: ReadonlySet<string>;
  readonly doubted: ReadonlySet<string>;
}

/**
 * Makes the function that turns the accepted services into what HAProxy should look like. The function is pure; it
 * remembers each service's backend for as long as its input is the very same object, so that a change costs the one
 * service that changed and an unchanged backend keeps its identity; and so do claims that were made anew and say the
 * same. `closedPorts` are ports that cannot be opened, with the reason; another map tells a change.
 */
export function createRouter(): (
  services: ReadonlyMap<string, CatalogService>,
  settings: RoutingSettings,
  admitted: Admitted,
  doubted?: Admitted,
  overrides?: ReadonlyMap<string, Override>,
  closedPorts?: ReadonlyMap<number, string>,
) => LoadBalancer {
  const assemble = createAssembler();
  let remembered = new Map<string, Remembered>();
  return (services, settings, admitted, doubted, overrides, closedPorts) => {
    const next = new Map<string, Remembered>();
    const found: ServiceBackend[] = [];
    const trustOf = (backend: string): Trust => ({
      backend,
      admitted: admitted.get(backend) ?? nobody,
      doubted: doubted?.get(backend) ?? nobody,
    });
    const isTrusted = (before: Trust) =>
      before.admitted === (admitted.get(before.backend) ?? nobody) &&
      before.doubted === (doubted?.get(before.backend) ?? nobody);
    for (const [key, service] of services) {
      const override = overrides?.get(service.key.name);
      const before = remembered.get(key);
      // All services are looked at in each pass: nothing is made for one that did not change.
      if (
        before !== undefined &&
        before.instances === service.instances &&
        before.elsewhere === service.elsewhere &&
        before.spoke === service.spoke &&
        before.override === override &&
        before.settings === settings.services &&
        before.domain === settings.http.domain &&
        isTrusted(before.http) &&
        isTrusted(before.tcp)
      ) {
        next.set(key, before);
        if (before.result !== undefined) found.push(before.result);
        continue;
      }
      const name = safeName(service.key.name);
      const trust = { http: trustOf(name), tcp: trustOf(tcpName(name)) };
      const others = withoutOwnRegistrations(service);
      const made = others === undefined ? undefined : serviceBackend(others, settings, trustOf, override);
      const result = keepingEqual(before, trust, made);
      const { instances, elsewhere, spoke } = service;
      const { domain } = settings.http;
      next.set(key, { instances, elsewhere, spoke, override, settings: settings.services, domain, ...trust, result });
      if (result !== undefined) found.push(result);
    }
    remembered = next;
    return assemble(found, settings, closedPorts);
  };
}

/** The newer one, with each part that says the same as before in its old identity: what is made of it stays as it is. */
function keepingEqual(
  before: Remembered | undefined,
  trust: Pick<Remembered, "http" | "tcp">,
  after: ServiceBackend | undefined,
): ServiceBackend | undefined {
  const old = before?.result;
  if (before === undefined || old === undefined || after === undefined) return after;
  const kept = <T>(earlier: T, made: T): T => (isDeepStrictEqual(earlier, made) ? earlier : made);
  const trusted = sameTrust(before.http, trust.http) && sameTrust(before.tcp, trust.tcp);
  return {
    ...after,
    ...(trusted && { backend: kept(old.backend, after.backend) }),
    ...(trusted && after.tcp !== undefined && { tcp: kept(old.tcp, after.tcp) ?? after.tcp }),
    claims: kept(old.claims, after.claims),
    listens: kept(old.listens, after.listens),
    registers: kept(old.registers, after.registers),
    excluded: kept(old.excluded, after.excluded),
  };
}

function sameTrust(a: Trust, b: Trust): boolean {
  return a.admitted === b.admitted && a.doubted === b.doubted;
}
