import { z } from "zod";
import {
  instanceSchema,
  instanceToJson,
  parseSnapshot,
  snapshotToJson,
  withService,
} from "../catalog/snapshot-file.ts";
import type { Snapshot } from "../catalog/types.ts";
import type { Accepted, Hold, Loss } from "../guard/types.ts";
import { SluiceError } from "../support/errors.ts";

const schema = z.object({
  emptySince: z.record(z.string(), z.number()),
  // A held instance is one of its service's.
  holds: z.array(
    z.object({
      service: z.string(),
      node: z.string(),
      id: z.string(),
      since: z.number(),
      cause: z.enum(["zero", "mass"]).default("zero"),
    }),
  ),
  losses: z
    .array(
      z.object({
        service: z.string(),
        instance: instanceSchema,
        since: z.number(),
        how: z.enum(["vanished", "node-critical"]),
        over: z.boolean().exactOptional(),
      }),
    )
    .default([]),
});

/**
 * The last good services as they go to `snapshot.json`: a snapshot file like any other (`--snapshot` takes it), and
 * beside it what the guard keeps.
 */
export function acceptedToJson(accepted: Accepted, wallMs: number): unknown {
  const snapshot: Snapshot = {
    services: accepted.services,
    unselected: new Set(),
    unwatched: new Set(),
    departed: new Set(),
    ...(accepted.overrides !== undefined && { overrides: accepted.overrides }),
    sequence: 0,
    takenAt: wallMs,
    answeredAt: 0,
  };
  return {
    ...(snapshotToJson(snapshot) as object),
    guard: {
      emptySince: Object.fromEntries(accepted.emptySince),
      holds: accepted.holds.map(({ service, instance: { node, id }, since, cause }) => ({
        service,
        node,
        id,
        since,
        cause,
      })),
      losses: accepted.losses.map(({ instance, ...loss }) => ({
        ...loss,
        instance: instanceToJson(instance, instance.service),
      })),
    },
  };
}

/** @throws {SluiceError} ERR_SNAPSHOT_INVALID */
export function parseAccepted(json: unknown): Accepted {
  const { services, overrides } = parseSnapshot(json);
  const parsed = schema.safeParse((json as { guard?: unknown }).guard ?? { emptySince: {}, holds: [] });
  if (!parsed.success) {
    throw new SluiceError(
      "ERR_SNAPSHOT_INVALID",
      `the guard's part of the last good snapshot is broken: ${z.prettifyError(parsed.error)}`,
    );
  }
  const holds = parsed.data.holds.flatMap(({ service, node, id, since, cause }): Hold[] => {
    const instance = services.get(service)?.instances.find((one) => one.node === node && one.id === id);
    return instance === undefined ? [] : [{ service, instance, since, cause }];
  });
  const losses = parsed.data.losses.flatMap(({ instance, ...loss }): Loss[] => {
    const key = services.get(loss.service)?.key;
    return key === undefined ? [] : [{ ...loss, instance: withService(instance, key) }];
  });
  // Who is suspected follows from the losses, at the first snapshot.
  const emptySince = new Map(Object.entries(parsed.data.emptySince));
  return { services, ...(overrides !== undefined && { overrides }), emptySince, holds, losses, suspects: [] };
}
