import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { ConsulCatalog } from "../../src/catalog/catalog.ts";
import { serviceKeyString } from "../../src/catalog/service-key.ts";
import type { Snapshot } from "../../src/catalog/types.ts";
import { settingsSchema } from "../../src/settings/schema.ts";
import { systemClock } from "../../src/support/clock.ts";
import { silentLogger } from "../../src/support/logger.ts";
import { catalogSettings } from "../support/catalog-settings.ts";
import { type ConsulAgent, startConsul } from "../support/consul-agent.ts";
import { eventually } from "../support/eventually.ts";

jest.setTimeout(90_000);

const key = serviceKeyString({ datacenter: "dc1", name: "web" });

let agents: ConsulAgent[];
let catalog: ConsulCatalog;
let snapshots: Snapshot[];
let end: AbortController;
let running: Promise<void>;

beforeEach(async () => {
  agents = [];
  snapshots = [];
  end = new AbortController();
  running = Promise.resolve();
});

afterEach(async () => {
  end.abort();
  await running;
  for (const agent of agents.reverse()) await agent.stop();
});

/** A server that is watched, and a node beside it with one instance of `web`, which is all there is of it. */
async function begin(): Promise<ConsulAgent> {
  const server = await startConsul();
  agents.push(server);
  const self = (await server.get("/v1/agent/self")) as { readonly DebugConfig: { readonly SerfPortLAN: number } };
  const far = await startConsul({ joins: { node: "far", serfPort: self.DebugConfig.SerfPortLAN } });
  agents.push(far);
  await far.register({
    Name: "web",
    ID: "w1",
    Address: "127.0.0.1",
    Port: 80,
    Tags: ["haproxy.enable=true"],
    Check: { TTL: "10m", Status: "passing" },
  });
  catalog = new ConsulCatalog({
    settings: { ...settingsSchema.parse({}).consul, address: server.address },
    services: catalogSettings(),
    clock: systemClock,
    logger: silentLogger,
  });
  catalog.subscribe((snapshot) => snapshots.push(snapshot));
  running = catalog.run(end.signal);
  await eventually(() => instances()?.[0]?.health === "passing", "web is passing", 60_000);
  return far;
}

const instances = (snapshot = catalog.latest()) => snapshot?.services.get(key)?.instances;

test("a node that leaves in good order is known to have left when its last instance is gone", async () => {
  const far = await begin();
  const [server] = agents;
  await far.put("/v1/agent/leave");
  // The leader takes it out of the catalog by itself, at once or with its next round, which may be a minute away.
  await server?.put("/v1/catalog/deregister", { Node: "far" });
  await eventually(() => instances() === undefined || instances()?.length === 0, "web is empty", 30_000);
  const first = snapshots.find((snapshot) => (instances(snapshot)?.length ?? 0) === 0 && snapshot.sequence > 1);
  expect([...(first?.departed ?? [])]).toEqual(["far"]);
});

test("a node that is killed has failed, and has not left", async () => {
  const far = await begin();
  process.kill(far.pid, "SIGKILL");
  await eventually(() => instances()?.[0]?.health === "critical", "its instance is critical", 60_000);
  expect(instances()?.[0]?.nodeCritical).toBe(true);
  catalog.reread([key]);
  const answers = () => catalog.status().watches.find(({ name }) => name === "web")?.answers ?? 0;
  const before = answers();
  await eventually(() => answers() > before, "it has been read anew");
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(catalog.latest()?.departed).toEqual(new Set());
  expect(instances()?.map(({ id }) => id)).toEqual(["w1"]);
});
