import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { RequestExplanation } from "../routing/explain-request.ts";
import type { ServiceExplanation } from "../routing/explain-service.ts";
import { SluiceError } from "../support/errors.ts";

/** What is asked: a request by its parts, or a service. */
export interface WhyQuery {
  /** A URL, `host/path`, `/path`, `:port`, `<service>` or `<service>/<instance>`. */
  readonly target: string;
  readonly method: string;
  /** Each `Name: value`. */
  readonly headers: readonly string[];
  /** Address of the client. */
  readonly from?: string;
}

export interface UnknownTarget {
  readonly kind: "unknown";
  readonly target: string;
  /** Names that are nearly the same. */
  readonly near: readonly string[];
}

export type WhyAnswer = ServiceExplanation | RequestExplanation | UnknownTarget;

const line = z.string().max(8_192);
const query = z.strictObject({
  target: line.min(1),
  method: z
    .string()
    .regex(/^[A-Z]{1,20}$/, { error: "not a method; write GET" })
    .default("GET"),
  header: z
    .union([line.transform((one) => [one]), z.array(line)])
    .default([])
    .refine((headers) => headers.every((one) => /^[^\s:]+:/.test(one)), { error: "not a header; write 'Name: value'" }),
  from: z.union([z.ipv4(), z.ipv6()], { error: "not an address" }).optional(),
});

/** `GET /v1/why`. */
export function serveWhy(server: FastifyInstance, why: (query: WhyQuery) => Promise<WhyAnswer>): void {
  server.get("/v1/why", async (request, reply) => {
    const parsed = query.safeParse(request.query);
    if (!parsed.success) {
      const error = new SluiceError("ERR_USAGE", `the question cannot be used: ${z.prettifyError(parsed.error)}`);
      return reply.code(400).send({ error: { code: error.code, message: error.message, details: {} } });
    }
    const { target, method, header: headers, from } = parsed.data;
    return why({ target, method, headers, ...(from !== undefined && { from }) });
  });
}
