import { describe, expect, test } from "@jest/globals";
import { parseHealth } from "../../../src/catalog/answers.ts";
import { normaliseInstances, readInstances, worstOf } from "../../../src/catalog/health.ts";
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
