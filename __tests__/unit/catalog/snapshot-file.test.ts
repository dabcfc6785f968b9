import { describe, expect, test } from "@jest/globals";
import { serviceKeyString } from "../../../src/catalog/service-key.ts";
import { parseSnapshot, snapshotToJson } from "../../../src/catalog/snapshot-file.ts";
import type { CatalogService, Instance, Override, Snapshot } from "../../../src/catalog/types.ts";

const key = { datacenter: "dc1", name: "we/b\n" };

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return {
    node: "n1",
    id,
    service: key,
    address: "10.0.0.1",
    port: 80,
    tags: ["a", "b"],
    meta: { k: 'v"\n' },
    weights: { passing: 3, warning: 0 },
    health: "warning",
    ...more,
  };
}

function snapshotOf(...services: readonly CatalogService[]): Snapshot {
  return {
    services: new Map(services.map((service) => [serviceKeyString(service.key), service])),
    unselected: new Set(["dc1////z", "dc1////consul"]),
    unwatched: new Set(["dc1////y", "dc1////x"]),
    departed: new Set(["node-2", "node-1"]),
    sequence: 41,
    takenAt: 1_800_000_000_000,
    answeredAt: 12,
  };
}

describe("a snapshot", () => {
  test("comes back from its file as it was, but for what holds in one process only", () => {
    const snapshot = snapshotOf(
      {
        key,
        instances: [instance("a", { port: 2 ** 63 }), instance("b", { nodeHealthOnly: true, port: 80.5 })],
        freshness: { asOf: 5, stale: true, reason: "away" },
      },
      {
        key: { datacenter: "dc1", partition: "p", namespace: "n", name: "web" },
        instances: [],
        freshness: { asOf: 6, stale: true, reason: "no answer", unanswered: true },
      },
    );
    const back = parseSnapshot(JSON.parse(JSON.stringify(snapshotToJson(snapshot))));
    expect(back).toEqual({ ...snapshot, sequence: 0, answeredAt: 0 });
  });

  test("keeps where instances are, what the last ones said, other datacenters and overrides", () => {
    const there = { ...key, datacenter: "dc2" };
    const snapshot: Snapshot = {
      ...snapshotOf({
        key,
        instances: [instance("q", { node: "n1.dc2", service: there })],
        elsewhere: [
          instance("x", {
            node: "n1.dc2",
            service: there,
            createIndex: 7,
            zone: "b",
            taggedAddresses: { wan: { address: "203.0.113.9", port: 81 } },
          }),
        ],
        unansweredElsewhere: ["dc3"],
        spoke: [{ node: "n1", id: "a", tags: ["haproxy.host=a"], meta: { k: "v" }, createIndex: 3 }],
        freshness: { asOf: 5, stale: false },
      }),
      overrides: new Map(
        [
          ["web", { options: { mode: "tcp" as const }, problems: ["x is no option"], text: "mode: tcp\nx: 1" }],
          ["broken", { options: {}, problems: [expect.any(String)], unreadable: true, text: "{" }],
        ].sort() as [string, Override][],
      ),
    };
    const back = parseSnapshot(JSON.parse(JSON.stringify(snapshotToJson(snapshot))));
    expect(back).toEqual({ ...snapshot, sequence: 0, answeredAt: 0 });
  });

  test("does not depend on the order in which it was gathered", () => {
    const web = { key: { datacenter: "dc1", name: "web" }, instances: [], freshness: { asOf: 6, stale: false } };
    const app = { ...web, key: { datacenter: "dc1", name: "app" } };
    expect(JSON.stringify(snapshotToJson(snapshotOf(web, app)))).toBe(
      JSON.stringify(snapshotToJson(snapshotOf(app, web))),
    );
  });

  test("written by hand has its order and defaults made good", () => {
    const bare = { node: "n", address: "10.0.0.1", port: 80, health: "passing" };
    const snapshot = parseSnapshot({
      schema: 1,
      takenAt: 7,
      comment: "more fields do no harm",
      services: [
        {
          key: { datacenter: "dc1", name: "web" },
          instances: [
            { ...bare, id: "b", tags: ["z", "a"] },
            { ...bare, id: "a" },
          ],
        },
      ],
    });
    const service = snapshot.services.get("dc1////web");
    expect(service?.freshness).toEqual({ asOf: 7, stale: false });
    expect(service?.instances).toMatchObject([
      { id: "a", tags: [], meta: {}, weights: { passing: 1, warning: 1 }, service: { name: "web" } },
      { id: "b", tags: ["a", "z"] },
    ]);
    expect(snapshot.unselected.size).toBe(0);
    expect(snapshot.unwatched.size).toBe(0);
  });

  test.each([
    ["nothing", undefined, /expected object/i],
    ["another version", { schema: 2, takenAt: 1, services: [] }, /schema/],
    [
      "a service without a name",
      { schema: 1, takenAt: 1, services: [{ key: { datacenter: "dc1" }, instances: [] }] },
      /name/,
    ],
    [
      "an unknown health",
      {
        schema: 1,
        takenAt: 1,
        services: [{ key, instances: [{ node: "n", id: "a", address: "", port: 1, health: "ok" }] }],
      },
      /health/,
    ],
  ])("of %s is refused with the place", (_what, json, place) => {
    expect(() => parseSnapshot(json)).toThrow(
      expect.objectContaining({ code: "ERR_SNAPSHOT_INVALID", message: expect.stringMatching(place) }),
    );
  });
});
