import type { IncomingMessage } from "node:http";
import { SluiceError } from "../support/errors.ts";

const longestRetryAfterMs = 60_000;

/**
 * An answer with any status but 200 as an error. What Consul says in the body stands in the message, shortened.
 *
 * @param wallMs for a Retry-After that is a date
 */
export function refusalOf(
  path: string,
  response: (IncomingMessage & { readonly body?: unknown }) | undefined,
  wallMs: number,
): SluiceError {
  const status = response?.statusCode ?? 0;
  const retryAfterMs = parseRetryAfter(response?.headers["retry-after"], wallMs);
  return new SluiceError("ERR_CONSUL_STATUS", `Consul answered ${path} with ${status}${said(status, response?.body)}`, {
    retryable: true,
    details: { path, status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  });
}

/** Status and wait that an error of a request carries, where it does. */
export function refusalDetails(error: SluiceError): { readonly status?: number; readonly retryAfterMs?: number } {
  if (error.code !== "ERR_CONSUL_STATUS") return {};
  const { status, retryAfterMs } = error.details;
  return {
    ...(typeof status === "number" ? { status } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
  };
}

/**
 * Whether the request itself was refused, as opposed to a Consul that cannot answer anything right now: a bad request,
 * or a redirect to another path, which is how Consul answers names it would clean up.
 */
export function isDefiniteRefusal(error: SluiceError): boolean {
  const { status } = refusalDetails(error);
  return status !== undefined && ((status >= 300 && status < 400) || [400, 404, 405, 414, 431].includes(status));
}

/**
 * Whether Consul does not let this token, or this many requests, through right now: a storm of retries would only make
 * that worse.
 */
export function isTurnedAway(error: SluiceError): boolean {
  return [401, 403, 429].includes(refusalDetails(error).status ?? 0);
}

/** Whether an answer was too large to be read: to begin with it again and again costs as much as reading it. */
export function isTooLarge(error: SluiceError): boolean {
  return error.code === "ERR_CONSUL_ANSWER_INVALID" && error.details["limit"] !== undefined;
}

/** Whether there was an answer that nothing can be read from, as opposed to a Consul that says it has no data yet. */
export function isUnusableAnswer(error: SluiceError): boolean {
  return error.code === "ERR_CONSUL_ANSWER_INVALID" && error.details["noData"] !== true;
}

function said(status: number, body: unknown): string {
  if (status >= 300 && status < 400) return ": a redirect, which is not followed";
  const text = typeof body === "string" || Buffer.isBuffer(body) ? body.toString() : "";
  if (text === "" || text.trimStart().startsWith("<")) return hint(status);
  return `: ${text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, 200)}${hint(status)}`;
}

function hint(status: number): string {
  if (status === 403) return " (check consul.token: it needs read on services and nodes)";
  if (status === 429) return " (limits.http_max_conns_per_client or a rate limit of the agent is reached)";
  return "";
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3), as ms from now, bounded. */
function parseRetryAfter(value: string | undefined, wallMs: number): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1_000 : Date.parse(value) - wallMs;
  if (Number.isNaN(ms)) return undefined;
  return Math.min(longestRetryAfterMs, Math.max(0, ms));
}
