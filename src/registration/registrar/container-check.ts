import { hostAndPort } from "../../support/ip.ts";
import type { CheckStatus, ServiceCheck } from "../agent-client.ts";
import { type PortWords, saysYes } from "./container-words.ts";
import { goDurationMs } from "./go-duration.ts";

/** What the words `SERVICE_CHECK_…` come to. */
export interface SaidCheck {
  readonly check?: ServiceCheck;
  /** What was said and does not count, in words for whoever said it. */
  readonly problems: readonly string[];
}

const defaultIntervalMs = 10_000;
/** Consul's own (Consul: "Health Checks", `timeout`). */
const defaultTimeoutMs = 10_000;
/** Consul takes no shorter one. */
const leastIntervalMs = 1_000;
const leastDeregisterMs = 60_000;
const notSupported = ["check_script", "check_cmd", "check_docker"];

/**
 * The check that a container asks for, in the words that Registrator knows. The first of `http`, `https`, `tcp`, `grpc`
 * and `ttl` counts.
 *
 * @param host where the agent reaches the container
 * @param deregisterAfterMs where the container does not say it
 */
export function saidCheck(
  words: PortWords,
  host: string,
  port: number,
  deregisterAfterMs: number | undefined,
): SaidCheck {
  const problems: string[] = [];
  for (const word of notSupported) {
    if (words.get(word) !== undefined)
      problems.push(`${shown(word)} is not supported: Consul's agent would run a program`);
  }
  const length = (word: string, leastMs: number): number | undefined => {
    const text = words.get(word);
    if (text === undefined) return undefined;
    const ms = goDurationMs(text);
    if (ms === undefined) problems.push(`${shown(word)} is not a length of time; write 15s or 1m30s`);
    else if (ms < leastMs) problems.push(`${shown(word)} is less than Consul takes, ${leastMs / 1_000}s`);
    return ms === undefined ? undefined : Math.max(ms, leastMs);
  };
  const status = statusWord(words.get("check_initial_status"), problems);
  const forgetMs = length("check_deregister_after", leastDeregisterMs) ?? deregisterAfterMs;
  const common = {
    ...(status !== undefined && { status }),
    ...(forgetMs !== undefined && { deregisterAfterMs: forgetMs }),
  };
  const pace = {
    intervalMs: length("check_interval", leastIntervalMs) ?? defaultIntervalMs,
    timeoutMs: length("check_timeout", 1) ?? defaultTimeoutMs,
  };
  const place = hostAndPort(host, port);
  for (const scheme of ["http", "https"] as const) {
    const path = words.get(`check_${scheme}`);
    if (path === undefined) continue;
    const url = `${scheme}://${place}${path.startsWith("/") ? "" : "/"}${path}`;
    if (!URL.canParse(url) || /[\s\p{Cc}]/u.test(path)) {
      problems.push(`${shown(`check_${scheme}`)} is not a path`);
      continue;
    }
    const method = methodWord(words.get("check_http_method") ?? words.get("check_https_method"), problems);
    const tlsSkipVerify = scheme === "https" && saysYes(words.get("check_tls_skip_verify"));
    const check: ServiceCheck = {
      kind: "http",
      name: `${scheme} ${path}`,
      url,
      ...(method !== undefined && { method }),
      ...(tlsSkipVerify && { tlsSkipVerify }),
      ...pace,
      ...common,
    };
    return { check, problems };
  }
  if (saysYes(words.get("check_tcp"))) {
    return { check: { kind: "tcp", name: `tcp ${place}`, address: place, ...pace, ...common }, problems };
  }
  const grpc = words.get("check_grpc");
  if (grpc !== undefined && saysYes(grpc)) {
    const service = /^(1|t|true|y|yes|on)$/i.test(grpc) ? "" : `/${grpc}`;
    return {
      check: { kind: "grpc", name: `grpc ${place}`, address: `${place}${service}`, ...pace, ...common },
      problems,
    };
  }
  const ttlMs = length("check_ttl", 1);
  if (ttlMs !== undefined)
    return { check: { kind: "ttl", name: "what the container says", ttlMs, ...common }, problems };
  return { problems };
}

/** What a container that has a HEALTHCHECK, or none, is until the engine says something of it. */
export function statusWord(text: string | undefined, problems: string[]): CheckStatus | undefined {
  if (text === undefined) return undefined;
  const word = text.trim().toLowerCase();
  if (word === "passing" || word === "warning" || word === "critical") return word;
  problems.push(`${shown("check_initial_status")} is neither passing nor warning nor critical`);
  return undefined;
}

function methodWord(text: string | undefined, problems: string[]): string | undefined {
  if (text === undefined) return undefined;
  if (/^[A-Za-z]{1,20}$/.test(text)) return text.toUpperCase();
  problems.push(`${shown("check_http_method")} is not a method`);
  return undefined;
}

function shown(word: string): string {
  return `SERVICE_${word.toUpperCase()}`;
}
