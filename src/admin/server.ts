import { chmod, rm } from "node:fs/promises";
import fastify from "fastify";
import { z } from "zod";
import type { CertificateStatus } from "../certificates/types.ts";
import type { SluiceEvent } from "../reconciler/events.ts";
import type { ReconcilerStatus } from "../reconciler/status.ts";
import { SluiceError } from "../support/errors.ts";
import { serveWhy, type WhyAnswer, type WhyQuery } from "./why.ts";

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
  /** Those of the HTTPS entry point, sorted by name. */
  readonly certificates: readonly CertificateStatus[];
  /** What is wrong with their directory as a whole. */
  readonly certificatesProblem?: string;
  /** The newest, oldest first. */
  readonly events: readonly SluiceEvent[];
}

export interface CatalogSummary {
  readonly watches: number;
  readonly budget: number;
  /** Services that have not answered yet; no plan is made before they have. */
  readonly waitingFor: readonly string[];
  /** Since when Consul as a whole does not answer, or not rightly, and what is wrong; left out: it answers. */
  readonly outage?: { readonly since: string; readonly reason: string };
  readonly stale: readonly { readonly name: string; readonly since: string; readonly reason: string }[];
  readonly beyondBudget: readonly string[];
  /** Operators' overrides in Consul's key-value store; `reason`: why they may be old, or are not known. */
  readonly overrides: { readonly known: number; readonly reason?: string };
  /** Other datacenters that services are watched in; `reason`: why what is known of one may be old, or is nothing. */
  readonly datacenters: readonly { readonly datacenter: string; readonly services: number; readonly reason?: string }[];
  readonly queries: readonly { readonly name: string; readonly reason?: string }[];
}

export interface AdminActions {
  readonly status: () => OperatorStatus;
  readonly resync: () => void;
  /** Explains where a request goes, or why a service gets none. */
  readonly why: (query: WhyQuery) => Promise<WhyAnswer>;
  /**
   * Lets holds go.
   *
   * @param target `<service>`, `<service>/<id>` or `<service>/<node>/<id>`
   * @returns how many, and what was held, as `<service>/<node>/<id>`
   */
  readonly release: (target: string) => { readonly released: number; readonly held: readonly string[] };
}

/** What `POST /v1/release` takes. The instance as `<id>` or `<node>/<id>`; all of the service where it is left out. */
const releaseBody = z.strictObject({ service: z.string().min(1), instance: z.string().min(1).exactOptional() });

/**
 * Serves the admin API on a Unix socket; the file's mode (0600, in a directory of 0700) decides who may ask.
 *
 * @returns a function that ends it
 */
export async function serveAdmin(socketPath: string, actions: AdminActions): Promise<() => Promise<void>> {
  const server = fastify({ logger: false, bodyLimit: 64 * 1024, forceCloseConnections: true, requestTimeout: 10_000 });
  server.get("/v1/status", () => actions.status());
  serveWhy(server, (query) => actions.why(query));
  server.post("/v1/resync", async (_request, reply) => {
    actions.resync();
    await reply.code(202).send({ accepted: true });
  });
  server.post("/v1/release", async (request, reply) => {
    const body = releaseBody.safeParse(request.body);
    if (!body.success) {
      const error = new SluiceError("ERR_USAGE", `the body cannot be used: ${z.prettifyError(body.error)}`);
      return reply.code(400).send(refusal(error));
    }
    const { service, instance } = body.data;
    const target = instance === undefined ? service : `${service}/${instance}`;
    const { released, held } = actions.release(target);
    if (released > 0) return { released };
    const others = held.length === 0 ? "nor of anything else" : `only ${held.slice(0, mostNamed).join(", ")}`;
    const message = `nothing is held of ${JSON.stringify(target)}, ${others}`;
    return reply.code(404).send(refusal(new SluiceError("ERR_NOT_HELD", message, { details: { held } })));
  });
  await rm(socketPath, { force: true });
  await server.listen({ path: socketPath });
  await chmod(socketPath, 0o600);
  return async () => {
    await server.close();
    await rm(socketPath, { force: true });
  };
}

/** Of more, the details have the rest. */
const mostNamed = 20;

function refusal({ code, message, details }: SluiceError) {
  return { error: { code, message, details } };
}
