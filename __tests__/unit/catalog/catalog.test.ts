import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ConsulCatalog } from "../../../src/catalog/catalog.ts";
import type { Expose } from "../../../src/catalog/selection.ts";
import { serviceKeyString } from "../../../src/catalog/service-key.ts";
import type { CatalogService, Snapshot } from "../../../src/catalog/types.ts";
import { type Settings, settingsSchema } from "../../../src/settings/schema.ts";
import { systemClock } from "../../../src/support/clock.ts";
import type { Logger } from "../../../src/support/logger.ts";
import { catalogSettings } from "../../support/catalog-settings.ts";
import { eventually } from "../../support/eventually.ts";
import { healthEntry } from "../../support/fake-consul.ts";
import { type ModelConsul, startModelConsul } from "../../support/model-consul.ts";
import { TestClock } from "../../support/test-clock.ts";

let consul: ModelConsul;
let catalog: ConsulCatalog;
let end: AbortController;
let running: Promise<void>;
let snapshots: Snapshot[];
let logged: Array<{ readonly level: string; readonly fields: Record<string, unknown>; readonly message: string }>;

beforeEach(async () => {
  consul = await startModelConsul();
  end = new AbortController();
  running = Promise.resolve();
  snapshots = [];
  logged = [];
});

afterEach(async () => {
  end.abort();
  await running;
  await consul.stop();
});

function recordingLogger(): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    logged.push({ level, fields: { ...fields }, message });
  };
  const logger: Logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: () => logger,
  };
  return logger;
}

function start(expose: Expose = "tagged", settings: Partial<Settings["consul"]> = {}, clock = systemClock): void {
  const consulSettings = { ...settingsSchema.parse({}).consul, address: consul.address, ...settings };
  catalog = new ConsulCatalog({
    settings: consulSettings,
    services: catalogSettings({ expose }),
    clock,
    logger: recordingLogger(),
  });
  catalog.subscribe((snapshot) => snapshots.push(snapshot));
  running = catalog.run(end.signal);
}

function service(name: string, snapshot = catalog.latest()): CatalogService | undefined {
  return snapshot?.services.get(serviceKeyString({ datacenter: "dc1", name }));
}

/** Ids of the instances, in their order; undefined where the service is not in the snapshot. */
function ids(name: string): readonly string[] | undefined {
  return service(name)?.instances.map(({ id }) => id);
}

const names = () => [...(catalog.latest()?.services.values() ?? [])].map(({ key }) => key.name).sort();

describe("the first snapshot", () => {
  test("waits for the list and for every selected service", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    consul.set("b", [healthEntry("b", "b1")]);
    consul.override("/v1/health/service/b", () => undefined);
    start();
    await eventually(() => catalog.status().watches.some(({ name, answers }) => name === "a" && answers > 0));
    expect(catalog.latest()).toBeUndefined();
    expect(catalog.status()).toMatchObject({ ready: false, waitingFor: ["b"] });
    consul.override("/v1/health/service/b", undefined);
    await eventually(() => catalog.latest() !== undefined);
    expect(snapshots).toHaveLength(1);
    expect(names()).toEqual(["a", "b"]);
    expect(catalog.status()).toMatchObject({ ready: true, waitingFor: [], datacenter: "dc1", budget: 180 });
  });

  test("is empty where nothing is selected", async () => {
    start();
    await eventually(() => catalog.latest() !== undefined);
    expect(catalog.latest()).toMatchObject({
      sequence: 1,
      services: new Map(),
      unselected: new Set(["dc1////consul"]),
    });
  });

  test("waits for the list by meta, which an agent may refuse", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    let refuse = false;
    consul.override("/v1/catalog/services", (request) => {
      if (request.query["filter"] === undefined) {
        return request.query["index"] === undefined
          ? { index: 11, body: { consul: [], a: ["haproxy.enable=true"] } }
          : undefined;
      }
      return refuse ? { status: 500, body: "unknown filter" } : undefined;
    });
    start();
    await eventually(() => catalog.status().waitingFor.join() === "catalog/services by meta");
    expect(catalog.latest()).toBeUndefined();
    refuse = true;
    consul.fake.reconsider();
    await eventually(() => catalog.latest() !== undefined);
    expect(names()).toEqual(["a"]);
    await eventually(() =>
      catalog.status().watches.some(({ name, errors }) => name.endsWith("by meta") && errors >= 2),
    );
    expect(logged.filter(({ message }) => message.includes("by meta"))).toHaveLength(1);
    expect(logged.find(({ message }) => message.includes("by meta"))?.level).toBe("info");
  });

  test("does not take the answer of an agent that ignores the filter for a selection", async () => {
    consul.set("a", [healthEntry("a", "a1")], { tags: [] });
    consul.override("/v1/catalog/services", (request) =>
      request.query["index"] === undefined ? { index: 11, body: { consul: [], a: [] } } : undefined,
    );
    start();
    await eventually(() => catalog.latest() !== undefined);
    expect(names()).toEqual([]);
  });

  test("does not wait for a name that Consul refuses to be asked for", async () => {
    consul.set("fine", [healthEntry("fine", "f1")]);
    consul.set("bad\nname", [healthEntry("bad\nname", "b1")]);
    consul.override("/v1/health/service/bad%0Aname", () => ({ status: 400, body: "" }));
    start();
    await eventually(() => catalog.latest() !== undefined);
    expect(ids("fine")).toEqual(["f1"]);
    expect(service("bad\nname")).toMatchObject({ instances: [], freshness: { stale: true } });
    expect(service("bad\nname")?.freshness.reason).toMatch(/400/);
    // And when it goes, nobody can confirm that.
    consul.remove("bad\nname");
    await eventually(() => service("bad\nname") === undefined);
  });

  test("waits for a plain name that is refused: that is no fault of the name", async () => {
    consul.set("plain", [healthEntry("plain", "p1")]);
    consul.override("/v1/health/service/plain", () => ({ status: 400, body: "" }));
    start();
    await eventually(() => catalog.status().watches.some(({ name, errors }) => name === "plain" && errors > 0));
    expect(catalog.latest()).toBeUndefined();
  });

  test("comes without agent:read too, by Consul's defaults", async () => {
    consul.override("/v1/agent/self", () => ({ status: 403, body: "Permission denied" }));
    consul.set("consul", [
      { ...healthEntry("consul", "consul"), Node: { Node: "s1", Address: "10.0.0.9", Datacenter: "east" } },
    ]);
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    expect(catalog.status()).toMatchObject({ datacenter: "east", budget: 180 });
    expect([...(catalog.latest()?.services.keys() ?? [])]).toEqual(["east////a"]);
  });

  test("comes when Consul does", async () => {
    consul.override("/v1/agent/self", () => ({ raw: (_response, socket) => socket.destroy() }));
    consul.override("/v1/catalog/services", () => ({ raw: (_response, socket) => socket.destroy() }));
    start();
    await eventually(() => catalog.status().watches.some(({ stale }) => stale));
    expect(catalog.latest()).toBeUndefined();
    consul.override("/v1/agent/self", undefined);
    consul.override("/v1/catalog/services", undefined);
    await eventually(() => catalog.latest() !== undefined);
  });
});

describe("an answer that cannot be used", () => {
  const broken = (name: string, id: string) => ({ ...healthEntry(name, id), Checks: [{ CheckID: "c" }] });

  test("in one entry costs that instance only, and is said once", async () => {
    consul.set("a", [healthEntry("a", "a1"), broken("a", "a2"), healthEntry("a", "a3", { port: 2 ** 63 })]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    expect(ids("a")).toEqual(["a1", "a3"]);
    consul.set("a", [healthEntry("a", "a1"), broken("a", "a2"), healthEntry("a", "a4")]);
    await eventually(() => ids("a")?.join() === "a1,a4");
    const complaints = logged.filter(({ level }) => level === "warn");
    expect(complaints).toMatchObject([{ fields: { service: "a", count: 1, first: expect.stringMatching(/n1\/a2/) } }]);
  });

  test("keeps no first snapshot waiting, and is made good by one that can", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    consul.set("b", [broken("b", "b1")]);
    start();
    await eventually(() => catalog.latest() !== undefined && ids("a")?.length === 1);
    expect(service("b")).toMatchObject({ instances: [], freshness: { stale: true, unanswered: true } });
    expect(service("b")?.freshness.reason).toMatch(/Status/);
    await eventually(() => catalog.status().watches.some(({ name, errors }) => name === "b" && errors > 2));
    expect(service("b")?.freshness.unanswered).toBe(true);
    consul.set("b", [healthEntry("b", "b1")]);
    await eventually(() => ids("b")?.join() === "b1");
    expect(service("b")?.freshness).toEqual({ asOf: expect.any(Number), stale: false });
  });

  test("leaves what was known where there is something", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    consul.set("a", [broken("a", "a1")]);
    await eventually(() => service("a")?.freshness.stale === true);
    expect(ids("a")).toEqual(["a1"]);
    expect(service("a")?.freshness).not.toHaveProperty("unanswered");
  });

  test("for want of an index, which is how Consul says that it has no data yet, is waited for", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    consul.override("/v1/health/service/a", () => ({ body: [] }));
    start();
    await eventually(() => catalog.status().watches.some(({ name, errors }) => name === "a" && errors > 1));
    expect(catalog.latest()).toBeUndefined();
  });
});

describe("changes", () => {
  test("what did not change keeps its object", async () => {
    consul.set("a", [healthEntry("a", "a1"), healthEntry("a", "a2", { port: 81 })]);
    consul.set("b", [healthEntry("b", "b1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    const before = catalog.latest();
    consul.set("a", [healthEntry("a", "a2", { port: 82 }), healthEntry("a", "a1")]);
    await eventually(() => service("a")?.instances[1]?.port === 82);
    expect(service("a")?.instances[0]).toBe(service("a", before)?.instances[0]);
    expect(service("b")).toBe(service("b", before));
    expect(before?.services).not.toBe(catalog.latest()?.services);
    expect(service("a", before)?.instances[1]?.port).toBe(81);
  });

  test("an answer that says the same is not published", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    const before = catalog.latest();
    consul.set("a", [healthEntry("a", "a1")]);
    await eventually(() => catalog.status().watches.some(({ name, answers }) => name === "a" && answers === 2));
    expect(catalog.latest()).toBe(before);
  });

  test("a new service joins with its first answer and disturbs no other", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    consul.override("/v1/health/service/b", () => undefined);
    consul.set("b", [healthEntry("b", "b1")]);
    await eventually(() => catalog.status().waitingFor.join() === "b");
    consul.set("a", [healthEntry("a", "a1"), healthEntry("a", "a2")]);
    await eventually(() => ids("a")?.length === 2);
    expect(names()).toEqual(["a"]);
    expect(catalog.latest()?.unwatched).toEqual(new Set(["dc1////b"]));
    consul.override("/v1/health/service/b", undefined);
    await eventually(() => names().join() === "a,b");
    expect(catalog.latest()?.unwatched.size).toBe(0);
    expect(snapshots.map(({ sequence }) => sequence)).toEqual(snapshots.map((_snapshot, index) => index + 1));
  });

  test("the last instance leaves after a second read, which is never a streamed one, and the name with it", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    consul.remove("a");
    await eventually(() => names().length === 0);
    const confirming = consul.fake.asked("/v1/health/service/a").filter(({ query }) => query["near"] === "_agent");
    expect(confirming.length).toBeGreaterThan(0);
    expect(confirming.every(({ query }) => query["index"] === undefined && query["cached"] === undefined)).toBe(true);
    expect(catalog.latest()?.unselected.has("dc1////a")).toBe(false);
    await eventually(() => !catalog.status().watches.some(({ name }) => name === "a"));
  });

  test("an empty answer that a second read contradicts is held back", async () => {
    const entry = healthEntry("a", "a1");
    consul.set("a", [entry]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    consul.override("/v1/health/service/a", ({ query }) => {
      if (query["near"] !== undefined) return { index: 99, body: [entry] };
      return Number(query["index"] ?? 0) < 99 ? { index: 99, body: [] } : undefined;
    });
    await eventually(() => service("a")?.freshness.stale === true);
    expect(ids("a")).toEqual(["a1"]);
    expect(service("a")?.freshness.reason).toMatch(/a second read lists 1/);
  });

  test("an empty answer that ACLs filter is held back", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    const headers = { "x-consul-results-filtered-by-acls": "true" };
    consul.override("/v1/health/service/a", ({ query }) =>
      Number(query["index"] ?? 0) < 99 ? { index: 99, body: [], headers } : undefined,
    );
    await eventually(() => service("a")?.freshness.stale === true);
    expect(ids("a")).toEqual(["a1"]);
    expect(service("a")?.freshness.reason).toMatch(/ACLs/);
  });

  test("a name that vanished while its instances are there is kept", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    consul.override("/v1/catalog/services", ({ query }) =>
      Number(query["index"] ?? 0) < 99
        ? { index: 99, body: query["filter"] === undefined ? { consul: [] } : {} }
        : undefined,
    );
    await eventually(() => consul.fake.asked("/v1/health/service/a").some(({ query }) => query["near"] !== undefined));
    await eventually(() => catalog.status().watches[0]?.index === "99");
    expect(ids("a")).toEqual(["a1"]);
  });

  test("a service that is listed and no longer selected goes at once and is named", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    consul.set("a", [healthEntry("a", "a1", { tags: [] })], { tags: [] });
    await eventually(() => names().length === 0);
    expect(catalog.latest()?.unselected).toEqual(new Set(["dc1////a", "dc1////consul"]));
  });

  test("a service that only the list by meta lost has vanished when it has no instance, whatever the list still says", async () => {
    consul.set("a", [healthEntry("a", "a1", { tags: [], meta: { haproxy_host: "x" } })], {
      tags: [],
      meta: ["haproxy_host"],
    });
    start();
    await eventually(() => catalog.latest() !== undefined);
    // The list of all is not answered yet, and goes on naming it.
    consul.override("/v1/catalog/services", ({ query }) =>
      query["filter"] !== undefined && Number(query["index"] ?? 0) < 99 ? { index: 99, body: {} } : undefined,
    );
    consul.override("/v1/health/service/a", ({ query }) =>
      Number(query["index"] ?? 0) < 99 ? { index: 99, body: [] } : undefined,
    );
    await eventually(() => names().length === 0);
    expect(snapshots.every(({ unselected }) => !unselected.has("dc1////a"))).toBe(true);
    // Said again by a list that is younger, it is there and not selected.
    consul.override("/v1/catalog/services", ({ query }) =>
      query["filter"] === undefined && Number(query["index"] ?? 0) < 100
        ? { index: 100, body: { consul: [], a: [], more: [] } }
        : undefined,
    );
    await eventually(() => catalog.latest()?.unselected.has("dc1////a") === true);
  });

  test.each([
    ["a tag", { tags: ["haproxy.enable=true"] }],
    ["a meta key", { tags: [], meta: { haproxy_host: "x" } }],
  ])("a service that the lists do not select is kept while an instance of it has %s", async (_what, more) => {
    consul.set("a", [healthEntry("a", "a1", more)]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    consul.set("a", [healthEntry("a", "a1", more)], { tags: [] });
    await eventually(() => consul.fake.asked("/v1/health/service/a").some(({ query }) => query["near"] !== undefined));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(ids("a")).toEqual(["a1"]);
    expect(catalog.latest()?.unselected.has("dc1////a")).toBe(false);
    consul.set("a", [healthEntry("a", "a1", more)]);
    await eventually(() => catalog.status().watches[0]?.stale === false && ids("a")?.length === 1);
  });

  test("a service is not forgotten while a list may still fill again", async () => {
    const exposed = { tags: [], meta: ["haproxy_host"] };
    consul.set("a", [healthEntry("a", "a1", { tags: [], meta: { haproxy_host: "x" } })], exposed);
    const clock = new TestClock();
    start("tagged", {}, clock);
    await eventually(() => catalog.latest() !== undefined);
    // The list by meta starts again from a low index and has nothing yet, the list of all has not been heard.
    consul.override("/v1/catalog/services", ({ query }) =>
      query["filter"] !== undefined && query["index"] !== "3" ? { index: 3, body: {} } : undefined,
    );
    await eventually(() => {
      // A list's answer is looked at a moment after it came.
      clock.advance(1);
      return clock.pending().some((ms) => ms > 140_000 && ms <= 150_000);
    });
    expect(ids("a")).toEqual(["a1"]);
    expect(catalog.latest()?.unselected.has("dc1////a")).toBe(false);
    expect(consul.fake.asked("/v1/health/service/a").every(({ query }) => query["near"] === undefined)).toBe(true);
  });

  test("what is exposed can change while it runs", async () => {
    consul.set("tagged", [healthEntry("tagged", "t1")]);
    consul.set("byprefix", [healthEntry("byprefix", "p1")], { tags: ["urlprefix-/x"] });
    consul.set("bymeta", [healthEntry("bymeta", "m1")], { tags: [], meta: ["haproxy_host"] });
    consul.set("plain", [healthEntry("plain", "x1", { tags: ["other"] })], { tags: ["other"] });
    start("all");
    await eventually(() => catalog.latest() !== undefined);
    expect(names()).toEqual(["bymeta", "byprefix", "plain", "tagged"]);
    catalog.setServices(catalogSettings({ expose: "tagged" }));
    await eventually(() => names().join() === "bymeta,byprefix,tagged");
    expect(catalog.latest()?.unselected.has("dc1////plain")).toBe(true);
    catalog.setServices(catalogSettings({ expose: "all" }));
    await eventually(() => names().length === 4);
  });

  test("when Consul goes the instances stay, stale with a reason, and are fresh when it returns", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    const before = service("a");
    consul.override("/v1/health/service/a", () => ({ status: 500, body: "No cluster leader" }));
    await eventually(() => service("a")?.freshness.stale === true);
    expect(service("a")?.instances).toBe(before?.instances);
    expect(service("a")?.freshness.reason).toMatch(/No cluster leader/);
    consul.override("/v1/health/service/a", undefined);
    await eventually(() => service("a")?.freshness.stale === false);
    expect(service("a")?.instances).toBe(before?.instances);
  });

  test("a subscriber that throws harms nobody, and one that left hears nothing", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    const unsubscribe = catalog.subscribe(() => {
      throw new Error("not mine");
    });
    await eventually(() => snapshots.length === 1);
    await eventually(() => logged.some(({ message }) => message.includes("subscriber")));
    unsubscribe();
    const before = logged.length;
    consul.set("a", []);
    await eventually(() => ids("a")?.length === 0);
    expect(logged.length).toBe(before);
  });
});

describe("connections", () => {
  test("are kept: a change makes no new one", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    start();
    await eventually(() => catalog.latest() !== undefined);
    await eventually(() => consul.fake.asked("/v1/health/service/a").length === 2);
    const before = consul.fake.connections();
    for (let port = 81; port <= 85; port += 1) {
      consul.set("a", [healthEntry("a", "a1", { port })]);
      await eventually(() => service("a")?.instances[0]?.port === port);
    }
    expect(consul.fake.connections()).toBe(before);
  });

  test("are shared out by name where there are too few, and those who have one keep it", async () => {
    for (const name of ["b", "c", "d", "e"]) consul.set(name, [healthEntry(name, `${name}1`)]);
    // One for the pulse, one for short reads, two for the lists, two for services.
    start("tagged", { connections: 6 });
    await eventually(() => catalog.latest() !== undefined);
    expect(names()).toEqual(["b", "c"]);
    expect(catalog.status()).toMatchObject({ budget: 4, beyondBudget: ["d", "e"] });
    expect(catalog.latest()?.unwatched).toEqual(new Set(["dc1////d", "dc1////e"]));
    const complaint = logged.find(({ level }) => level === "error");
    expect(complaint?.fields).toMatchObject({ code: "ERR_CONSUL_TOO_MANY_WATCHES", selected: 4, beyond: 2 });
    expect(complaint?.message).toMatch(/consul\.connections allows 4.*limits\.http_max_conns_per_client/);

    consul.set("a", [healthEntry("a", "a1")]);
    await eventually(() => catalog.status().beyondBudget.join() === "a,d,e");
    expect(names()).toEqual(["b", "c"]);
    consul.remove("b");
    // The place that is free is a's, which stays unknown until it has answered.
    await eventually(() => names().join() === "a,c");
    expect(catalog.latest()?.unwatched).toEqual(new Set(["dc1////d", "dc1////e"]));
    for (const snapshot of snapshots.filter(({ unwatched }) => unwatched.size > 2)) {
      expect(service("a", snapshot)).toBeUndefined();
    }
    expect(logged.filter(({ level }) => level === "error")).toHaveLength(1);
  });

  test("are as many as the agent allows, less a reserve", async () => {
    await consul.stop();
    consul = await startModelConsul(321);
    start();
    await eventually(() => catalog.latest() !== undefined);
    expect(catalog.status().budget).toBe(301);
  });
});

describe("the end", () => {
  test("comes by abort alone, leaves no timer, and no request of ours goes on", async () => {
    consul.set("a", [healthEntry("a", "a1")]);
    const clock = new TestClock();
    start("tagged", {}, clock);
    // Both lists and the service are asked for their next change: nothing is on its way that came before the end.
    await eventually(() => consul.fake.requests.filter(({ query }) => query["index"] !== undefined).length === 3);
    end.abort();
    await running;
    expect(clock.pending()).toEqual([]);
    const before = consul.fake.requests.length;
    consul.set("a", []);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(consul.fake.requests.length).toBe(before);
  });
});
