import { describe, expect, test } from "@jest/globals";
import type { CatalogService, Instance } from "../../../src/catalog/types.ts";
import {
  cellKey,
  dataCells,
  dataDigest,
  instanceKey,
  instancesOf,
  isPresent,
  withhold,
} from "../../../src/guard/quarantine.ts";

const key = { datacenter: "dc1", name: "web" };

function instance(id: string, tags: readonly string[], more: Partial<Instance> = {}): Instance {
  return {
    node: "node-1",
    id,
    service: key,
    address: "10.0.0.1",
    port: 80,
    tags,
    meta: {},
    weights: { passing: 1, warning: 1 },
    health: "passing",
    ...more,
  };
}

function web(...instances: readonly Instance[]): CatalogService {
  return { key, instances, freshness: { asOf: 0, stale: false } };
}

const one = instance("one", ["good"]);
const two = instance("two", ["bad"]);
const three = instance("three", ["bad"], { port: 81 });
const none = () => [];

test("instances elsewhere are withheld like those here", () => {
  const there = instance("there", ["bad"], { node: "node-1.dc2", service: { ...key, datacenter: "dc2" } });
  const service = { ...web(one), elsewhere: [there] };
  const services = new Map([["web", service]]);
  const bad = { service: "web", data: dataDigest(there) };
  expect(dataCells(services)).toEqual([{ service: "web", data: dataDigest(one) }, bad]);
  expect(isPresent(bad, services)).toBe(true);
  expect(instancesOf(bad, services)).toEqual([there]);
  expect(withhold(service, [bad], none)).toEqual({ ...service, elsewhere: [] });
  const good = { tags: ["fine"], meta: {} };
  expect(withhold(service, [bad], () => [good])?.elsewhere).toEqual([{ ...there, ...good }]);
});

describe("what the last instances of a service said", () => {
  const spoke = [one, two].map(({ node, id, tags, meta }) => ({ node, id, tags, meta }));
  const empty: CatalogService = { ...web(), spoke };
  const services = new Map([["web", empty]]);
  const bad = { service: "web", data: dataDigest(two) };

  test("has cells of its own, and is present with them", () => {
    expect(dataCells(services)).toEqual([{ service: "web", data: dataDigest(one) }, bad]);
    expect(isPresent(bad, services)).toBe(true);
    expect(isPresent({ ...bad, instance: instanceKey(two) }, services)).toBe(false);
  });

  test("stands in with tags and meta of before, or is left out", () => {
    const good = { tags: ["fine"], meta: {} };
    expect(withhold(empty, [bad], () => [good])?.spoke).toEqual([spoke[0], { ...spoke[1], ...good }]);
    expect(withhold(empty, [bad], none)?.spoke).toEqual([spoke[0]]);
  });
});

describe("cells", () => {
  test("are the distinct tags and meta of each service; place, weight and health do not count", () => {
    const services = new Map([["web", web(one, two, three)]]);
    const cells = dataCells(services);
    expect(cells).toEqual([
      { service: "web", data: dataDigest(one) },
      { service: "web", data: dataDigest(two) },
    ]);
    expect(dataDigest(three)).toBe(dataDigest(two));
    expect(dataDigest(instance("x", ["bad"], { meta: { a: "1" } }))).not.toBe(dataDigest(two));
    expect(new Set(cells.map(cellKey)).size).toBe(2);
    expect(instancesOf(cells[1] ?? { service: "" }, services)).toEqual([two, three]);
  });

  test("are present as long as an instance has what they mean", () => {
    const services = new Map([["web", web(one, two)]]);
    expect(isPresent({ service: "web" }, services)).toBe(true);
    expect(isPresent({ service: "db" }, services)).toBe(false);
    expect(isPresent({ service: "web", data: dataDigest(two) }, services)).toBe(true);
    expect(isPresent({ service: "web", data: dataDigest(two), instance: instanceKey(three) }, services)).toBe(false);
    expect(isPresent({ service: "web", data: dataDigest(two) }, new Map([["web", web(one)]]))).toBe(false);
  });
});

describe("a service from which something is withheld", () => {
  const cell = { service: "web", data: dataDigest(two) };

  test("has those instances with data that were taken before, at their own places", () => {
    const made = withhold(web(one, two, three), [cell], () => [two, { tags: ["old"], meta: { v: "1" } }]);
    expect(made?.instances).toEqual([
      one,
      { ...two, tags: ["old"], meta: { v: "1" } },
      { ...three, tags: ["old"], meta: { v: "1" } },
    ]);
  });

  test("lacks those for which there are none", () => {
    expect(withhold(web(one, two, three), [cell], none)?.instances).toEqual([one]);
    expect(withhold(web(two), [cell], () => [three])?.instances).toEqual([]);
  });

  test("lacks the one instance that is meant, not its equals; at another place it is another one", () => {
    const single = { ...cell, instance: instanceKey(three) };
    expect(withhold(web(one, two, three), [single], none)?.instances).toEqual([one, two]);
    const moved = { ...three, port: 82 };
    expect(withhold(web(moved), [single], none)?.instances).toEqual([moved]);
  });

  test("is not there at all when it is meant as a whole", () => {
    expect(withhold(web(one), [{ service: "web" }], () => [one])).toBeUndefined();
  });
});
