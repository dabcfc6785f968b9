import { chmod, rm } from "node:fs/promises";
import fastify from "fastify";
import type { SluiceEvent } from "../reconciler/events.ts";
import type { ReconcilerStatus } from "../reconciler/status.ts";

/** What `GET /v1/status` answers. */
export interface OperatorStatus {
  /** Whether traffic can flow as wanted: HAProxy runs and the catalog has answered. */
  readonly ready: boolean;
  /** Why not; empty when ready. */
  readonly reasons: readonly string[];
  readonly version: string;
  readonly startedAt: string;
  readonly reconciler: ReconcilerStatus;
  readonly catalog: CatalogSummary;
  /** The newest, oldest first. */
  readonly events: readonly SluiceEvent[];
}

export interface CatalogSummary {
  readonly watches: number;
  readonly budget: number;
  /** Services that have not answered yet; no plan is made before they have. */
  readonly waitingFor: readonly string[];
  readonly stale: readonly { readonly name: string; readonly since: string; readonly reason: string }[];
  readonly beyondBudget: readonly string[];
}

export interface AdminActions {
  readonly status: () => OperatorStatus;
  readonly resync: () => void;
}

/**
 * Serves the admin API on a Unix socket; the file's mode (0600, in a directory of 0700) decides who may ask.
 *
 * @returns a function that ends it
 */
export async function serveAdmin(socketPath: string, actions: AdminActions): Promise<() => Promise<void>> {
  const server = fastify({ logger: false, bodyLimit: 64 * 1024, forceCloseConnections: true, requestTimeout: 10_000 });
  server.get("/v1/status", () => actions.status());
  server.post("/v1/resync", async (_request, reply) => {
    actions.resync();
    await reply.code(202).send({ accepted: true });
  });
  await rm(socketPath, { force: true });
  await server.listen({ path: socketPath });
  await chmod(socketPath, 0o600);
  return async () => {
    await server.close();
    await rm(socketPath, { force: true });
  };
}
