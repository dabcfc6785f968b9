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

/** All that a service's backend and claims are made of; compared by identity. */
interface MadeOf {
  readonly instances: CatalogService["instances"];
  readonly elsewhere: CatalogService["elsewhere"];
  readonly spoke: CatalogService["spoke"];
  readonly override: Override | undefined;
  readonly trust: readonly ReadonlySet<string>[];
  readonly settings: Settings["services"];
  readonly domain: string;
}

interface Remembered {
  readonly madeOf: MadeOf;
  readonly result: ServiceBackend | undefined;
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
    const trustOf = (backend: string) => ({
      admitted: admitted.get(backend) ?? nobody,
      doubted: doubted?.get(backend) ?? nobody,
    });
    for (const [key, service] of services) {
      const override = overrides?.get(service.key.name);
      const name = safeName(service.key.name);
      const madeOf: MadeOf = {
        instances: service.instances,
        elsewhere: service.elsewhere,
        spoke: service.spoke,
        override,
        trust: [name, tcpName(name)].flatMap((one) => Object.values(trustOf(one))),
        settings: settings.services,
        domain: settings.http.domain,
      };
      const before = remembered.get(key);
      const make = () => {
        const others = withoutOwnRegistrations(service);
        return others === undefined ? undefined : serviceBackend(others, settings, trustOf, override);
      };
      const entry =
        before !== undefined && sameParts(before.madeOf, madeOf)
          ? before
          : { madeOf, result: keepingEqual(before, madeOf, make()) };
      next.set(key, entry);
      if (entry.result !== undefined) found.push(entry.result);
    }
    remembered = next;
    return assemble(found, settings, closedPorts);
  };
}

function sameParts(a: MadeOf, b: MadeOf): boolean {
  return (
    a.instances === b.instances &&
    a.elsewhere === b.elsewhere &&
    a.spoke === b.spoke &&
    a.override === b.override &&
    a.settings === b.settings &&
    a.domain === b.domain &&
    a.trust.every((set, at) => set === b.trust[at])
  );
}

/** The newer one, with each part that says the same as before in its old identity: what is made of it stays as it is. */
function keepingEqual(before: Remembered | undefined, madeOf: MadeOf, after: ServiceBackend | undefined) {
  const old = before?.result;
  if (before === undefined || old === undefined || after === undefined) return after;
  const kept = <T>(earlier: T, made: T): T => (isDeepStrictEqual(earlier, made) ? earlier : made);
  const trusted = before.madeOf.trust.every((set, at) => set === madeOf.trust[at]);
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
