import { z } from "zod";
import type { Settings } from "../settings/schema.ts";
import { type Clock, systemClock } from "../support/clock.ts";
import { silentLogger } from "../support/logger.ts";
import { plainDeadlineMs } from "./blocking-query.ts";
import { ConsulClient } from "./consul-client.ts";
import { healthRequest } from "./selection.ts";

/** A check as Consul has it; the output is what the check's program or server said, any text. */
export interface CheckNow {
  readonly name: string;
  readonly status: string;
  readonly output: string;
}

const entry = z.object({
  Node: z.object({ Node: z.string() }),
  Service: z.object({ ID: z.string(), Service: z.string() }),
  Checks: z
    .array(
      z.object({ CheckID: z.string(), Name: z.string().catch(""), Status: z.string(), Output: z.string().catch("") }),
    )
    .catch([]),
});

const answer = z.array(z.unknown());

/**
 * The checks of a service's instances with their outputs, which no watch keeps: asked of Consul now (Consul API:
 * Health, "List Service Instances for Service").
 *
 * @returns by `<node>/<id>`
 * @throws SluiceError as `ConsulClient.get`
 */
export async function readChecks(
  settings: Settings["consul"],
  service: string,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<ReadonlyMap<string, readonly CheckNow[]>> {
  const client = new ConsulClient({ settings, clock, logger: silentLogger });
  try {
    const { body } = await client.get(healthRequest(service), { signal, deadlineMs: plainDeadlineMs });
    const checks = new Map<string, readonly CheckNow[]>();
    for (const one of answer.catch([]).parse(body)) {
      const parsed = entry.safeParse(one);
      if (!parsed.success || parsed.data.Service.Service !== service) continue;
      const { Node, Service, Checks } = parsed.data;
      const all = Checks.map(({ CheckID, Name, Status, Output }) => ({
        name: Name === "" ? CheckID : Name,
        status: Status,
        output: Output,
      }));
      checks.set(`${Node.Node}/${Service.ID}`, all);
    }
    return checks;
  } finally {
    client.close();
  }
}
