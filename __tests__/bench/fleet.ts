import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type ConsulAgent, startConsul } from "../support/consul-agent.ts";
import { eventually, runBuiltSluice, sluiceHome } from "../support/sluice.ts";
import { registration, startWebInstance } from "../support/web-instance.ts";
import { startAsking } from "./keep-alive-client.ts";
import { residentMb, rounded, type Spread, spread } from "./numbers.ts";
import { type Contender, round } from "./rounds.ts";

export interface FleetResult {
  readonly services: number;
  readonly instancesEach: number;
  readonly rounds: number;
  readonly join: Spread;
  readonly leave: Spread;
  readonly startSeconds: number;
  readonly residentMb: number;
  readonly reloads: number;
  readonly failed: number;
}

/** Change → traffic of one service beside a fleet of others, each reachable. */
export async function benchFleet(rounds: number, services: number, instancesEach: number): Promise<FleetResult> {
  const consul = await startConsul({ maxConnections: services + 500 });
  const everybody = createServer((_request, response) => response.end("fleet"));
  await new Promise<void>((resolve) => everybody.listen(0, "0.0.0.0", resolve));
  await registerFleet(consul, services, instancesEach, (everybody.address() as AddressInfo).port);
  const home = await sluiceHome(consul.address, { services: { expose: "all" } });
  const [a, b] = [await startWebInstance("web-1"), await startWebInstance("web-2")];
  await consul.register(registration("web", a));
  const begun = performance.now();
  const sluice = runBuiltSluice(home);
  const client = startAsking(home.httpPort, "web.service.local");
  try {
    await eventually("sluice serves", () => client.lastAnswerOf("web-1") > 0, 60_000);
    const startSeconds = rounded((performance.now() - begun) / 1_000);
    await sluice.logged((line) => line.event === "reloaded", 30_000);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    client.failures.length = 0;
    const contender: Contender = {
      name: "sluice",
      service: "web",
      client,
      instance: b,
      tags: ["haproxy.enable=true"],
      joins: [],
      leaves: [],
    };
    for (let count = -2; count < rounds; count += 1) {
      await round(consul, contender);
      if (count < 0) {
        contender.joins.length = 0;
        contender.leaves.length = 0;
      }
    }
    return {
      services,
      instancesEach,
      rounds,
      join: spread(contender.joins),
      leave: spread(contender.leaves),
      startSeconds,
      residentMb: await residentMb(sluice.pid),
      reloads: sluice.lines().filter((line) => line.event === "reloaded").length - 1,
      failed: client.failures.length,
    };
  } finally {
    await client.stop();
    await sluice.end();
    await consul.stop();
    await home.remove();
    everybody.closeAllConnections();
    everybody.close();
    await Promise.all([a.stop(), b.stop()]);
  }
}

/** Puts the fleet into the catalog in transactions of at most 128 operations; every instance is an address of loopback. */
export async function registerFleet(
  consul: ConsulAgent,
  services: number,
  instancesEach: number,
  port: number,
): Promise<void> {
  const nodes = [...Array(instancesEach).keys()].map((index) => ({
    Node: `fleet-${index}`,
    Address: `127.0.1.${index + 1}`,
  }));
  await consul.put(
    "/v1/txn",
    nodes.map((node) => ({ Node: { Verb: "set", Node: node } })),
  );
  const operations = [...Array(services).keys()].flatMap((service) =>
    nodes.map(({ Node, Address }) => ({
      Service: {
        Verb: "set",
        Node,
        Service: {
          ID: `s${service}-${Node}`,
          Service: `service-${String(service).padStart(4, "0")}`,
          Address,
          Port: port,
          Tags: ["haproxy.enable=true"],
        },
      },
    })),
  );
  for (let at = 0; at < operations.length; at += 120) await consul.put("/v1/txn", operations.slice(at, at + 120));
}
