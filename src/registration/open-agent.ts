import { Agent } from "node:https";
import { parseEndpoint } from "../catalog/endpoint.ts";
import { tlsOptions } from "../catalog/tls-options.ts";
import { TokenSource } from "../catalog/token.ts";
import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";
import { AgentClient } from "./agent-client.ts";

/** The local agent of the setting `consul.address`, with its token and TLS. */
export function openAgent(consul: Settings["consul"], clock: Clock, logger: Logger): AgentClient {
  const { baseUrl, secure, socketPath } = parseEndpoint(consul.address);
  const token = new TokenSource({ settings: consul, clock, logger });
  return new AgentClient({
    baseUrl,
    ...(socketPath !== undefined && { socketPath }),
    ...(secure && { httpsAgent: new Agent(tlsOptions(consul.tls)) }),
    token: () => token.current(),
  });
}
