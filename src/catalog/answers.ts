import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { SluiceError } from "../support/errors.ts";

const stringOrNull = z.string().nullish();
// Not `int()`, which refuses what is beyond 2^53: Consul takes any 64 bits for a port.
const numberOrNull = z.number().nullish();

/** One entry of `GET /v1/health/service/:service` (Consul API: Health). Fields that are not used are not looked at. */
const healthEntrySchema = z.object({
  Node: z.object({
    Node: z.string(),
    Address: stringOrNull,
    Datacenter: stringOrNull,
    // What is not needed may have any shape: see instance-facts.ts.
    Meta: z.unknown().optional(),
    TaggedAddresses: z.unknown().optional(),
  }),
  Service: z.object({
    ID: z.string(),
    Service: z.string(),
    Address: stringOrNull,
    // Left out by Consul when it is 0.
    Port: numberOrNull,
    Tags: z.array(z.string()).nullish(),
    Meta: z.record(z.string(), z.string()).nullish(),
    Weights: z.object({ Passing: numberOrNull, Warning: numberOrNull }).nullish(),
    TaggedAddresses: z.unknown().optional(),
    CreateIndex: z.unknown().optional(),
  }),
  Checks: z.array(z.object({ CheckID: z.string(), Status: z.string(), ServiceID: stringOrNull })).nullish(),
});

const healthSchema = z.array(healthEntrySchema);
const anyListSchema = z.array(z.unknown());
/** As much of an entry that cannot be used as tells whose it is. */
const ownerSchema = z.object({
  Node: z.object({ Node: z.string().catch("?") }).catch({ Node: "?" }),
  Service: z.object({ ID: z.string().catch("?"), Service: z.string().optional().catch(undefined) }).catch({ ID: "?" }),
});

/** `GET /v1/catalog/services` (Consul API: Catalog): name to the union of its instances' tags. */
const listSchema = z.record(z.string(), z.array(z.string()).nullable());

/** `GET /v1/agent/self` (Consul API: Agent). `DebugConfig` is not a stable contract, hence nothing in it is needed. */
const selfSchema = z.object({
  Config: z.object({ Datacenter: z.string() }),
  DebugConfig: z.object({ HTTPMaxConnsPerClient: z.number().int().optional().catch(undefined) }).nullish(),
});

const datacentersSchema = z.array(z.string());

/** `GET /v1/agent/members` (Consul API: Agent). */
const membersSchema = z.array(
  z.object({
    Name: z.string(),
    Status: z.number(),
    Tags: z.record(z.string(), z.string()).nullish(),
  }),
);

export type HealthEntry = z.output<typeof healthEntrySchema>;
/** An entry that does not have the documented shape. */
export interface UnusableEntry {
  /** The service it belongs to, where that can be read. */
  readonly service?: string;
  /** Which entry, and what is wrong with it. */
  readonly problem: string;
}
export interface HealthAnswer {
  readonly entries: readonly HealthEntry[];
  readonly unusable: readonly UnusableEntry[];
}
export type ListAnswer = z.output<typeof listSchema>;
export type SelfAnswer = z.output<typeof selfSchema>;
export type MembersAnswer = z.output<typeof membersSchema>;

/**
 * The entries of an answer. One that does not have the documented shape is set aside by itself.
 *
 * @throws SluiceError ERR_CONSUL_ANSWER_INVALID where the answer is not a list; so do the others below
 */
export function parseHealth(body: unknown): HealthAnswer {
  const whole = healthSchema.safeParse(body);
  if (whole.success) return { entries: whole.data, unusable: [] };
  const entries: HealthEntry[] = [];
  const unusable: UnusableEntry[] = [];
  for (const entry of check(anyListSchema, body, "/health/service")) {
    const result = healthEntrySchema.safeParse(entry);
    if (result.success) entries.push(result.data);
    else unusable.push(describeUnusable(entry, result.error));
  }
  return { entries, unusable };
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

export function parseMembers(body: unknown): MembersAnswer {
  return check(membersSchema, body, "/agent/members");
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
  throw invalidShape(what, firstProblem(result.error));
}

/** @returns ERR_CONSUL_ANSWER_INVALID */
export function invalidShape(what: string, problem: string): SluiceError {
  return new SluiceError(
    "ERR_CONSUL_ANSWER_INVALID",
    `Consul's answer to ${what} does not have the documented shape: ${problem}`,
    { retryable: true },
  );
}

function describeUnusable(entry: unknown, error: z.ZodError): UnusableEntry {
  const owner = ownerSchema.safeParse(entry);
  if (!owner.success) return { problem: firstProblem(error) };
  const { Node: node, Service: service } = owner.data;
  return {
    ...(service.Service === undefined ? {} : { service: service.Service }),
    problem: `${JSON.stringify(`${node.Node}/${service.ID}`)}: ${firstProblem(error)}`,
  };
}

/** It says enough: a long answer of a wrong shape has thousands. */
function firstProblem(error: z.ZodError): string {
  const [problem = "", where = ""] = z.prettifyError(error).split("\n");
  const place = where.startsWith("  ") ? ` ${where.trim().replace(/^\P{L}+/u, "")}` : "";
  return `${problem.replace(/^\P{L}+/u, "")}${place}`;
}
