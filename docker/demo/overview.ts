import { join } from "node:path";
import { statsPassword, statsPath, statsUser } from "./operator.ts";
import { commandHelp } from "./options.ts";
import type { World } from "./worlds.ts";

/** The ports of the demo. */
export interface Places {
  /** All of these, and more as they are given away. */
  readonly taken: Set<number>;
  readonly traffic: number;
  readonly stats: number;
  readonly consul: number;
  readonly consulServer: number;
  readonly consulSerf: number;
}

export interface OverviewOptions {
  readonly world: World;
  readonly directory: string;
  readonly places: Places;
  readonly tookMs: number;
  readonly instances: number;
}

/** What there is to see, and what can be typed. */
export function overview({ world, directory, places, tookMs, instances }: OverviewOptions): string {
  const http = (port: number) => `http://localhost${port === 80 ? "" : `:${port}`}`;
  const traffic =
    world.asked === "connection"
      ? `localhost:${places.traffic}   gRPC without TLS, protos.Ping/SayHello; a client asks over one connection`
      : `${http(places.traffic)}${world.asked.path}`;
  return `
Traffic flows: ${instances} of ${instances} instances of "${world.service}" answer, ${(tookMs / 1000).toFixed(1)} s after the start.

  Traffic     ${traffic}
  Stats page  ${http(places.stats)}${statsPath}   user ${statsUser}, password ${statsPassword}
  Consul UI   ${http(places.consul)}/ui
  haproxy.cfg ${join(directory, "state", "haproxy.cfg")}
  Logs        ${join(directory, "operator.log")}

Type:
${commandHelp(world)}
`;
}
