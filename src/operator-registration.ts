import { Agent } from "node:https";
import { hostname } from "node:os";
import { tlsOptions } from "./catalog/consul-client.ts";
import { parseEndpoint } from "./catalog/endpoint.ts";
import { TokenSource } from "./catalog/token.ts";
import { advertisedPlace } from "./registration/advertised-place.ts";
import { AgentClient } from "./registration/agent-client.ts";
import { RegisteredNames } from "./registration/registered-names.ts";
import type { Settings } from "./settings/schema.ts";
import type { Clock } from "./support/clock.ts";
import type { Logger } from "./support/logger.ts";

/**
 * What registers HAProxy with the local agent under the names that services ask for.
 *
 * @returns undefined where the settings tell no port under which others would find it
 */
export function openRegistration(
  { consul, http }: Pick<Settings, "consul" | "http">,
  clock: Clock,
  logger: Logger,
): RegisteredNames | undefined {
  const place = advertisedPlace(http.bind, http.advertise);
  if (place === undefined) return undefined;
  const agent = openAgent(consul, clock, logger);
  return new RegisteredNames({ agent, place, host: hostname(), clock, logger });
}

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
