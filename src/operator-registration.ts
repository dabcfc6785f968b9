import { hostname } from "node:os";
import { advertisedPlace } from "./registration/advertised-place.ts";
import { openAgent } from "./registration/open-agent.ts";
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
