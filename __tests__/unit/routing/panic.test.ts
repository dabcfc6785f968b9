import { describe, expect, test } from "@jest/globals";
import type { Instance } from "../../../src/catalog/types.ts";
import { instance, routed, serversOf, service } from "./fixtures.ts";

const critical = (number: number, more: Partial<Instance> = {}) =>
  instance("web", number, { health: "critical", weights: { passing: 7, warning: 1 }, ...more });
const enable = "haproxy.enable=true";

function outcome(instances: readonly Instance[], panic?: "serve" | "refuse") {
  const loadBalancer = routed([service("web", instances)], panic === undefined ? {} : { services: { panic } });
  return {
    servers: serversOf(loadBalancer).map(({ name, weight }) => `${name.split("_")[0]} ${weight}`),
    excluded: loadBalancer.excluded,
  };
}

describe("a service whose instances are all critical", () => {
  test("refuses, unless it is to serve: then all do, with their passing weight", () => {
    const all = [critical(1), critical(2, { nodeCritical: true })];
    expect(outcome(all).servers).toEqual([]);
    expect(outcome(all, "refuse").servers).toEqual([]);
    expect(outcome(all, "serve")).toEqual({ servers: ["web-1 7", "web-2 7"], excluded: [] });
  });

  test("those in maintenance stay out of it", () => {
    const all = [critical(1), instance("web", 2, { health: "maintenance" })];
    expect(outcome(all, "serve").servers).toEqual(["web-1 7", "web-2 0"]);
    expect(outcome(all.slice(1), "serve").servers).toEqual(["web-2 0"]);
  });

  test.each(["passing", "warning"] as const)("is no such service while one is %s", (health) => {
    expect(outcome([critical(1), instance("web", 2, { health })], "serve").servers).toEqual(["web-2 1"]);
  });

  test("its servers wait for nobody's vouching, and one that HAProxy cannot use is named", () => {
    const all = [critical(1, { nodeHealthOnly: true }), critical(2, { address: "junk" })];
    const { servers, excluded } = outcome(all, "serve");
    expect(servers).toEqual(["web-1 7"]);
    expect(excluded).toMatchObject([{ instance: "node-2/web-2", code: "address-unusable" }]);
  });
});

describe("what the service itself asks for goes before the setting", () => {
  const tagged = (...tags: readonly string[]): Partial<Instance> => ({ tags: [enable, ...tags] });
  test.each<[string, readonly Partial<Instance>[], "serve" | "refuse", boolean]>([
    ["a tag for", [tagged("haproxy.panic=serve"), {}], "refuse", true],
    ["a tag against", [{}, tagged("haproxy.panic=refuse")], "serve", false],
    ["meta for", [{}, { meta: { haproxy_panic: "serve" } }], "refuse", true],
    ["meta against", [{ meta: { haproxy_panic: "refuse" } }, {}], "serve", false],
    [
      "a tag, where meta says otherwise",
      [{ ...tagged("haproxy.panic=serve"), meta: { haproxy_panic: "refuse" } }],
      "refuse",
      true,
    ],
    ["a tag of another name", [tagged("xhaproxy.panic=refuse", "haproxypanic=refuse")], "serve", true],
  ])("%s", (_, given, setting, serves) => {
    const instances = given.map((more, at) => critical(at + 1, more));
    const { servers, excluded } = outcome(instances, setting);
    expect(servers).toEqual(serves ? instances.map(({ id }) => `${id} 7`) : []);
    expect(excluded).toEqual([]);
    expect(outcome([...instances].reverse(), setting).servers).toEqual(servers);
  });

  test("where two disagree it is refuse, whoever is older, and the other is named", () => {
    const instances = [tagged("haproxy.panic=serve"), tagged("haproxy.panic=refuse")].map((more, at) =>
      critical(at + 1, { ...more, createIndex: at }),
    );
    for (const order of [instances, instances.toReversed()]) {
      const { servers, excluded } = outcome(order, "serve");
      expect(servers).toEqual([]);
      expect(excluded).toMatchObject([{ service: "web", instance: "node-1/web-1", code: "option-unusable" }]);
      expect(excluded[0]?.reason).toContain('"haproxy.panic=refuse" of "node-2/web-2" is in force');
    }
  });

  test("a value that cannot be used costs itself only, and is named, also while all is well", () => {
    const bad = [
      { tags: [enable, "haproxy.panic=maybe"] },
      { meta: { haproxy_panic: "" } },
      { tags: [enable, "haproxy.panic=serve"] },
    ];
    const { servers, excluded } = outcome(bad.map((more, at) => critical(at + 1, more)));
    expect(servers).toHaveLength(3);
    const named = { service: "web", code: "option-unusable" };
    expect(excluded).toEqual([
      { ...named, instance: "node-1/web-1", reason: expect.stringContaining("maybe") },
      { ...named, instance: "node-2/web-2", reason: expect.stringContaining("haproxy_panic") },
    ]);
    const well = outcome([instance("web", 1, { meta: { haproxy_panic: "x\ny" } })]);
    expect(well.servers).toEqual(["web-1 1"]);
    expect(well.excluded.map(({ reason }) => reason).join()).toContain("has a control character");
  });
});
