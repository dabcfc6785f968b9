import { z } from "zod";
import { SluiceError } from "../support/errors.ts";
import { compare } from "./health.ts";
import { serviceKeyString } from "./service-key.ts";
import type { CatalogService, Instance, ServiceKey, Snapshot } from "./types.ts";

const version = 1;

const keySchema = z.object({
  datacenter: z.string(),
  partition: z.string().exactOptional(),
  namespace: z.string().exactOptional(),
  peer: z.string().exactOptional(),
  name: z.string().min(1),
});

const weight = z.number().int().min(0).max(65_535);

/** An instance in a file. Its service is the one it stands under, and is not written a second time. */
export const instanceSchema = z.object({
  node: z.string(),
  id: z.string(),
  address: z.string(),
  // Any number: what no port can be is for routing to refuse, as it is when it comes from Consul.
  port: z.number(),
  tags: z.array(z.string()).default([]),
  meta: z.record(z.string(), z.string()).default({}),
  weights: z.object({ passing: weight, warning: weight }).default({ passing: 1, warning: 1 }),
  health: z.enum(["passing", "warning", "critical", "maintenance"]),
  nodeHealthOnly: z.boolean().exactOptional(),
  nodeCritical: z.boolean().exactOptional(),
});

const freshnessSchema = z.object({
  asOf: z.number(),
  stale: z.boolean(),
  reason: z.string().exactOptional(),
  unanswered: z.boolean().exactOptional(),
});

const snapshotSchema = z.object({
  schema: z.literal(version),
  /** Wall-clock ms. */
  takenAt: z.number(),
  services: z.array(
    z.object({
      key: keySchema,
      instances: z.array(instanceSchema),
      freshness: freshnessSchema.exactOptional(),
    }),
  ),
  unselected: z.array(z.string()).default([]),
  unwatched: z.array(z.string()).default([]),
  departed: z.array(z.string()).default([]),
});

/** A snapshot as plain data for a file. What holds for one process only, its sequence and its monotonic time, is left out. */
export function snapshotToJson(snapshot: Snapshot): object {
  const services = [...snapshot.services].sort(([a], [b]) => compare(a, b)).map(([, service]) => service);
  return {
    schema: version,
    takenAt: snapshot.takenAt,
    services: services.map(({ key, instances, freshness }) => ({
      key,
      instances: instances.map(instanceToJson),
      freshness,
    })),
    unselected: [...snapshot.unselected].sort(compare),
    unwatched: [...snapshot.unwatched].sort(compare),
    departed: [...snapshot.departed].sort(compare),
  };
}

/**
 * A snapshot out of a file, by whomever it was written: order and defaults are made good, unknown fields are left
 * aside. Its sequence and monotonic time are 0.
 *
 * @throws SluiceError ERR_SNAPSHOT_INVALID
 */
export function parseSnapshot(json: unknown): Snapshot {
  const parsed = snapshotSchema.safeParse(json);
  if (!parsed.success) {
    throw new SluiceError("ERR_SNAPSHOT_INVALID", `the snapshot cannot be used: ${z.prettifyError(parsed.error)}`, {
      cause: parsed.error,
    });
  }
  const { takenAt, services, unselected, unwatched, departed } = parsed.data;
  const entries = services.map(({ key, instances, freshness }): [string, CatalogService] => [
    serviceKeyString(key),
    {
      key,
      instances: instances.map((instance) => withService(instance, key)).sort(byIdentity),
      freshness: freshness ?? { asOf: takenAt, stale: false },
    },
  ]);
  return {
    services: new Map(entries.sort(([a], [b]) => compare(a, b))),
    unselected: new Set(unselected),
    unwatched: new Set(unwatched),
    departed: new Set(departed),
    sequence: 0,
    takenAt,
    answeredAt: 0,
  };
}

/** An instance as `instanceSchema` takes it. */
export function instanceToJson({ service: _service, ...instance }: Instance): object {
  return instance;
}

/** The instance of a service out of a file. */
export function withService(instance: z.output<typeof instanceSchema>, service: ServiceKey): Instance {
  return { ...instance, service, tags: [...instance.tags].sort(compare) };
}

function byIdentity(a: Instance, b: Instance): number {
  return compare(a.node, b.node) || compare(a.id, b.id);
}
