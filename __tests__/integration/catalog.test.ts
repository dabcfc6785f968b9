import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { ConsulCatalog } from "../../src/catalog/catalog.ts";
import { readSnapshotOnce } from "../../src/catalog/read-once.ts";
import type { Expose } from "../../src/catalog/selection.ts";
import { serviceKeyString } from "../../src/catalog/service-key.ts";
import type { CatalogService } from "../../src/catalog/types.ts";
import { type Settings, settingsSchema } from "../../src/settings/schema.ts";
import { systemClock } from "../../src/support/clock.ts";
import { silentLogger } from "../../src/support/logger.ts";
import { catalogSettings } from "../support/catalog-settings.ts";
import { type ConsulAgent, type ConsulOptions, startConsul } from "../support/consul-agent.ts";
import { eventually } from "../support/eventually.ts";

// Starting an agent takes a second at most on a machine that is not busy.
jest.setTimeout(90_000);

let agents: ConsulAgent[];
let catalog: ConsulCatalog;
let end: AbortController;
let running: Promise<void>;

beforeEach(() => {
  agents = [];
  end = new AbortController();
  running = Promise.resolve();
});

afterEach(async () => {
  end.abort();
  await running;
  for (const agent of agents) await agent.stop();
});

async function agent(options?: ConsulOptions): Promise<ConsulAgent> {
  const started = await startConsul(options);
  agents.push(started);
  return started;
}

function settingsFor(consul: ConsulAgent, more: Partial<Settings["consul"]> = {}): Settings["consul"] {
  return { ...settingsSchema.parse({}).consul, address: consul.address, ...more };
}

async function watch(
  consul: ConsulAgent,
  expose: Expose = "tagged",
  more: Partial<Settings["consul"]> = {},
): Promise<void> {
  catalog = new ConsulCatalog({
    settings: settingsFor(consul, more),
    services: catalogSettings({ expose }),
    clock: systemClock,
    logger: silentLogger,
  });
  running = catalog.run(end.signal);
  await eventually(() => catalog.latest() !== undefined, "the first snapshot");
}

function service(name: string): CatalogService | undefined {
  return catalog.latest()?.services.get(serviceKeyString({ datacenter: "dc1", name }));
}

/** `id=health` of each instance; undefined where the service is not in the snapshot. */
function state(name: string): string | undefined {
  return service(name)
    ?.instances.map(({ id, health }) => `${id}=${health}`)
    .join();
}

async function becomes(name: string, expected: string | undefined): Promise<void> {
  await eventually(() => state(name) === expected, `${name} is ${expected}`, 30_000);
}

const tags = ["haproxy.enable=true"];
const check = (id: string) => ({ CheckID: id, TTL: "10m", Status: "passing" });

test("instances join, change, fall ill, are maintained and leave", async () => {
  const consul = await agent();
  await watch(consul);
  await consul.register({
    Name: "web",
    ID: "w1",
    Address: "10.0.0.1",
    Port: 8080,
    Tags: [...tags, "a"],
    Meta: { v: "1" },
    Weights: { Passing: 10, Warning: 2 },
    Check: check("w1-ttl"),
  });
  await becomes("web", "w1=passing");
  expect(service("web")?.instances[0]).toMatchObject({
    address: "10.0.0.1",
    port: 8080,
    tags: ["a", "haproxy.enable=true"],
    meta: { v: "1" },
    weights: { passing: 10, warning: 2 },
  });
  await consul.register({ Name: "web", ID: "w2", Port: 8081, Tags: tags });
  await becomes("web", "w1=passing,w2=passing");
  const [first, second] = service("web")?.instances ?? [];
  expect(second).toMatchObject({ address: "127.0.0.1", nodeHealthOnly: true });

  await consul.put("/v1/agent/check/warn/w1-ttl");
  await becomes("web", "w1=warning,w2=passing");
  await consul.put("/v1/agent/check/fail/w1-ttl");
  await becomes("web", "w1=critical,w2=passing");
  await consul.put("/v1/agent/service/maintenance/w1?enable=true");
  await becomes("web", "w1=maintenance,w2=passing");
  await consul.put("/v1/agent/service/maintenance/w1?enable=false");
  await consul.put("/v1/agent/check/pass/w1-ttl");
  await becomes("web", "w1=passing,w2=passing");
  expect(service("web")?.instances[1]).toBe(second);
  expect(service("web")?.instances[0]).toEqual(first);

  await consul.put("/v1/agent/maintenance?enable=true");
  await becomes("web", "w1=maintenance,w2=maintenance");
  await consul.put("/v1/agent/maintenance?enable=false");
  await becomes("web", "w1=passing,w2=passing");

  await consul.deregister("w2");
  await becomes("web", "w1=passing");
  await consul.deregister("w1");
  await becomes("web", undefined);
  await eventually(() => !catalog.status().watches.some(({ name }) => name === "web"));
});

test("a service is selected by its meta, and no more when that goes", async () => {
  const consul = await agent();
  await watch(consul);
  await consul.register({ Name: "plain", Port: 80 });
  await consul.register({ Name: "bymeta", Port: 80, Meta: { haproxy_host: "x" } });
  await becomes("bymeta", "bymeta=passing");
  expect(catalog.latest()?.unselected).toEqual(new Set(["dc1////consul", "dc1////plain"]));
  await consul.register({ Name: "bymeta", Port: 80 });
  await becomes("bymeta", undefined);
  expect(catalog.latest()?.unselected.has("dc1////bymeta")).toBe(true);
});

test("a port that no number of ours can carry costs its instance only", async () => {
  const consul = await agent();
  await consul.register({ Name: "web", ID: "w1", Port: 80, Tags: tags });
  // Not through JSON.stringify, which would round it.
  const body = `{"Name":"web","ID":"w2","Port":9223372036854775807,"Tags":["haproxy.enable=true"]}`;
  const response = await fetch(`${consul.address}/v1/agent/service/register`, { method: "PUT", body });
  expect(response.status).toBe(200);
  await watch(consul);
  expect(state("web")).toBe("w1=passing,w2=passing");
  expect(service("web")?.instances[1]?.port).toBe(2 ** 63);
  await consul.register({ Name: "web", ID: "w3", Port: 81, Tags: tags });
  await becomes("web", "w1=passing,w2=passing,w3=passing");
});

test("hostile names cost themselves only, and twins by case stay apart", async () => {
  const consul = await agent();
  const odd = [
    "..",
    ".",
    "a/b",
    "a//b",
    "x\ny",
    "x\u0000y",
    "q\"'#;%41 \u00e9",
    "\u202eltr",
    "y".repeat(300),
    "__proto__",
  ];
  for (const [index, name] of odd.entries())
    await consul.register({ Name: name, ID: `odd-${index}`, Port: 80, Tags: tags });
  await consul.register({ Name: "web", ID: "lower", Port: 80, Tags: tags });
  await consul.register({ Name: "Web", ID: "upper", Port: 81, Tags: tags });
  await watch(consul);
  expect(state("web")).toBe("lower=passing");
  expect(state("Web")).toBe("upper=passing");
  expect(state("..")).toBe("odd-0=passing");
  expect(state("a/b")).toBe("odd-2=passing");
  expect(state("a//b")).toBe("odd-3=passing");
  expect(service("x\ny")).toMatchObject({ instances: [], freshness: { stale: true } });
  expect(service("x\u0000y")).toMatchObject({ instances: [], freshness: { stale: true } });
  expect(state("q\"'#;%41 \u00e9")).toBe("odd-6=passing");

  const once = await readSnapshotOnce(settingsFor(consul), catalogSettings(), end.signal);
  const shape = (services: Iterable<CatalogService>) =>
    [...services].map(({ key, instances }) => `${key.name}:${instances.map(({ id }) => id)}`).sort();
  expect(shape(once.services.values())).toEqual(shape(catalog.latest()?.services.values() ?? []));

  await consul.register({ Name: "web", ID: "lower-2", Port: 82, Tags: tags });
  await becomes("web", "lower=passing,lower-2=passing");
  await consul.deregister("odd-4");
  await becomes("x\ny", undefined);
});

describe("an agent that restarts", () => {
  test("and comes back empty takes nothing away, and what is registered again is fresh", async () => {
    const consul = await agent();
    // So many changes that the indexes of the second agent stay below.
    for (let count = 0; count < 20; count += 1) await consul.put(`/v1/kv/k${count}`, count);
    await consul.register({ Name: "web", ID: "w1", Address: "10.0.0.1", Port: 80, Tags: tags });
    await consul.register({ Name: "app", ID: "a1", Address: "10.0.0.2", Port: 80, Tags: tags });
    await watch(consul);
    const before = service("web");
    await consul.stop();
    await eventually(() => service("web")?.freshness.stale === true && service("app")?.freshness.stale === true);
    expect(service("web")?.instances).toBe(before?.instances);

    const second = await agent({ httpPort: consul.httpPort });
    await eventually(() => service("web")?.freshness.reason?.includes("lost or restored") === true, "web is held");
    expect(state("web")).toBe("w1=passing");
    await second.register({ Name: "web", ID: "w1", Address: "10.0.0.1", Port: 80, Tags: tags });
    await second.register({ Name: "app", ID: "a9", Address: "10.0.0.9", Port: 80, Tags: tags });
    // What is new joins at once; what is not registered again yet stays beside it for a while.
    await eventually(() => service("app")?.instances.some(({ id }) => id === "a9") === true, "a9 joins");
    expect(
      service("app")
        ?.instances.map(({ id }) => id)
        .sort(),
    ).toEqual(["a1", "a9"]);
    expect(service("app")?.freshness.reason).toMatch(/may fill again/);
    await eventually(() => service("web")?.freshness.stale === false, "web is fresh");
    expect(state("web")).toBe("w1=passing");
    expect(catalog.status().waitingFor).toEqual([]);
  });

  test("and frozen is given up, and heard again when it thaws", async () => {
    const consul = await agent();
    await consul.register({ Name: "web", ID: "w1", Port: 80, Tags: tags });
    // Long before the deadline of a blocking query, which is 1.13 times the wait and ten seconds.
    await watch(consul);
    process.kill(consul.pid, "SIGSTOP");
    try {
      await eventually(() => service("web")?.freshness.stale === true, "web is stale", 15_000);
      expect(state("web")).toBe("w1=passing");
    } finally {
      process.kill(consul.pid, "SIGCONT");
    }
    await eventually(() => service("web")?.freshness.stale === false, "web is fresh", 15_000);
  });
});

test("150 watches are fresh soon after an agent thaws that has few connections left and no streaming", async () => {
  // Without streaming, an agent keeps a connection that was given up until the wait of its question is over.
  const streaming = ["-hcl", "use_streaming_backend = false"];
  const consul = await agent({ maxConnections: 200, extraArgs: streaming });
  for (let index = 0; index < 150; index += 1) await consul.register({ Name: `s${index}`, Port: 80, Tags: tags });
  await watch(consul);
  const stale = () => catalog.status().watches.filter((status) => status.stale).length;
  process.kill(consul.pid, "SIGSTOP");
  try {
    await eventually(() => stale() === 152, "all are stale", 15_000);
    expect(catalog.status().outage?.reason).toMatch(/has not answered since/);
  } finally {
    process.kill(consul.pid, "SIGCONT");
  }
  await eventually(() => stale() === 0, "all are fresh", 10_000);
  expect(catalog.status().watches.every(({ errors }) => errors === 0)).toBe(true);
});

test("the agent's limit of connections is kept", async () => {
  const consul = await agent({ maxConnections: 60 });
  const names = Array.from({ length: 50 }, (_name, index) => `s${String(index).padStart(2, "0")}`);
  for (const name of names) await consul.register({ Name: name, Port: 80, Tags: tags });
  await watch(consul);
  expect(catalog.status()).toMatchObject({ budget: 40, beyondBudget: names.slice(38) });
  expect(catalog.latest()?.services.size).toBe(38);
  expect(catalog.latest()?.unwatched).toEqual(new Set(names.slice(38).map((name) => `dc1////${name}`)));
  // There is room beside us, and none of our watches was turned away.
  expect(await consul.get("/v1/status/leader")).not.toBe("");
  expect(catalog.status().watches.every(({ errors }) => errors === 0)).toBe(true);
});

test("quiet watches ask with the index they have, again and again, and nothing changes", async () => {
  const consul = await agent();
  await consul.register({ Name: "web", ID: "w1", Port: 80, Tags: tags });
  await watch(consul, "tagged", { wait: 1_000 });
  const first = catalog.latest();
  const answers = () => catalog.status().watches.map((status) => status.answers);
  await eventually(() => answers().every((count) => count >= 4), "four answers each");
  expect(catalog.latest()).toBe(first);
  expect(catalog.status().watches.every(({ errors, stale }) => errors === 0 && !stale)).toBe(true);
});

describe("with ACLs", () => {
  const management = "00000000-0000-4000-8000-00000000000a";
  const acl = `acl { enabled = true default_policy = "deny" tokens { initial_management = "${management}" agent = "${management}" } }`;
  const full = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }';

  test("a token that loses its rights, or is deleted, takes no instance away", async () => {
    const consul = await agent({ extraArgs: ["-hcl", acl], token: management });
    await consul.register({ Name: "web", ID: "w1", Address: "10.0.0.1", Port: 80, Tags: tags });
    const policy = (await consul.put("/v1/acl/policy", { Name: "watcher", Rules: full })) as { ID: string };
    const token = (await consul.put("/v1/acl/token", { Policies: [{ Name: "watcher" }] })) as {
      AccessorID: string;
      SecretID: string;
    };
    await watch(consul, "tagged", { token: token.SecretID, wait: 1_000 });
    await becomes("web", "w1=passing");
    expect(catalog.status().budget).toBe(180);

    await consul.put(`/v1/acl/policy/${policy.ID}`, {
      Name: "watcher",
      Rules: 'service_prefix "" { policy = "read" }',
    });
    await eventually(() => service("web")?.freshness.stale === true, "web is stale", 60_000);
    // Changes go on, and what the token may not see is still no proof that it is gone.
    const listIndex = () => catalog.status().watches[0]?.index;
    const seen = listIndex();
    await consul.register({ Name: "web", ID: "w2", Address: "10.0.0.2", Port: 80, Tags: tags });
    await eventually(() => listIndex() !== seen, "the list has moved on");
    expect(state("web")).toBe("w1=passing");
    expect(service("web")?.freshness.stale).toBe(true);
    await consul.put(`/v1/acl/policy/${policy.ID}`, { Name: "watcher", Rules: full });
    await becomes("web", "w1=passing,w2=passing");
    await eventually(() => service("web")?.freshness.stale === false, "web is fresh", 60_000);

    await consul.fetch("DELETE", `/v1/acl/token/${token.AccessorID}`);
    await eventually(() => service("web")?.freshness.reason?.includes("403") === true, "web is stale", 60_000);
    expect(state("web")).toBe("w1=passing,w2=passing");
  });
});
