import { describe, expect, test } from "@jest/globals";
import type { CatalogService, Instance } from "../../../src/catalog/types.ts";
import { placesOf } from "../../../src/routing/places.ts";

const here = { datacenter: "dc1", name: "web" };

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return {
    node: "n1",
    id,
    service: here,
    address: "10.0.0.1",
    port: 80,
    tags: [],
    meta: {},
    weights: { passing: 1, warning: 1 },
    health: "passing",
    ...more,
  };
}

function elsewhere(id: string, datacenter: string, more: Partial<Instance> = {}): Instance {
  return instance(id, { node: `n1.${datacenter}`, service: { ...here, datacenter }, address: "10.9.0.1", ...more });
}

function service(instances: readonly Instance[], others?: readonly Instance[]): CatalogService {
  const freshness = { asOf: 0, stale: false };
  return { key: here, instances, freshness, ...(others !== undefined && { elsewhere: others }) };
}

type Settings = Parameters<typeof placesOf>[1];
const plain: Settings = { address: "default" };

/** `<id> <address>:<port>`, `backup` behind it. */
function told(of: CatalogService, settings: Settings = plain, options: Parameters<typeof placesOf>[2] = {}): string[] {
  return placesOf(of, settings, options).map(
    ({ instance: { id }, address, port, backup }) => `${id} ${address}:${port}${backup ? " backup" : ""}`,
  );
}

const tagged = { wan: { address: "203.0.113.9", port: 8080 }, lan_ipv6: { address: "fd00::9", port: 80 } };

describe("addresses", () => {
  test("the plain one, where nothing else is asked for", () => {
    expect(told(service([instance("a", { taggedAddresses: tagged })]))).toEqual(["a 10.0.0.1:80"]);
  });

  test("the one the setting names, with its port; who has none is reached at the plain one", () => {
    const both = service([instance("a", { taggedAddresses: tagged }), instance("b", { port: 81 })]);
    expect(told(both, { address: "wan" })).toEqual(["a 203.0.113.9:8080", "b 10.0.0.1:81"]);
  });

  test("the service's option goes before the setting", () => {
    const one = service([instance("a", { taggedAddresses: tagged })]);
    expect(told(one, { address: "wan" }, { address: "lan_ipv6" })).toEqual(["a fd00::9:80"]);
    expect(told(one, { address: "wan" }, { address: "default" })).toEqual(["a 10.0.0.1:80"]);
  });

  test("of another datacenter the address wan, unless another is asked for", () => {
    const of = service([], [elsewhere("x", "dc2", { taggedAddresses: tagged })]);
    expect(told(of)).toEqual(["x 203.0.113.9:8080 backup"]);
    expect(told(of, { address: "lan_ipv6" })).toEqual(["x fd00::9:80 backup"]);
    // A prepared query's instance may be one of here.
    expect(told(service([], [instance("q", { taggedAddresses: tagged })]))).toEqual(["q 10.0.0.1:80 backup"]);
  });
});

describe("zones", () => {
  const settings: Settings = { address: "default", zone: "a" };
  const near = instance("near", { zone: "a" });
  const far = instance("far", { zone: "b", port: 81 });
  const unknown = instance("unknown", { port: 82 });

  test("those of another zone are backups; who has none is taken for one of ours", () => {
    const all = service([near, far, unknown]);
    expect(told(all, settings)).toEqual(["near 10.0.0.1:80", "far 10.0.0.1:81 backup", "unknown 10.0.0.1:82"]);
  });

  test("a server's word does not change with those beside it, nor with anybody's health", () => {
    expect(told(service([far]), settings)).toEqual(["far 10.0.0.1:81 backup"]);
    expect(told(service([instance("near", { zone: "a", health: "critical" }), far]), settings)).toEqual([
      "near 10.0.0.1:80",
      "far 10.0.0.1:81 backup",
    ]);
  });

  test("without a zone of our own there are none", () => {
    expect(told(service([near, far]))).toEqual(["near 10.0.0.1:80", "far 10.0.0.1:81"]);
  });

  test("another datacenter comes in once no instance of another zone can serve", () => {
    const there = [elsewhere("x", "dc2")];
    expect(told(service([near, far], there), settings)).toEqual(["near 10.0.0.1:80", "far 10.0.0.1:81 backup"]);
    const sick = { ...far, health: "critical" as const };
    expect(told(service([near, sick], there), settings)).toEqual([
      "near 10.0.0.1:80",
      "far 10.0.0.1:81 backup",
      "x 10.9.0.1:80 backup",
    ]);
    expect(told(service([near], there), settings)).toEqual(["near 10.0.0.1:80", "x 10.9.0.1:80 backup"]);
  });
});

describe("other datacenters", () => {
  const dc2 = elsewhere("x", "dc2");
  const dc3 = elsewhere("y", "dc3", { port: 81 });
  const both = service([instance("a")], [dc2, dc3]);

  test("are backups, the first of the list that can serve", () => {
    expect(told(both, { address: "default", failover: "dc3, dc2" })).toEqual(["a 10.0.0.1:80", "y 10.9.0.1:81 backup"]);
    expect(told(both, { address: "default", failover: "dc3" }, { failover: ["dc2", "dc3"] })).toEqual([
      "a 10.0.0.1:80",
      "x 10.9.0.1:80 backup",
    ]);
  });

  test("one where all are critical is passed over for the next, and all stay where none can serve", () => {
    const settings: Settings = { address: "default", failover: "dc2,dc3" };
    const sick = { ...dc2, health: "critical" as const };
    expect(told(service([], [sick, dc3]), settings)).toEqual(["y 10.9.0.1:81 backup"]);
    expect(told(service([], [sick, { ...dc3, health: "maintenance" }]), settings)).toHaveLength(2);
  });

  test("what is listed here at the same address and port is that one", () => {
    const same = elsewhere("x", "dc2", { address: "10.0.0.1" });
    expect(told(service([instance("a")], [same]))).toEqual(["a 10.0.0.1:80"]);
    const six = service([instance("a", { address: "fd00::1" })], [elsewhere("x", "dc2", { address: "FD00:0::1" })]);
    expect(told(six)).toEqual(["a fd00::1:80"]);
  });
});
