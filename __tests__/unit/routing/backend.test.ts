import { describe, expect, test } from "@jest/globals";
import type { Instance } from "../../../src/catalog/types.ts";
import { serverId } from "../../../src/routing/names.ts";
import type { Server } from "../../../src/routing/types.ts";
import { instance, routed, serversOf, service } from "./fixtures.ts";

function servers(instances: readonly Instance[], given: object = {}, admitted: readonly string[] = []) {
  return serversOf(routed([service("web", instances)], { services: given }, new Map([["web", new Set(admitted)]])));
}

const nameAndWeight = ({ name, weight, joining }: Server) => [name, weight, ...(joining ? ["joining"] : [])];

describe("servers", () => {
  test("say what they are made of, sorted by name", () => {
    expect(servers([instance("web", 2), instance("web", 1, { weights: { passing: 7, warning: 1 } })])).toEqual([
      {
        name: "web-1_10.0.0.1:8080",
        address: "10.0.0.1",
        port: 8080,
        weight: 7,
        options: {},
        joining: false,
        instance: { node: "node-1", id: "web-1" },
        tags: ["haproxy.enable=true"],
        meta: {},
      },
      {
        name: "web-2_10.0.0.2:8080",
        address: "10.0.0.2",
        port: 8080,
        weight: 1,
        options: {},
        joining: false,
        instance: { node: "node-2", id: "web-2" },
        tags: ["haproxy.enable=true"],
        meta: {},
      },
    ]);
  });

  test("an IPv6 address has one form, in address and name", () => {
    const [server] = servers([instance("web", 1, { address: "FD00:0:0::0:1" })]);
    expect([server?.address, server?.name]).toEqual(["fd00::1", "web-1_fd00::1:8080"]);
  });

  test("carry an id with a consistent hash only", () => {
    for (const balance of ["source", "uri", "uri depth 3", "hdr(x-user)", "url_param id", "rdp-cookie", "hash path"]) {
      const { backends } = routed([service("web", [instance("web", 1)])], { services: { balance } });
      expect([backends[0]?.consistent, backends[0]?.servers[0]?.id]).toEqual([true, serverId("web-1_10.0.0.1:8080")]);
    }
    for (const balance of ["roundrobin", "leastconn", "random(2)", "first"]) {
      const { backends } = routed([service("web", [instance("web", 1)])], { services: { balance } });
      expect(backends[0]?.consistent).toBe(false);
      expect(backends[0]?.servers[0]).not.toHaveProperty("id");
    }
  });

  test("two whose ids are the same number: one stays, the other is named", () => {
    // Found by search: the digests of these two names begin alike.
    const twins = ["i18779", "i34929"].map((id) => instance("web", 1, { id, port: 80 }));
    const loadBalancer = routed([service("web", twins)], { services: { balance: "source" } });
    expect(serversOf(loadBalancer).map(({ name, id }) => [name, id])).toEqual([["i18779_10.0.0.1:80", 1_201_154_997]]);
    expect(loadBalancer.excluded).toEqual([
      {
        service: "web",
        instance: "node-1/i34929",
        code: "duplicate",
        reason: expect.stringContaining("i18779_10.0.0.1:80"),
      },
    ]);
    expect(serversOf(routed([service("web", twins)]))).toHaveLength(2);
  });
});

describe("an instance that cannot be a server is excluded by name, the others stay", () => {
  test.each([
    ["web.internal", "web.internal"],
    ["", '""'],
    ["1.2.3.4:99", "1.2.3.4:99"],
    ["[::1]", "[::1]"],
    ["0.0.0.0", "0.0.0.0"],
    ["::", '"::"'],
    ["0:0:0:0:0:0:0:0", "0:0:0:0"],
    ["10.0.0.1\n  server evil 6.6.6.6:80", "\\n"],
    ["\u202e1.0.0.01", "\\u{202e}"],
    ["\u009b31m", "\\u{9b}"],
    ["x".repeat(100_000), "xxx…"],
  ])("address %j", (address, shown) => {
    const { backends, excluded } = routed([service("web", [instance("web", 1, { address }), instance("web", 2)])]);
    expect(backends[0]?.servers.map(({ name }) => name)).toEqual(["web-2_10.0.0.2:8080"]);
    expect(excluded).toHaveLength(1);
    expect(excluded[0]).toMatchObject({ service: "web", instance: "node-1/web-1", code: "address-unusable" });
    expect(excluded[0]?.reason).toContain(shown);
    expect(excluded[0]?.reason).toMatch(/^[\x20-\x7e…]{1,250}$/);
  });

  test.each([0, -1, 65_536, 70_000, 80.5, Number.NaN])("port %d", (port) => {
    const { backends, excluded } = routed([service("web", [instance("web", 1, { port }), instance("web", 2)])]);
    expect(backends[0]?.servers.map(({ name }) => name)).toEqual(["web-2_10.0.0.2:8080"]);
    expect(excluded).toMatchObject([{ service: "web", instance: "node-1/web-1", code: "port-unusable" }]);
    expect(excluded[0]?.reason).toContain(String(port));
  });

  test("one that is critical is no server anyway, and not worth a word", () => {
    const { excluded } = routed([service("web", [instance("web", 1, { address: "junk", health: "critical" })])]);
    expect(excluded).toEqual([]);
  });
});

describe("two registrations of one label at one address are one server", () => {
  const at = (node: string, more: Partial<Instance> = {}) =>
    instance("web", 1, { node, id: "same", address: "10.0.0.9", ...more });

  test.each([
    ["the greater weight", at("n1"), at("n2", { weights: { passing: 5, warning: 1 } }), "n2", 5],
    ["the one that serves", at("n1", { health: "maintenance" }), at("n2"), "n2", 1],
    ["the one that is vouched for", at("n1", { nodeHealthOnly: true }), at("n2"), "n2", 1],
    ["else the first by node", at("n1"), at("n2"), "n1", 1],
    [
      "also where the address is written in another way",
      at("n1", { address: "::1" }),
      at("n2", { address: "0::1" }),
      "n1",
      1,
    ],
  ])("%s speaks for both, in either order", (_, a, b, node, weight) => {
    for (const order of [
      [a, b],
      [b, a],
    ]) {
      const found = servers([...order, instance("web", 3)]).filter(({ name }) => name.startsWith("same"));
      expect(found.map((server) => [server.instance.node, server.weight])).toEqual([[node, weight]]);
    }
  });

  test("at another port they are two", () => {
    expect(servers([at("n1"), at("n2", { port: 81 })])).toHaveLength(2);
  });
});

describe("joining servers", () => {
  const own = instance("web", 1);
  const nodeOnly = instance("web", 2, { nodeHealthOnly: true, weights: { passing: 9, warning: 1 } });

  test("one nobody vouches for waits with weight 0 beside one that serves", () => {
    expect(servers([own, nodeOnly]).map(nameAndWeight)).toEqual([
      ["web-1_10.0.0.1:8080", 1],
      ["web-2_10.0.0.2:8080", 0, "joining"],
    ]);
  });

  test("one that was let in before does not wait", () => {
    expect(servers([own, nodeOnly], {}, ["web-2_10.0.0.2:8080"]).map(nameAndWeight)).toEqual([
      ["web-1_10.0.0.1:8080", 1],
      ["web-2_10.0.0.2:8080", 9],
    ]);
  });

  test.each([
    ["no other", []],
    ["another in maintenance", [instance("web", 1, { health: "maintenance" })]],
    ["another that is critical", [instance("web", 1, { health: "critical" })]],
    ["another that cannot be used", [instance("web", 1, { address: "junk" })]],
    ["another that nobody vouches for either", [instance("web", 1, { nodeHealthOnly: true })]],
  ])("waiting never costs the only servers: %s", (_, others) => {
    const found = servers([...others, nodeOnly]);
    expect(found.find(({ name }) => name.startsWith("web-2"))).toMatchObject({ weight: 9, joining: false });
    expect(found.some(({ joining }) => joining)).toBe(false);
  });

  test("at-once lets everybody in, after-check asks for proof of everybody", () => {
    expect(servers([own, nodeOnly], { admit: "at-once" }).map(({ joining }) => joining)).toEqual([false, false]);
    const after = servers([own, nodeOnly], { admit: "after-check" }, ["web-2_10.0.0.2:8080"]);
    expect(after.map(({ joining }) => joining)).toEqual([true, false]);
  });

  test("one that is drained anyway is not joining", () => {
    const drained = instance("web", 2, { nodeHealthOnly: true, health: "maintenance" });
    expect(servers([own, drained]).map(nameAndWeight)).toEqual([
      ["web-1_10.0.0.1:8080", 1],
      ["web-2_10.0.0.2:8080", 0],
    ]);
  });
});
