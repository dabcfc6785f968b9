import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ConsulCatalog } from "../../../src/catalog/catalog.ts";
import { serviceKeyString } from "../../../src/catalog/service-key.ts";
import type { CatalogService, Snapshot } from "../../../src/catalog/types.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";
import { systemClock } from "../../../src/support/clock.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { catalogSettings } from "../../support/catalog-settings.ts";
import { eventually } from "../../support/eventually.ts";
import { healthEntry } from "../../support/fake-consul.ts";
import { type ModelConsul, startModelConsul } from "../../support/model-consul.ts";

const members = "/v1/agent/members";
const servers = "/v1/health/service/consul";
const leader = "/v1/status/leader";
const health = (name: string) => `/v1/health/service/${name}`;

let consul: ModelConsul;
let catalog: ConsulCatalog;
let end: AbortController;
let running: Promise<void>;
let snapshots: Snapshot[];

beforeEach(async () => {
  consul = await startModelConsul();
  consul.override(servers, () => ({ index: 5, body: [healthEntry("consul", "consul", { node: "s1" })] }));
  end = new AbortController();
  running = Promise.resolve();
  snapshots = [];
});

afterEach(async () => {
  end.abort();
  await running;
  await consul.stop();
});

async function start(): Promise<void> {
  const settings = { ...settingsSchema.parse({}).consul, address: consul.address };
  catalog = new ConsulCatalog({ settings, services: catalogSettings(), clock: systemClock, logger: silentLogger });
  catalog.subscribe((snapshot) => snapshots.push(snapshot));
  running = catalog.run(end.signal);
  await eventually(() => catalog.latest() !== undefined);
  await eventually(() => consul.fake.asked(servers).length > 0);
}

const key = (name: string) => serviceKeyString({ datacenter: "dc1", name });
const service = (name: string): CatalogService | undefined => catalog.latest()?.services.get(key(name));
const ids = (name: string) => service(name)?.instances.map(({ id }) => id);

describe("reread", () => {
  test("brings back what the streaming view lost", async () => {
    const all = [healthEntry("a", "a1"), healthEntry("a", "a2"), healthEntry("a", "a3")];
    consul.set("a", all);
    await start();
    consul.override(health("a"), ({ query }) => {
      if (query["near"] !== undefined) return { index: 99, body: all };
      return Number(query["index"] ?? 0) < 98 ? { index: 98, body: all.slice(0, 1) } : undefined;
    });
    await eventually(() => ids("a")?.length === 1);
    catalog.reread([key("a")]);
    await eventually(() => ids("a")?.length === 3);
    expect(service("a")?.freshness.stale).toBe(false);
  });

  test("asks once while it is asked, for services that are watched", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    await start();
    consul.override(health("a"), () => undefined);
    for (let count = 0; count < 5; count += 1) catalog.reread([key("a"), key("nobody")]);
    const plain = () =>
      consul.fake.requests.filter(({ path, query }) => query["near"] !== undefined && path !== servers);
    await eventually(() => plain().length > 0);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(plain().map(({ path }) => path)).toEqual([health("a")]);
    expect(consul.fake.asked(members)).toHaveLength(1);
  });

  test("that fails leaves all as it was", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    await start();
    const before = catalog.latest();
    consul.override(health("a"), ({ query }) => (query["near"] === undefined ? undefined : { status: 500, body: "" }));
    catalog.reread([key("a")]);
    await eventually(() => consul.fake.asked(health("a")).some(({ query }) => query["near"] !== undefined));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(catalog.latest()).toBe(before);
  });

  test("is nothing before the start and after the end", async () => {
    await start();
    end.abort();
    await running;
    const before = consul.fake.requests.length;
    catalog.reread([key("a")]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(consul.fake.requests.length).toBe(before);
  });
});

describe("nodes that left in good order", () => {
  const people = [
    { Name: "alive", Status: 1, Tags: { dc: "dc1" } },
    { Name: "leaving", Status: 2, Tags: { dc: "dc1" } },
    { Name: "left", Status: 3, Tags: { dc: "dc1" } },
    { Name: "failed", Status: 4, Tags: { dc: "dc1" } },
    { Name: "elsewhere", Status: 3, Tags: { dc: "dc2" } },
    { Name: "untold", Status: 3 },
  ];

  test("are known with the snapshot in which a service is empty, and are not asked for before", async () => {
    consul.override(members, () => ({ body: people }));
    consul.set("a", [healthEntry("a", "a1", { node: "left" })]);
    await start();
    consul.set("a", [healthEntry("a", "a1", { node: "left" }), healthEntry("a", "a2")]);
    await eventually(() => ids("a")?.length === 2);
    consul.set("a", [healthEntry("a", "a1", { node: "left" })]);
    await eventually(() => ids("a")?.length === 1);
    expect(consul.fake.asked(members)).toEqual([]);
    expect(catalog.latest()?.departed).toEqual(new Set());
    consul.set("a", []);
    await eventually(() => ids("a")?.length === 0);
    const empty = snapshots.find((snapshot) => snapshot.services.get(key("a"))?.instances.length === 0);
    expect(empty?.departed).toEqual(new Set(["leaving", "left", "untold"]));
  });

  test("are asked for once where many services fall to zero together", async () => {
    const names = Array.from({ length: 20 }, (_name, index) => `s${index}`);
    for (const name of names) consul.set(name, [healthEntry(name, name)]);
    await start();
    for (const name of names) consul.set(name, []);
    await eventually(() => names.every((name) => ids(name)?.length === 0));
    expect(consul.fake.asked(members).length).toBeLessThanOrEqual(2);
    // The first look at our own servers was made at the start.
    expect(consul.fake.asked(servers).length).toBeLessThanOrEqual(4);
  });

  test("are published after a reread that found somebody gone", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    await start();
    consul.override(members, () => ({ body: people }));
    catalog.reread([key("a")]);
    await eventually(() => catalog.latest()?.departed.has("left") === true);
  });

  test.each([
    ["refused", { status: 403, body: "" }],
    ["of another shape", { body: { no: "list" } }],
  ])("are unknown where the answer is %s, and the empty service comes all the same", async (_what, answer) => {
    consul.override(members, () => answer);
    consul.set("a", [healthEntry("a", "a1")]);
    await start();
    consul.set("a", []);
    await eventually(() => ids("a")?.length === 0);
    expect(catalog.latest()?.departed).toEqual(new Set());
  });
});

describe("a token that has gone blind", () => {
  test("takes no service away: Consul's own servers are not to be seen any more either", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    await start();
    // The first look is shared for a second.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    consul.override(servers, () => ({ index: 6, body: [] }));
    consul.set("a", []);
    await eventually(() => service("a")?.freshness.stale === true);
    expect(ids("a")).toEqual(["a1"]);
    expect(service("a")?.freshness.reason).toMatch(/own servers/);
  });

  test("that never saw them is believed", async () => {
    consul.override(servers, () => ({ index: 6, body: [] }));
    consul.set("a", [healthEntry("a", "a1")]);
    await start();
    consul.set("a", []);
    await eventually(() => ids("a")?.length === 0);
  });

  test("that cannot be told is waited for", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    await start();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    consul.override(servers, () => ({ status: 500, body: "" }));
    consul.set("a", []);
    await eventually(() => service("a")?.freshness.stale === true);
    expect(ids("a")).toEqual(["a1"]);
    consul.override(servers, () => ({ index: 5, body: [healthEntry("consul", "consul")] }));
    await eventually(() => ids("a")?.length === 0);
  });

  test("and sees no service at all at the start keeps the first snapshot waiting", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    consul.override("/v1/catalog/services", ({ query }) =>
      query["index"] === undefined ? { index: 9, body: {} } : undefined,
    );
    const settings = { ...settingsSchema.parse({}).consul, address: consul.address };
    catalog = new ConsulCatalog({
      settings,
      services: catalogSettings({ expose: "all" }),
      clock: systemClock,
      logger: silentLogger,
    });
    running = catalog.run(end.signal);
    await eventually(() => (catalog.status().watches[0]?.errors ?? 0) >= 2);
    expect(catalog.latest()).toBeUndefined();
    expect(catalog.status().watches[0]?.reason).toMatch(/not even itself.*consul\.token/);
    consul.override("/v1/catalog/services", undefined);
    await eventually(() => ids("a")?.length === 1);
  });
});

test("a catalog that was restored is read anew, though the views of its services hold their questions", async () => {
  consul.set("a", [healthEntry("a", "a1"), healthEntry("a", "a2")]);
  await start();
  await eventually(() => consul.fake.asked(health("a")).some(({ query }) => query["index"] !== undefined));
  // The old index is beyond all that the restored catalog has: who waits for more than that waits on.
  const restored = [healthEntry("a", "a1"), healthEntry("a", "a3")];
  consul.override(health("a"), ({ query }) =>
    query["index"] === undefined ? { index: 4, body: restored } : undefined,
  );
  consul.override("/v1/catalog/services", ({ query }) =>
    query["filter"] === undefined && Number(query["index"] ?? 0) !== 4
      ? { index: 4, body: { consul: [], a: ["haproxy.enable=true"] } }
      : undefined,
  );
  await eventually(() => ids("a")?.join() === "a1,a2,a3");
  expect(service("a")?.freshness.reason).toMatch(/lost or restored/);
});

test("a view that is still made anew when it is asked is found out by a plain read soon after", async () => {
  const before = [healthEntry("a", "a1"), healthEntry("a", "a2")];
  consul.set("a", before);
  await start();
  await eventually(() => consul.fake.asked(health("a")).some(({ query }) => query["index"] !== undefined));
  const restored = [healthEntry("a", "a1"), healthEntry("a", "a3")];
  const oldIndex = Number(
    consul.fake.asked(health("a")).find(({ query }) => query["index"] !== undefined)?.query["index"],
  );
  // The view: what it had, under the old index, and nothing to whoever waits for more.
  consul.override(health("a"), ({ query }) => {
    if (query["near"] !== undefined) return { index: 4, body: restored };
    return query["index"] === undefined ? { index: oldIndex, body: before } : undefined;
  });
  consul.override("/v1/catalog/services", ({ query }) =>
    query["filter"] === undefined && Number(query["index"] ?? 0) !== 4
      ? { index: 4, body: { consul: [], a: ["haproxy.enable=true"] } }
      : undefined,
  );
  await eventually(() => consul.fake.asked(health("a")).some(({ query }) => query["near"] !== undefined));
  // From here on the view is the restored catalog's too.
  consul.override(health("a"), ({ query }) =>
    query["index"] === undefined ? { index: 4, body: restored } : undefined,
  );
  await eventually(() => ids("a")?.join() === "a1,a2,a3");
});

describe("a Consul that falls silent", () => {
  test("makes all stale with since when, and all is asked anew when it answers again", async () => {
    const names = Array.from({ length: 30 }, (_name, index) => `s${index}`);
    for (const name of names) consul.set(name, [healthEntry(name, name)]);
    await start();
    consul.override(leader, () => ({ body: '""' }));
    await eventually(() => catalog.status().outage !== undefined);
    await eventually(() => names.every((name) => service(name)?.freshness.stale === true));
    expect(service("s0")?.freshness.reason).toMatch(/Consul has had no leader since/);
    expect(catalog.status().watches.every(({ stale }) => stale)).toBe(true);
    expect(ids("s0")).toEqual(["s0"]);
    consul.override(leader, undefined);
    await eventually(() => names.every((name) => service(name)?.freshness.stale === false));
    expect(catalog.status().outage).toBeUndefined();
    // Each was read once without an index, and goes on from there.
    for (const name of names) {
      const unblocked = consul.fake.asked(health(name)).filter(({ query }) => query["index"] === undefined);
      expect(unblocked).toHaveLength(2);
    }
  });

  test("and answers one watch again: the others that were turned away do not wait on", async () => {
    const names = Array.from({ length: 10 }, (_name, index) => `s${index}`);
    for (const name of names) consul.set(name, [healthEntry(name, name)]);
    await start();
    const paths = ["/v1/catalog/services", ...names.map(health)];
    for (const path of paths) consul.override(path, () => ({ status: 403, body: "ACL not found" }));
    await eventually(() => catalog.status().watches.every(({ errors }) => errors >= 3), "three refusals each", 40_000);
    for (const path of paths) consul.override(path, undefined);
    const from = performance.now();
    await eventually(() => catalog.status().watches.every(({ stale }) => !stale));
    expect(performance.now() - from).toBeLessThan(1_500);
  }, 60_000);
});
