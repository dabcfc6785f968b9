import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { readSnapshotOnce } from "../../../src/catalog/read-once.ts";
import type { CatalogSettings, Expose } from "../../../src/catalog/selection.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";
import { catalogSettings } from "../../support/catalog-settings.ts";
import { healthEntry } from "../../support/fake-consul.ts";
import { type ModelConsul, startModelConsul } from "../../support/model-consul.ts";

let consul: ModelConsul;

beforeEach(async () => {
  consul = await startModelConsul();
});

afterEach(() => consul.stop());

function read(expose: Expose = "tagged", signal = new AbortController().signal, more: Partial<CatalogSettings> = {}) {
  return readSnapshotOnce(
    { ...settingsSchema.parse({}).consul, address: consul.address },
    catalogSettings({ expose, ...more }),
    signal,
  );
}

test("reads every selected service once, on a few connections, without blocking", async () => {
  for (let count = 0; count < 40; count += 1) {
    const name = `s${String(count).padStart(2, "0")}`;
    consul.set(name, [healthEntry(name, `${name}-1`)], { tags: count % 2 === 0 ? ["haproxy.enable=true"] : [] });
  }
  consul.set("m", [healthEntry("m", "m1")], { tags: [], meta: ["haproxy_enable"] });
  const snapshot = await read();
  expect(snapshot.services.size).toBe(21);
  expect([...snapshot.services.keys()]).toEqual([...snapshot.services.keys()].sort());
  expect(snapshot.services.get("dc1////s02")?.instances).toMatchObject([{ id: "s02-1", address: "10.0.0.1" }]);
  expect(snapshot.unselected.has("dc1////s01")).toBe(true);
  expect(consul.fake.requests.every(({ query }) => query["index"] === undefined)).toBe(true);
  expect(consul.fake.connections()).toBeLessThanOrEqual(6);
  expect((await read("all")).services.size).toBe(41);
});

test("goes on without an answer for a name that Consul refuses", async () => {
  consul.set("a", [healthEntry("a", "a1")]);
  consul.set("b\tb", [healthEntry("b\tb", "b1")]);
  consul.override("/v1/health/service/b%09b", () => ({ status: 400, body: "" }));
  const snapshot = await read();
  expect(snapshot.services.get("dc1////b%09b")).toMatchObject({ instances: [], freshness: { stale: true } });
});

test("an error of Consul is an error of the command", async () => {
  consul.set("a", [healthEntry("a", "a1")]);
  consul.override("/v1/health/service/a", () => ({ status: 500, body: "rpc error" }));
  await expect(read()).rejects.toMatchObject({ code: "ERR_CONSUL_STATUS", details: { status: 500 } });
});

test("an abort ends it", async () => {
  consul.override("/v1/catalog/services", () => undefined);
  const abort = new AbortController();
  const reading = read("tagged", abort.signal);
  const reason = new Error("enough");
  abort.abort(reason);
  await expect(reading).rejects.toBe(reason);
});

test("reads overrides, other datacenters and prepared queries too", async () => {
  consul.set("web", [healthEntry("web", "w1", { tags: ["haproxy.failover=dc2,dc3"] })]);
  consul.set("plain", [healthEntry("plain", "p1")], { tags: [] });
  consul.setIn("dc2", "web", [healthEntry("web", "w2")]);
  consul.write("sluice/services/plain", "enable: true");
  const query = { Service: "web", Nodes: [healthEntry("web", "w3")], Datacenter: "dc2" };
  consul.override("/v1/query/near/execute", () => ({ body: query }));
  const more = { overrides: "sluice/services", queries: "near,unknown" };
  const { services, overrides, unwatched } = await read("tagged", undefined, more);
  expect([...services.keys()]).toEqual(["dc1////plain", "dc1////web", "dc1////near"]);
  expect(services.get("dc1////web")).toMatchObject({
    elsewhere: [{ node: "n1.dc2", id: "w2" }],
    unansweredElsewhere: ["dc3"],
  });
  expect(services.get("dc1////near")?.instances).toMatchObject([{ node: "n1.dc2", id: "w3" }]);
  expect([...unwatched]).toEqual(["dc1////unknown"]);
  expect(overrides?.get("plain")?.options).toEqual({ enable: true });
});

test("overrides that the token may not read are not known, which is not the same as none", async () => {
  consul.set("a", [healthEntry("a", "a1")]);
  consul.override("/v1/kv/sluice/services/", () => ({ status: 403, body: "Permission denied" }));
  const snapshot = await read("tagged", undefined, { overrides: "sluice/services" });
  expect(snapshot.overrides).toBeUndefined();
  expect((await read()).overrides?.size).toBe(0);
});
