import { Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { startConsul } from "../support/consul-agent.ts";
import { routeAnswer, routeAnswered, routeTag, startEcho, type TestRoute } from "../support/route-world.ts";
import { eventually, runBuiltSluice, sluiceHome } from "../support/sluice.ts";
import { registration } from "../support/web-instance.ts";
import { registerFleet } from "./fleet.ts";
import { startAsking } from "./keep-alive-client.ts";
import { type Spread, spread } from "./numbers.ts";

export interface RoutesResult {
  readonly services: number;
  readonly instancesEach: number;
  readonly rounds: number;
  /** From the registration with another tag to the first answer by the new route, ms. */
  readonly added: Spread;
  /** The same for a route that is there and gets another option. */
  readonly changed: Spread;
  readonly reloads: number;
  /** Of requests on a route that stays. */
  readonly failed: number;
}

/** Route → traffic of one service on an existing backend, beside a fleet of others. */
export async function benchRoutes(rounds: number, services: number, instancesEach: number): Promise<RoutesResult> {
  const consul = await startConsul({ maxConnections: services + 500 });
  const everybody = createServer((_request, response) => response.end("fleet"));
  await new Promise<void>((resolve) => everybody.listen(0, "0.0.0.0", resolve));
  await registerFleet(consul, services, instancesEach, (everybody.address() as AddressInfo).port);
  const home = await sluiceHome(consul.address, { services: { expose: "all" } });
  const web = await startEcho("web", "web-1");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const register = (...routes: readonly TestRoute[]) =>
    consul.register(registration("web", web, { Tags: ["haproxy.enable=true", ...routes.map(routeTag)] }));
  await register();
  const sluice = runBuiltSluice(home);
  const client = startAsking(home.httpPort, "web.service.local");
  /** From now, before the tag is written, until it answers so. */
  const effect = async (route: TestRoute): Promise<number> => {
    const wanted = routeAnswer("web", route.way);
    const begun = performance.now();
    await register(route);
    while ((await routeAnswered(home.httpPort, route, agent)) !== wanted) {
      if (performance.now() - begun > 20_000) throw new Error(`route ${route.number} does not answer ${wanted}`);
    }
    return performance.now() - begun;
  };
  try {
    await eventually("sluice serves", () => client.lastAnswerOf("web /") > 0, 60_000);
    await sluice.logged((line) => line.event === "reloaded", 30_000);
    await sleep(5_000);
    client.failures.length = 0;
    const [added, changed]: [number[], number[]] = [[], []];
    // Two rounds to warm up, not counted.
    for (let count = -2; count < rounds; count += 1) {
      for (const [way, times] of [
        ["plain", added],
        ["strip", changed],
      ] as const) {
        const took = await effect({ number: count + 3, way });
        if (count >= 0) times.push(took);
        // Long enough for what follows behind a change (file, validation) to be over before the next one.
        await sleep(720);
      }
    }
    return {
      services,
      instancesEach,
      rounds,
      added: spread(added),
      changed: spread(changed),
      reloads: sluice.lines().filter((line) => line.event === "reloaded").length - 1,
      failed: client.failures.length,
    };
  } finally {
    await client.stop();
    agent.destroy();
    await sluice.end();
    await consul.stop();
    await home.remove();
    everybody.closeAllConnections();
    everybody.close();
    await web.stop();
  }
}
