import { z } from "zod";
import { SluiceError } from "../support/errors.ts";
import { byIdentity, compare } from "./health.ts";
import { type Overrides, overrideOf } from "./overrides.ts";
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

/**
 * An instance in a file. Its service is the one it stands under, and is not written a second time; its datacenter is
 * where it is another one.
 */
export const instanceSchema = z.object({
  datacenter: z.string().exactOptional(),
  node: z.string(),
  id: z.string(),
  address: z.string(),
  // Any number: what no port can be is for routing to refuse, as it is when it comes from Consul.
  port: z.number(),
  tags: z.array(z.string()).default([]),
  meta: z.record(z.string(), z.string()).default({}),
  createIndex: z.number().exactOptional(),
  taggedAddresses: z.record(z.string(), z.object({ address: z.string(), port: z.number() })).exactOptional(),
  zone: z.string().exactOptional(),
  weights: z.object({ passing: weight, warning: weight }).default({ passing: 1, warning: 1 }),
  health: z.enum(["passing", "warning", "critical", "maintenance"]),
  nodeHealthOnly: z.boolean().exactOptional(),
  nodeCritical: z.boolean().exactOptional(),
});

const spokenSchema = z.object({
  node: z.string(),
  id: z.string(),
  tags: z.array(z.string()).default([]),
  meta: z.record(z.string(), z.string()).default({}),
  createIndex: z.number().exactOptional(),
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
      elsewhere: z.array(instanceSchema).exactOptional(),
      unansweredElsewhere: z.array(z.string()).exactOptional(),
      spoke: z.array(spokenSchema).exactOptional(),
    }),
  ),
  /** Documents by service name, as they stand in Consul's key-value store. */
  overrides: z.record(z.string(), z.string()).exactOptional(),
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
    services: services.map(({ key, instances, freshness, elsewhere, unansweredElsewhere, spoke }) => ({
      key,
      instances: instances.map((instance) => instanceToJson(instance, key)),
      freshness,
      ...(elsewhere !== undefined && { elsewhere: elsewhere.map((instance) => instanceToJson(instance, key)) }),
      ...(unansweredElsewhere !== undefined && { unansweredElsewhere }),
      ...(spoke !== undefined && { spoke }),
    })),
    ...(snapshot.overrides !== undefined && { overrides: overridesToJson(snapshot.overrides) }),
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
  const { takenAt, services, unselected, unwatched, departed, overrides } = parsed.data;
  const entries = services.map(({ key, instances, freshness, elsewhere, ...rest }): [string, CatalogService] => [
    serviceKeyString(key),
    {
      key,
      instances: instances.map((instance) => withService(instance, key)).sort(byIdentity),
      freshness: freshness ?? { asOf: takenAt, stale: false },
      ...(elsewhere !== undefined && {
        elsewhere: elsewhere.map((instance) => withService(instance, key)).sort(byIdentity),
      }),
      ...rest,
    },
  ]);
  return {
    services: new Map(entries.sort(([a], [b]) => compare(a, b))),
    unselected: new Set(unselected),
    unwatched: new Set(unwatched),
    departed: new Set(departed),
    ...(overrides !== undefined && { overrides: readTexts(overrides) }),
    sequence: 0,
    takenAt,
    answeredAt: 0,
  };
}

/** An instance of a service as `instanceSchema` takes it. */
export function instanceToJson({ service, ...instance }: Instance, { datacenter }: ServiceKey): object {
  return service.datacenter === datacenter ? instance : { datacenter: service.datacenter, ...instance };
}

/** The instance of a service out of a file. */
export function withService(
  { datacenter, ...instance }: z.output<typeof instanceSchema>,
  service: ServiceKey,
): Instance {
  const own = datacenter === undefined ? service : { ...service, datacenter };
  return { ...instance, service: own, tags: [...instance.tags].sort(compare) };
}

/** As text, so that whoever reads the file reads the documents by rules of its own. */
function overridesToJson(overrides: Overrides): object {
  return Object.fromEntries([...overrides].flatMap(([name, { text }]) => (text === undefined ? [] : [[name, text]])));
}

function readTexts(texts: Readonly<Record<string, string>>): Overrides {
  const names = Object.keys(texts).sort(compare);
  return new Map(names.map((name) => [name, overrideOf(texts[name])]));
}
