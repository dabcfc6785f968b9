import type { CatalogService } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import { assemble } from "./assemble.ts";
import { type ServiceBackend, serviceBackend } from "./backend.ts";
import { isExposed } from "./exposure.ts";
import { safeName } from "./names.ts";
import type { Admitted, LoadBalancer } from "./types.ts";

const nobody: ReadonlySet<string> = new Set();

interface Remembered {
  readonly instances: CatalogService["instances"];
  readonly admitted: ReadonlySet<string>;
  readonly doubted: ReadonlySet<string>;
  readonly settings: Settings["services"];
  readonly result: ServiceBackend | undefined;
}

/**
 * Makes the function that turns the accepted services into what HAProxy should look like. The function is pure; it
 * remembers each service's backend for as long as its input is the very same object, so that a change costs the one
 * service that changed and an unchanged backend keeps its identity.
 */
export function createRouter(): (
  services: ReadonlyMap<string, CatalogService>,
  settings: Pick<Settings, "services" | "http">,
  admitted: Admitted,
  doubted?: Admitted,
) => LoadBalancer {
  let remembered = new Map<string, Remembered>();
  return (services, settings, admitted, doubted) => {
    const next = new Map<string, Remembered>();
    const found: ServiceBackend[] = [];
    for (const [key, service] of services) {
      const backend = safeName(service.key.name);
      const letIn = admitted.get(backend) ?? nobody;
      const down = doubted?.get(backend) ?? nobody;
      const before = remembered.get(key);
      const same =
        before !== undefined &&
        before.instances === service.instances &&
        before.admitted === letIn &&
        before.doubted === down &&
        before.settings === settings.services;
      const entry = same
        ? before
        : {
            instances: service.instances,
            admitted: letIn,
            doubted: down,
            settings: settings.services,
            result: routed(service, settings.services, letIn, down),
          };
      next.set(key, entry);
      if (entry.result !== undefined) found.push(entry.result);
    }
    remembered = next;
    return assemble(found, settings);
  };
}

function routed(
  service: CatalogService,
  settings: Settings["services"],
  admitted: ReadonlySet<string>,
  doubted: ReadonlySet<string>,
): ServiceBackend | undefined {
  return isExposed(service, settings.expose) ? serviceBackend(service, settings, admitted, doubted) : undefined;
}
