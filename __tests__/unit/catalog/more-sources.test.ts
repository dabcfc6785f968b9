import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { ConsulCatalog } from "../../../src/catalog/catalog.ts";
import type { CatalogSettings } from "../../../src/catalog/selection.ts";
import { serviceKeyString } from "../../../src/catalog/service-key.ts";
import type { CatalogService, Instance } from "../../../src/catalog/types.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";
import { systemClock } from "../../../src/support/clock.ts";
import type { Logger } from "../../../src/support/logger.ts";
import { catalogSettings } from "../../support/catalog-settings.ts";
import { eventually } from "../../support/eventually.ts";
import { healthEntry } from "../../support/fake-consul.ts";
import { type ModelConsul, startModelConsul } from "../../support/model-consul.ts";

jest.setTimeout(60_000);

const kv = "/v1/kv/sluice/services/";
let consul: ModelConsul;
let catalog: ConsulCatalog;
let end: AbortController;
let running: Promise<void>;
let warned: string[];

beforeEach(async () => {
  consul = await startModelConsul();
  end = new AbortController();
  running = Promise.resolve();
  warned = [];
});

afterEach(async () => {
  end.abort();
  await running;
  await consul.stop();
});

function start(more: Partial<CatalogSettings> = {}, remembered: readonly CatalogService[] = [], connections?: number) {
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (fields, message) => {
      warned.push(`${message} ${JSON.stringify(fields)}`);
    },
    error: () => undefined,
    child: () => logger,
  };
  const settings = { ...settingsSchema.parse({}).consul, address: consul.address, ...(connections && { connections }) };
  const services = catalogSettings({ overrides: "sluice/services", ...more });
  catalog = new ConsulCatalog({ settings, services, remembered, clock: systemClock, logger });
  running = catalog.run(end.signal);
}

const ready = () => eventually(() => catalog.latest() !== undefined, "the first snapshot");
const key = (name: string) => serviceKeyString({ datacenter: "dc1", name });
const service = (name: string) => catalog.latest()?.services.get(key(name));
const ids = (instances: readonly Instance[] | undefined) => instances?.map(({ node, id }) => `${node}/${id}`);
const override = (name: string) => catalog.latest()?.overrides?.get(name);

describe("overrides", () => {
  test("come with the first snapshot, change with what is written, and go with it", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.write("sluice/services/web", "timeout.server: 5s");
    consul.write("sluice/services/", "");
    consul.write("sluice/services-of-others/web", "mode: tcp");
    start();
    await ready();
    expect([...(catalog.latest()?.overrides ?? [])].map(([name]) => name)).toEqual(["web"]);
    expect(override("web")).toEqual({ options: { "timeout.server": 5_000 }, problems: [], text: "timeout.server: 5s" });
    const before = override("web");
    consul.write("sluice/services/api", "mode: tcp");
    await eventually(() => override("api") !== undefined);
    // What did not change keeps its object.
    expect(override("web")).toBe(before);
    consul.write("sluice/services/web", "timeout: {server: 7s}");
    await eventually(() => override("web")?.options["timeout.server"] === 7_000);
    consul.write("sluice/services/web", undefined);
    await eventually(() => override("web") === undefined);
    consul.write("sluice/services/api", undefined);
    await eventually(() => catalog.latest()?.overrides?.size === 0);
    expect(catalog.status().overrides).toEqual({ known: 0 });
  });

  test("keep the first snapshot waiting until they are known, or cannot be had", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    let answer = false;
    consul.override(kv, () => (answer ? { status: 403, body: "Permission denied" } : undefined));
    start();
    await eventually(() => catalog.status().waitingFor.join() === "kv/sluice/services");
    expect(catalog.latest()).toBeUndefined();
    answer = true;
    consul.fake.reconsider();
    await ready();
    expect(catalog.latest()?.overrides).toBeUndefined();
    expect(catalog.status().overrides).toEqual({ known: 0, reason: expect.stringContaining("403") });
    expect(catalog.status().watches.every(({ stale }) => !stale)).toBe(true);
  });

  test("are none in a store that nothing was ever written to, and are seen when they are", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    // Measured on 1.19.2: 404 with the index 1, which a query with index=1 waits on.
    consul.override(kv, ({ query }) => (query["index"] === "1" ? undefined : { status: 404, index: 1, body: "" }));
    start();
    await ready();
    expect(catalog.status().overrides).toEqual({ known: 0 });
    expect(warned).toEqual([]);
    await eventually(() => consul.fake.asked(kv).at(-1)?.query["index"] === "1");
    consul.write("sluice/services/web", "mode: tcp");
    consul.override(kv, undefined);
    await eventually(() => override("web")?.options.mode === "tcp");
  });

  test("that ACLs hide are not gone: those of before stay, and it is said once", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.write("sluice/services/web", "mode: tcp");
    start();
    await ready();
    const before = catalog.latest()?.overrides;
    const headers = { "x-consul-results-filtered-by-acls": "true" };
    consul.override(kv, () => ({ status: 404, index: 50, body: "", headers }));
    await eventually(() => catalog.status().overrides.reason !== undefined);
    expect(catalog.status().overrides).toEqual({ known: 1, reason: expect.stringContaining("key_prefix read") });
    expect(catalog.latest()?.overrides).toBe(before);
    await eventually(() => consul.fake.asked(kv).length > 3);
    expect(warned.filter((line) => line.includes("key_prefix"))).toHaveLength(1);
    consul.override(kv, undefined);
    consul.write("sluice/services/web", "mode: http");
    await eventually(() => override("web")?.options.mode === "http", "they are read again", 15_000);
    expect(catalog.status().overrides).toEqual({ known: 1 });
  });

  test("one that cannot be read says so, and the others go on", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.write("sluice/services/web", "host: [a");
    consul.write("sluice/services/api", "mode: tcp\nnonsense: 1");
    start();
    await ready();
    expect(override("web")).toMatchObject({ options: {}, unreadable: true, problems: [expect.any(String)] });
    expect(override("api")).toMatchObject({
      options: { mode: "tcp" },
      problems: [expect.stringContaining("nonsense")],
    });
  });

  test("expose an untagged service, which is then watched", async () => {
    consul.set("plain", [healthEntry("plain", "p1", { tags: ["x"] })], { tags: ["x"] });
    start();
    await ready();
    expect(service("plain")).toBeUndefined();
    consul.write("sluice/services/plain", "enable: true");
    await eventually(() => service("plain")?.instances.length === 1);
    consul.write("sluice/services/plain", undefined);
    await eventually(() => service("plain") === undefined);
    expect(catalog.latest()?.unselected.has(key("plain"))).toBe(true);
    // Nothing is made of a name that no service has.
    consul.write("sluice/services/ghost", "enable: true");
    await eventually(() => override("ghost") !== undefined);
    expect(service("ghost")).toBeUndefined();
    expect(consul.fake.asked("/v1/health/service/ghost")).toHaveLength(0);
  });

  test("can be looked for elsewhere, or nowhere, while it runs", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.write("sluice/services/web", "mode: tcp");
    consul.write("edge/web", "retries: 2");
    start();
    await ready();
    catalog.setServices(catalogSettings({ overrides: "/edge/" }));
    await eventually(() => override("web")?.options.retries === 2);
    catalog.setServices(catalogSettings({ overrides: "off" }));
    await eventually(() => catalog.latest()?.overrides?.size === 0);
  });
});

describe("failover", () => {
  const there = () => ids(service("web")?.elsewhere);

  test("brings the instances of another datacenter beside those of here", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.set("api", [healthEntry("api", "a1")]);
    consul.setIn("dc2", "web", [healthEntry("web", "w1"), healthEntry("web", "w2", { node: "n2" })]);
    start({ options: { web: { options: { failover: ["dc2"] }, routes: {} } } });
    await ready();
    await eventually(() => there()?.length === 2);
    expect(there()).toEqual(["n1.dc2/w1", "n2.dc2/w2"]);
    expect(service("web")?.elsewhere?.[0]?.service).toEqual({ datacenter: "dc2", name: "web" });
    expect(service("web")?.unansweredElsewhere).toBeUndefined();
    expect(ids(service("web")?.instances)).toEqual(["n1/w1"]);
    // Nobody asked for the other one.
    expect(service("api")?.elsewhere).toBeUndefined();
    expect(consul.fake.asked("/v1/health/service/api").some(({ query }) => query["dc"] !== undefined)).toBe(false);
    consul.setIn("dc2", "web", [healthEntry("web", "w2", { node: "n2" })]);
    await eventually(() => there()?.join() === "n2.dc2/w2");
    expect(catalog.status().datacenters).toEqual([{ datacenter: "dc2", services: 1 }]);
  });

  test.each([
    ["a tag", { tags: ["haproxy.failover=dc2"] }],
    ["meta", { meta: { haproxy_failover: "dc2" } }],
  ])("is asked for by %s, and ends with it", async (_what, facts) => {
    consul.set("web", [healthEntry("web", "w1", facts)]);
    consul.setIn("dc2", "web", [healthEntry("web", "x")]);
    start();
    await ready();
    await eventually(() => there()?.join() === "n1.dc2/x");
    consul.set("web", [healthEntry("web", "w1")]);
    await eventually(() => service("web")?.elsewhere === undefined);
    expect(catalog.status().datacenters).toEqual([]);
  });

  test("goes on where the last instance here is gone from the catalog, until none is left elsewhere", async () => {
    consul.set("web", [healthEntry("web", "w1", { tags: ["haproxy.failover=dc2"] })]);
    consul.setIn("dc2", "web", [healthEntry("web", "x")]);
    start();
    await eventually(() => there()?.join() === "n1.dc2/x");
    consul.remove("web");
    await eventually(() => service("web")?.instances.length === 0);
    consul.setIn("dc2", "web", [healthEntry("web", "x"), healthEntry("web", "y")]);
    await eventually(() => there()?.length === 2);
    consul.setIn("dc2", "web", []);
    await eventually(() => service("web") === undefined);
  });

  test("is looked for again after a restart, by what was said before", async () => {
    consul.setIn("dc2", "web", [healthEntry("web", "x")]);
    const spoke = [{ node: "n1", id: "w1", tags: ["haproxy.failover=dc2"], meta: {} }];
    const freshness = { asOf: 0, stale: false };
    start({}, [{ key: { datacenter: "dc1", name: "web" }, instances: [], freshness, spoke }]);
    await eventually(() => there()?.join() === "n1.dc2/x");
  });

  test("an override alone brings a service that is here not at all", async () => {
    consul.setIn("dc2", "web", [healthEntry("web", "x")]);
    consul.write("sluice/services/web", "enable: true\nfailover: dc2");
    start();
    await eventually(() => there()?.join() === "n1.dc2/x");
    expect(service("web")?.instances).toEqual([]);
    consul.write("sluice/services/web", undefined);
    await eventually(() => service("web") === undefined);
  });

  test("a datacenter without a path is said once, and costs nothing but the failover", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.set("api", [healthEntry("api", "a1")]);
    start({ failover: "nowhere" });
    await ready();
    expect(service("web")).toMatchObject({ elsewhere: [], unansweredElsewhere: ["nowhere"] });
    await eventually(() => catalog.status().datacenters[0]?.reason !== undefined);
    expect(catalog.status().datacenters).toEqual([
      { datacenter: "nowhere", services: 2, reason: expect.stringContaining("No path to datacenter") },
    ]);
    expect(warned.filter((line) => line.includes("nowhere"))).toHaveLength(1);
    consul.set("web", [healthEntry("web", "w2")]);
    await eventually(() => ids(service("web")?.instances)?.join() === "n1/w2");
  });

  test("one that dies keeps what it said last, and is fresh again when it returns", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.setIn("dc2", "web", [healthEntry("web", "x")]);
    start({ failover: "dc2" });
    await eventually(() => there()?.join() === "n1.dc2/x");
    consul.cutOff("dc2", 500);
    await eventually(() => catalog.status().datacenters[0]?.reason !== undefined);
    expect(there()).toEqual(["n1.dc2/x"]);
    consul.cutOff("dc2", undefined);
    consul.setIn("dc2", "web", [healthEntry("web", "x"), healthEntry("web", "y")]);
    await eventually(() => there()?.length === 2, "it is back", 15_000);
    await eventually(() => catalog.status().datacenters[0]?.reason === undefined);
  });

  test("one that shows nothing to our token is said, and does not take what it showed before", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.setIn("dc2", "consul", []);
    start({ failover: "dc2" });
    await ready();
    await eventually(() => catalog.status().datacenters[0]?.reason?.includes("consul.token") === true);
    expect(there()).toEqual([]);
    // Once it shows something, and then nothing at all, not even itself.
    consul.setIn("dc2", "consul", [healthEntry("consul", "c")]);
    consul.setIn("dc2", "web", [healthEntry("web", "x")]);
    await eventually(() => there()?.length === 1);
    expect(catalog.status().datacenters[0]?.reason).toBeUndefined();
  });

  test("gives way where services here need the connections", async () => {
    for (const name of ["a", "b", "c", "d"]) consul.set(name, [healthEntry(name, `${name}1`)]);
    for (const name of ["a", "b", "c", "d"]) consul.setIn("dc2", name, [healthEntry(name, `${name}2`)]);
    // One for reads and one for the pulse of ten: eight watches, three of lists and overrides, four of services.
    start({ failover: "dc2" }, [], 10);
    await ready();
    const counts = () => catalog.status().datacenters.map(({ services }) => services);
    await eventually(() => counts().join() === "1");
    expect(catalog.status().beyondBudget).toEqual([]);
    expect(warned.filter((line) => line.includes("other datacenters"))).toHaveLength(1);
    consul.set("e", [healthEntry("e", "e1")]);
    await eventually(() => service("e")?.instances.length === 1);
    await eventually(() => counts().length === 0);
    expect(catalog.status().beyondBudget).toEqual([]);
  });
});

describe("prepared queries", () => {
  const path = "/v1/query/near/execute";
  const answer = (entries: readonly object[], datacenter = "dc1") => ({
    body: { Service: "web", Nodes: entries, Datacenter: datacenter, Failovers: 0 },
  });

  test("are services of their own names, of whatever datacenter the answer is", async () => {
    consul.set("web", [healthEntry("web", "w1")]);
    consul.override(path, () => answer([healthEntry("web", "x")], "dc2"));
    start({ queries: "near, , other" });
    await ready();
    await eventually(() => service("near") !== undefined);
    expect(ids(service("near")?.instances)).toEqual(["n1.dc2/x"]);
    expect(service("near")?.instances[0]?.service).toEqual({ datacenter: "dc2", name: "near" });
    expect(service("near")?.key).toEqual({ datacenter: "dc1", name: "near" });
    // Of one without an answer nothing is known: what was accepted of it before is kept.
    await eventually(() => catalog.status().queries[1]?.reason !== undefined);
    expect(catalog.latest()?.unwatched.has(key("other"))).toBe(true);
    expect(warned.filter((line) => line.includes("other"))).toHaveLength(1);
    catalog.setServices(catalogSettings({}));
    await eventually(() => service("near") === undefined);
  });

  test("one of a service's own name adds what is not listed here", async () => {
    consul.set("near", [healthEntry("near", "w1")]);
    const own = { Service: "near", Nodes: [healthEntry("near", "w1"), healthEntry("near", "w9")], Datacenter: "dc1" };
    consul.override(path, () => ({ body: own }));
    start({ queries: "near" });
    await ready();
    await eventually(() => service("near")?.elsewhere !== undefined);
    expect(ids(service("near")?.instances)).toEqual(["n1/w1"]);
    expect(ids(service("near")?.elsewhere)).toEqual(["n1/w9"]);
  });
});

test("the prefix of Fabio's tags and the key of zones can change while it runs", async () => {
  const entry = healthEntry("web", "w1", { tags: [" route-/web"] }) as { Node: { Meta: Record<string, string> } };
  entry.Node.Meta = { zone: "a", rack: "r7" };
  consul.set("web", [entry], { tags: [" route-/web"] });
  consul.set("other", [healthEntry("other", "o1")]);
  start();
  await ready();
  expect(service("web")).toBeUndefined();
  catalog.setServices(catalogSettings({ fabioPrefix: "route-" }));
  await eventually(() => service("web")?.instances[0]?.zone === "a");
  catalog.setServices(catalogSettings({ fabioPrefix: "route-", zoneMeta: "rack" }));
  await eventually(() => service("web")?.instances[0]?.zone === "r7");
});
