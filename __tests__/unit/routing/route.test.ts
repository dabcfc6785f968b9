import { describe, expect, test } from "@jest/globals";
import type { CatalogService } from "../../../src/catalog/types.ts";
import { createRouter } from "../../../src/routing/route.ts";
import type { Exclusion, LoadBalancer } from "../../../src/routing/types.ts";
import { leadsTo } from "../../support/routes.ts";
import { byKey, instance, key, nobody, routed, service, settings } from "./fixtures.ts";

const one = (name: string) => service(name, [instance(name, 1)]);
const names = ({ backends }: LoadBalancer) => backends.map(({ name }) => name);
const hosts = ({ routes }: LoadBalancer) => Object.fromEntries(routes.map((one) => [one.host, leadsTo(one)]));
const briefly = ({ service: name, code }: Exclusion) => [name, code];

describe("backends and routes", () => {
  test("one each per service, sorted, at <service>.<domain>", () => {
    const loadBalancer = routed([one("web"), one("api")], { http: { domain: "example.com" } });
    expect(names(loadBalancer)).toEqual(["api", "web"]);
    expect(hosts(loadBalancer)).toEqual({ "api.example.com": "api", "web.example.com": "web" });
    expect(loadBalancer.excluded).toEqual([]);
  });

  test("an empty service keeps backend and route", () => {
    const loadBalancer = routed([service("web", [])]);
    expect(loadBalancer.backends).toMatchObject([{ name: "web", servers: [] }]);
    expect(hosts(loadBalancer)).toEqual({ "web.service.local": "web" });
  });

  test("case twins stay apart as backends; the host goes to the one that is written that way, the other is named", () => {
    const loadBalancer = routed([one("WEB"), one("Web"), one("web")]);
    expect(names(loadBalancer)).toEqual(["WEB", "Web", "web"]);
    expect(hosts(loadBalancer)).toEqual({ "web.service.local": "web" });
    expect(loadBalancer.excluded.map(briefly)).toEqual([
      ["WEB", "name-conflict"],
      ["Web", "name-conflict"],
    ]);
    expect(loadBalancer.excluded[0]?.reason).toContain("web.service.local leads to backend web");
  });

  test("without a twin any case has its host", () => {
    expect(hosts(routed([one("Web")]))).toEqual({ "web.service.local": "Web" });
  });

  test("no other character becomes an ASCII letter on the way to a host", () => {
    // U+212A is the Kelvin sign; as a small letter it is a "k".
    const loadBalancer = routed([one("\u212aafka"), one("kafka")]);
    expect(hosts(loadBalancer)).toEqual({ "kafka.service.local": "kafka" });
    expect(loadBalancer.excluded.map(briefly)).toEqual([["\u212aafka", "host-unusable"]]);
  });

  test.each(["a b", "a:b", "a/b", "a..b", ".a", "a.", "é", "a\n", "x".repeat(300), ""])(
    "%j has a backend and no host, and that is said",
    (name) => {
      const loadBalancer = routed([one(name)]);
      expect(loadBalancer.backends).toHaveLength(1);
      expect(loadBalancer.routes).toEqual([]);
      expect(loadBalancer.excluded.map(briefly)).toEqual([[name, "host-unusable"]]);
    },
  );

  test("two services of one backend name: the first has it, the other is named", () => {
    const loadBalancer = routed([one("a_b-c8687a"), one("a b")]);
    expect(names(loadBalancer)).toEqual(["a_b-c8687a"]);
    expect(loadBalancer.backends[0]?.sources).toEqual([key("a b")]);
    expect(loadBalancer.excluded.map(briefly)).toEqual([
      ["a b", "host-unusable"],
      ["a_b-c8687a", "name-conflict"],
    ]);
    expect(loadBalancer.excluded[1]?.reason).toContain('"a b"');
  });

  test("the same name in two datacenters: always the same one has it", () => {
    const far = service(key("web", { datacenter: "dc2" }), [instance("web", 7)]);
    for (const order of [
      [far, one("web")],
      [one("web"), far],
    ]) {
      const loadBalancer = routed(order);
      expect(loadBalancer.backends.map(({ sources }) => sources)).toEqual([[key("web")]]);
      expect(loadBalancer.excluded.map(briefly)).toEqual([["web", "name-conflict"]]);
    }
  });

  test("the default backend is that of the default service, while there is one", () => {
    const given = { http: { defaultService: "a b" } };
    expect(routed([one("web")], given)).not.toHaveProperty("defaultBackend");
    expect(routed([one("web")], given).defaultAwaited).toBe(true);
    expect(routed([one("a b")], given).defaultBackend).toBe("a_b-c8687a");
    expect(routed([one("a b")], given)).not.toHaveProperty("defaultAwaited");
    expect(routed([one("web")])).not.toHaveProperty("defaultAwaited");
    expect(routed([one("web")])).not.toHaveProperty("defaultBackend");
    // Another service that took the name is not the one that was meant.
    expect(routed([one("a_b-c8687a")], given)).not.toHaveProperty("defaultBackend");
  });

  test("exclusions of all services are sorted by service, instance, code", () => {
    const bad = (name: string) =>
      service(name, [instance(name, 2, { port: 0 }), instance(name, 1, { address: "junk" })]);
    expect(
      routed([bad("b b"), bad("a")]).excluded.map(({ service: name, instance: at, code }) => [name, at, code]),
    ).toEqual([
      ["a", "node-1/a-1", "address-unusable"],
      ["a", "node-2/a-2", "port-unusable"],
      ["b b", undefined, "host-unusable"],
      ["b b", "node-1/b b-1", "address-unusable"],
      ["b b", "node-2/b b-2", "port-unusable"],
    ]);
  });
});

describe("identity", () => {
  const base = settings();
  const api = one("api");
  const web = one("web");

  function twice(before: readonly CatalogService[], after: readonly CatalogService[], next = base, admitted = nobody) {
    const route = createRouter();
    const first = route(byKey(before), base, nobody);
    const second = route(byKey(after), next, admitted);
    return (name: string) => {
      const find = ({ backends }: LoadBalancer) => backends.find((backend) => backend.name === name);
      return find(first) !== undefined && find(first) === find(second);
    };
  }

  test("a service whose instances are the same objects keeps its backend, the one that changed does not", () => {
    const same = twice(
      [api, web],
      [service("api", [instance("api", 2)]), { ...web, freshness: { asOf: 9, stale: true } }],
    );
    expect([same("api"), same("web")]).toEqual([false, true]);
  });

  test("other settings of services make new backends; other settings do not", () => {
    expect(twice([web], [web], settings({ services: { balance: "leastconn" } }))("web")).toBe(false);
    expect(twice([web], [web], { ...base, http: settings({ http: { domain: "x" } }).http })("web")).toBe(true);
  });

  test("another set of admitted servers makes a new backend for that service alone", () => {
    const same = twice([api, web], [api, web], base, new Map([["web", new Set(["x"])]]));
    expect([same("api"), same("web")]).toEqual([true, false]);
  });

  test("an instance that joins, with the same words, leaves routes, maps and listeners as they are", () => {
    const tags = ["haproxy.host=a.example.com", "haproxy.path=/x", "haproxy.listen=8081", "urlprefix-/f strip=/f"];
    const speaking = (number: number) => instance("web", number, { tags: [...tags], createIndex: number });
    const route = createRouter();
    const before = route(byKey([service("web", [speaking(1)]), api]), base, nobody);
    const after = route(byKey([service("web", [speaking(1), speaking(2)]), api]), base, nobody);
    expect(after.backends.find(({ name }) => name === "web")?.servers).toHaveLength(2);
    expect(before.routes.length).toBeGreaterThan(3);
    for (const part of ["routes", "maps", "listeners", "excluded"] as const) {
      expect(after[part]).toBe(before[part]);
    }
  });

  test("a service that was away for a while is looked at anew", () => {
    const route = createRouter();
    const first = route(byKey([web]), base, nobody);
    expect(route(byKey([]), base, nobody).backends).toEqual([]);
    const third = route(byKey([web]), base, nobody);
    expect(third).toEqual(first);
  });
});
