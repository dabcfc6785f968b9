import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { SluiceError } from "../support/errors.ts";

const stringOrNull = z.string().nullish();
const weight = z.number().int();

/** `GET /v1/health/service/:service` (Consul API: Health). Fields that are not used are not looked at. */
const healthSchema = z.array(
  z.object({
    Node: z.object({ Node: z.string(), Address: stringOrNull, Datacenter: stringOrNull }),
    Service: z.object({
      ID: z.string(),
      Service: z.string(),
      Address: stringOrNull,
      // Left out by Consul when it is 0.
      Port: z.number().int().nullish(),
      Tags: z.array(z.string()).nullish(),
      Meta: z.record(z.string(), z.string()).nullish(),
      Weights: z.object({ Passing: weight.nullish(), Warning: weight.nullish() }).nullish(),
    }),
    Checks: z.array(z.object({ CheckID: z.string(), Status: z.string(), ServiceID: stringOrNull })).nullish(),
  }),
);

/** `GET /v1/catalog/services` (Consul API: Catalog): name to the union of its instances' tags. */
const listSchema = z.record(z.string(), z.array(z.string()).nullable());

/** `GET /v1/agent/self` (Consul API: Agent). `DebugConfig` is not a stable contract, hence nothing in it is needed. */
const selfSchema = z.object({
  Config: z.object({ Datacenter: z.string() }),
  DebugConfig: z.object({ HTTPMaxConnsPerClient: z.number().int().optional().catch(undefined) }).nullish(),
});

const datacentersSchema = z.array(z.string());

export type HealthAnswer = z.output<typeof healthSchema>;
export type HealthEntry = HealthAnswer[number];
export type ListAnswer = z.output<typeof listSchema>;
export type SelfAnswer = z.output<typeof selfSchema>;

/** @throws SluiceError ERR_CONSUL_ANSWER_INVALID; so do the others below */
export function parseHealth(body: unknown): HealthAnswer {
  return check(healthSchema, body, "/health/service");
}

export function parseList(body: unknown): ListAnswer {
  return check(listSchema, body, "/catalog/services");
}

export function parseSelf(body: unknown): SelfAnswer {
  return check(selfSchema, body, "/agent/self");
}

export function parseDatacenters(body: unknown): readonly string[] {
  return check(datacentersSchema, body, "/catalog/datacenters");
}

/**
 * The index of an answer with status 200 (Consul API: Blocking Queries).
 *
 * @returns undefined where it is missing, malformed, or 0 or 1, which is how Consul says that it has no data
 */
export function indexOf(headers: IncomingHttpHeaders): bigint | undefined {
  const value = headers["x-consul-index"];
  if (typeof value !== "string" || !/^\d{1,20}$/.test(value)) return undefined;
  const index = BigInt(value);
  return index > 1n ? index : undefined;
}

/** Whether Consul says that the token may not see all there is. Never said by streaming answers, nor to every token. */
export function isFiltered(headers: IncomingHttpHeaders): boolean {
  return headers["x-consul-results-filtered-by-acls"] === "true";
}

function check<T>(schema: z.ZodType<T>, body: unknown, what: string): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  // The first problem says enough: a long answer of a wrong shape has thousands.
  const [problem = "", where = ""] = z.prettifyError(result.error).split("\n");
  throw new SluiceError(
    "ERR_CONSUL_ANSWER_INVALID",
    `Consul's answer to ${what} does not have the documented shape: ${problem.replace(/^\P{L}+/u, "")}${where.startsWith("  ") ? ` ${where.trim().replace(/^\P{L}+/u, "")}` : ""}`,
    { retryable: true },
  );
}
