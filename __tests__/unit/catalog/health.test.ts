import { describe, expect, test } from "@jest/globals";
import { parseHealth } from "../../../src/catalog/answers.ts";
import { normaliseInstances, type Reading, readInstances, worstOf } from "../../../src/catalog/health.ts";
import { healthEntry } from "../../support/fake-consul.ts";

const key = { datacenter: "dc1", name: "web" };

function normalise(...entries: readonly object[]) {
  return normaliseInstances(parseHealth(entries).entries, key);
}

describe("health", () => {
  const check = (CheckID: string, Status: string) => ({ CheckID, Status });

  test.each([
    ["no check is passing", [], "passing"],
    ["all passing", [check("a", "passing"), check("b", "passing")], "passing"],
    ["one warning", [check("a", "warning"), check("b", "passing")], "warning"],
    ["critical outdoes warning", [check("a", "critical"), check("b", "warning")], "critical"],
    ["whatever the order", [check("a", "warning"), check("b", "critical")], "critical"],
    ["an unknown status is critical", [check("a", "sleepy")], "critical"],
    ["node maintenance outdoes all", [check("a", "critical"), check("_node_maintenance", "critical")], "maintenance"],
    ["service maintenance too", [check("_service_maintenance:web-1", "critical")], "maintenance"],
    ["a check that is only called so does not", [check("x_node_maintenance", "passing")], "passing"],
  ])("%s", (_what, checks, expected) => {
    expect(worstOf(checks)).toBe(expected);
  });

  test("a node's check alone does not vouch for the service", () => {
    const vouched = normalise(healthEntry("web", "w1"))[0];
    expect(vouched).not.toHaveProperty("nodeHealthOnly");
    const entry = healthEntry("web", "w1");
    const node = [{ CheckID: "serfHealth", Status: "passing", ServiceID: "" }];
    expect(normalise({ ...entry, Checks: node })[0]).toMatchObject({ health: "passing", nodeHealthOnly: true });
    expect(normalise({ ...entry, Checks: [] })[0]).toMatchObject({ health: "passing", nodeHealthOnly: true });
    expect(normalise({ ...entry, Checks: null })[0]).toMatchObject({ health: "passing", nodeHealthOnly: true });
  });
});

describe("instances", () => {
  test("have Consul's defaults made good", () => {
    const [instance] = normalise({
      Node: { Node: "n1", Address: "10.0.0.1" },
      Service: { ID: "w1", Service: "web" },
    });
    expect(instance).toEqual({
      node: "n1",
      id: "w1",
      service: key,
      address: "10.0.0.1",
      port: 0,
      tags: [],
      meta: {},
      weights: { passing: 1, warning: 1 },
      health: "passing",
      nodeHealthOnly: true,
    });
  });

  test("carry odd values as they are, but bounded weights", () => {
    const [instance] = normalise({
      Node: { Node: "n", Address: "10.0.0.1", Unknown: {} },
      Service: {
        ID: "w\n1",
        Service: "web",
        Address: "1.2.3.4:99",
        Port: -1,
        Tags: ["b", "a\u0000", "B"],
        Meta: { z: "1", a: "x\ny" },
        Weights: { Passing: 70_000, Warning: -5 },
      },
      Checks: [],
    });
    expect(instance).toMatchObject({ id: "w\n1", address: "1.2.3.4:99", port: -1, tags: ["B", "a\u0000", "b"] });
    expect(Object.entries(instance?.meta ?? {})).toEqual([
      ["a", "x\ny"],
      ["z", "1"],
    ]);
    expect(instance?.weights).toEqual({ passing: 65_535, warning: 0 });
  });

  test("are sorted by node, then id", () => {
    const sorted = normalise(
      healthEntry("web", "b", { node: "n2" }),
      healthEntry("web", "c", { node: "n1" }),
      healthEntry("web", "a", { node: "n2" }),
    );
    expect(sorted.map(({ node, id }) => node + id)).toEqual(["n1c", "n2a", "n2b"]);
  });

  test("of a service whose name differs in case are another's", () => {
    expect(normalise(healthEntry("Web", "w1"), healthEntry("web", "w2")).map(({ id }) => id)).toEqual(["w2"]);
  });

  test("keep their objects where nothing changed, and the list where none did", () => {
    const before = normalise(healthEntry("web", "a"), healthEntry("web", "b"));
    const answer = parseHealth([healthEntry("web", "b"), healthEntry("web", "a")]).entries;
    expect(normaliseInstances(answer, key, before)).toBe(before);
    const changed = parseHealth([healthEntry("web", "b"), healthEntry("web", "a", { status: "critical" })]).entries;
    const after = normaliseInstances(changed, key, before);
    expect(after).not.toBe(before);
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).toBe(before[1]);
  });

  test.each([
    ["port", { port: 81 }],
    ["tags", { tags: ["x"] }],
    ["meta", { meta: { a: "1" } }],
    ["status", { status: "warning" }],
    ["weights", { weights: { Passing: 2, Warning: 1 } }],
  ])("that differ in %s are new objects", (_what, more) => {
    const before = normalise(healthEntry("web", "a"));
    expect(normaliseInstances(parseHealth([healthEntry("web", "a", more)]).entries, key, before)[0]).not.toBe(
      before[0],
    );
  });

  test("on two nodes with one id stay apart", () => {
    const before = normalise(
      healthEntry("web", "a", { node: "n1" }),
      healthEntry("web", "a", { node: "n2", port: 81 }),
    );
    expect(before.map(({ port }) => port)).toEqual([80, 81]);
  });
});

describe("what else Consul says of an instance", () => {
  const address = (text: string, port: number) => ({ Address: text, Port: port });
  const entry = (service: object, node: object = {}): object => {
    const plain = healthEntry("web", "w1") as { Node: object; Service: object };
    return { ...plain, Node: { ...plain.Node, ...node }, Service: { ...plain.Service, ...service } };
  };
  const read = (one: object, reading: Reading = {}) => readInstances([one], key, [], reading).instances[0];

  test("its registration's index", () => {
    expect(read(entry({ CreateIndex: 41 }))?.createIndex).toBe(41);
    for (const index of [0, -1, 1.5, 2 ** 60, "41", null]) {
      expect(read(entry({ CreateIndex: index }))).not.toHaveProperty("createIndex");
    }
  });

  test("its addresses by name, but for those that say what the plain one does, and the mesh's", () => {
    const addresses = {
      lan: address("10.0.0.9", 81),
      lan_ipv4: address("10.0.0.5", 80),
      wan: address("203.0.113.9", 0),
      virtual: address("240.0.0.1", 80),
    };
    expect(read(entry({ Address: "10.0.0.5", TaggedAddresses: addresses }))?.taggedAddresses).toEqual({
      lan: { address: "10.0.0.9", port: 81 },
      wan: { address: "203.0.113.9", port: 80 },
    });
    expect(read(entry({ Address: "10.0.0.5", TaggedAddresses: { lan_ipv4: addresses.lan_ipv4 } }))).not.toHaveProperty(
      "taggedAddresses",
    );
  });

  test("those of its node where it has no address of its own", () => {
    const node = { TaggedAddresses: { wan: "203.0.113.1", lan: "10.0.0.1" } };
    expect(read(entry({}, node))?.taggedAddresses).toEqual({ wan: { address: "203.0.113.1", port: 80 } });
    expect(read(entry({ Address: "10.0.0.5" }, node))).not.toHaveProperty("taggedAddresses");
  });

  test("its node's zone, by the key that is asked for", () => {
    const node = { Meta: { zone: "a", rack: "r7", empty: "" } };
    expect(read(entry({}, node), { zoneMeta: "zone" })?.zone).toBe("a");
    expect(read(entry({}, node), { zoneMeta: "rack" })?.zone).toBe("r7");
    for (const zoneMeta of ["empty", "none", "__proto__", "constructor", undefined]) {
      expect(read(entry({}, node), { zoneMeta })).not.toHaveProperty("zone");
    }
  });

  test.each([
    ["addresses", { TaggedAddresses: "wan" }, {}],
    ["one of the addresses", { TaggedAddresses: { lan: 7, wan: null, lan_ipv4: { Address: 7 }, wan_ipv4: [] } }, {}],
    ["the node's", {}, { TaggedAddresses: [1], Meta: "a" }],
    ["meta", {}, { Meta: { zone: 7 }, TaggedAddresses: { wan: 7 } }],
    ["the index", { CreateIndex: { a: 1 } }, {}],
  ])("%s of another shape costs itself alone", (_what, service, node) => {
    expect(read(entry(service, node), { zoneMeta: "zone" })).toEqual(read(healthEntry("web", "w1")));
  });

  test.each([
    ["its index", { CreateIndex: 7 }, {}],
    ["an address", { TaggedAddresses: { wan: address("203.0.113.9", 80) } }, {}],
    ["the zone", {}, { Meta: { zone: "b" } }],
  ])("another one of %s makes it another object", (_what, service, node) => {
    const reading = { zoneMeta: "zone" };
    const before = readInstances([entry({ CreateIndex: 6 }, { Meta: { zone: "a" } })], key, [], reading).instances;
    const again = entry({ CreateIndex: 6 }, { Meta: { zone: "a" } });
    expect(readInstances([again], key, before, reading).instances).toBe(before);
    const next = entry({ CreateIndex: 6, ...service }, { Meta: { zone: "a" }, ...node });
    expect(readInstances([next], key, before, reading).instances[0]).not.toBe(before[0]);
  });

  test("its node is called by its datacenter too where that is another one", () => {
    expect(read(healthEntry("web", "w1"), { here: "dc2" })?.node).toBe("n1.dc1");
    expect(read(healthEntry("web", "w1"), { here: "dc1" })?.node).toBe("n1");
  });

  test("entries may be of another service than the one that they are taken for", () => {
    const answer = [healthEntry("web", "w1"), healthEntry("api", "a1")];
    const near = { datacenter: "dc1", name: "near" };
    expect(readInstances(answer, near, [], { entriesOf: "web" }).instances).toMatchObject([
      { id: "w1", service: near },
    ]);
  });
});

describe("numbers that no port or weight can be", () => {
  // As JSON.parse gives them; Consul itself answers 200 to a registration with the first.
  test.each([
    ["9223372036854775807", 2 ** 63],
    ["-9223372036854775808", -(2 ** 63)],
    ["80.5", 80.5],
  ])("a port of %s is carried for routing to refuse", (text, port) => {
    const entry = JSON.parse(JSON.stringify(healthEntry("web", "w1")).replace('"Port":80', `"Port":${text}`));
    expect(normalise(entry)).toMatchObject([{ id: "w1", port }]);
  });

  test("weights are whole and within Consul's bounds", () => {
    const weights = { Passing: 2 ** 63, Warning: 1.5 };
    expect(normalise(healthEntry("web", "w1", { weights }))[0]?.weights).toEqual({ passing: 65_535, warning: 1 });
  });
});

describe("an entry that cannot be read", () => {
  const broken = { ...healthEntry("web", "bad"), Checks: [{ CheckID: "c" }] };

  test("costs only itself, and is named with what is wrong", () => {
    const { instances, unusable } = readInstances([healthEntry("web", "a"), broken, healthEntry("web", "b")], key);
    expect(instances.map(({ id }) => id)).toEqual(["a", "b"]);
    expect(unusable).toEqual([expect.stringMatching(/"n1\/bad".*Status/s)]);
  });

  test("takes nothing from those that keep their objects", () => {
    const before = readInstances([healthEntry("web", "a")], key).instances;
    expect(readInstances([broken, healthEntry("web", "a")], key, before).instances).toBe(before);
  });

  test("never makes a service empty: then the whole answer is unusable", () => {
    const invalid = expect.objectContaining({ code: "ERR_CONSUL_ANSWER_INVALID" });
    expect(() => readInstances([broken], key)).toThrow(invalid);
    expect(() => readInstances([broken, healthEntry("Web", "other")], key)).toThrow(invalid);
    expect(() => readInstances([null], key)).toThrow(invalid);
  });

  test("of a service whose name differs in case is another's concern", () => {
    const other = { ...healthEntry("Web", "bad"), Checks: [{ CheckID: "c" }] };
    expect(readInstances([other], key)).toEqual({ instances: [], unusable: [] });
  });
});

test.each([
  ["an object", {}],
  ["a page", "<html>"],
  ["nothing", undefined],
  ["a port that is a text", [{ Node: { Node: "n" }, Service: { ID: "a", Service: "web", Port: "80" } }]],
  ["a check without a status", [{ ...healthEntry("web", "a"), Checks: [{ CheckID: "c" }] }]],
])("%s is not an answer", (_what, body) => {
  expect(() => readInstances(body, key)).toThrow(expect.objectContaining({ code: "ERR_CONSUL_ANSWER_INVALID" }));
});
