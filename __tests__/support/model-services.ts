import { type ServerText, serverText } from "./system.ts";
import type { WebInstance } from "./web-instance.ts";

export type Status = "passing" | "warning" | "critical";

/** An instance as the catalog should have it. */
export interface ModelInstance {
  readonly web: WebInstance;
  passing: number;
  warning: number;
  status: Status;
  maintenance: boolean;
}

export interface ModelService {
  readonly name: string;
  readonly instances: Map<string, ModelInstance>;
  /** When a step last touched it, monotonic ms. */
  changedAt: number;
  /** Since when every request has to succeed, monotonic ms; undefined while none has to. */
  expectedSince: number | undefined;
}

/** Those that take requests. */
export function servingNames(service: ModelService): ReadonlySet<string> {
  const names = [...service.instances.values()].filter((one) => weightOf(one) > 0).map(({ web }) => web.name);
  return new Set(names);
}

/** The weight Consul gives an instance; -1 for one that is out. */
function weightOf({ maintenance, status, passing, warning }: ModelInstance): number {
  if (maintenance) return 0;
  return status === "critical" ? -1 : status === "warning" ? warning : passing;
}

/** What HAProxy has to have of a service. Weights above 256 are scaled, all of a service by one factor, 0 alone stays 0. */
export function serversWanted(service: ModelService): readonly ServerText[] {
  const instances = [...service.instances.values()];
  const greatest = Math.max(256, ...instances.flatMap(({ passing, warning }) => [passing, warning]));
  return instances
    .filter((instance) => weightOf(instance) >= 0)
    .map((instance) => {
      const { name, port } = instance.web;
      const weight = weightOf(instance);
      const scaled = weight === 0 ? 0 : Math.max(1, Math.round((weight * 256) / greatest));
      const place = { address: "127.0.0.1", port };
      return serverText({
        backend: service.name,
        name: `${name}_127.0.0.1:${port}`,
        ...place,
        weight: greatest === 256 ? weight : scaled,
      });
    });
}

/** What is read of an entry of `/v1/health/service/:name`. */
export interface HealthEntry {
  readonly Service: { readonly ID: string; readonly Weights: { readonly Passing: number; readonly Warning: number } };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly ServiceID: string }[];
}

export function instanceText({ web, passing, warning, status, maintenance }: ModelInstance): string {
  return `${web.name} ${passing}/${warning} ${status}${maintenance ? " maintenance" : ""}`;
}

export function entryText({ Service, Checks }: HealthEntry): string {
  const status = Checks.find(({ CheckID }) => CheckID === `check-${Service.ID}`)?.Status;
  const maintenance = Checks.some(({ CheckID }) => CheckID.startsWith("_service_maintenance:"));
  const { Passing, Warning } = Service.Weights;
  return `${Service.ID} ${Passing}/${Warning} ${status}${maintenance ? " maintenance" : ""}`;
}
