import { describe, expect, test } from "@jest/globals";
import type { CatalogService, Instance, Override, Snapshot } from "../../../src/catalog/types.ts";
import { acceptOverrides, withMemory } from "../../../src/guard/memory.ts";

const key = { datacenter: "dc1", name: "web" };
const freshness = { asOf: 0, stale: false };

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return {
    node: "n1",
    id,
    service: key,
    address: "10.0.0.1",
    port: 80,
    tags: ["haproxy.enable"],
    meta: {},
    weights: { passing: 1, warning: 1 },
    health: "passing",
    ...more,
  };
}

function service(instances: readonly Instance[], more: Partial<CatalogService> = {}): CatalogService {
  return { key, instances, freshness, ...more };
}

describe("what a service's last instances said", () => {
  const before = service([
    instance("a", { createIndex: 9 }),
    instance("b", { createIndex: 7 }),
    instance("c", { tags: ["haproxy.host=c"], meta: { haproxy_weight: "2" } }),
  ]);

  test("stays where none is left, one of each kind, of the oldest registration", () => {
    const empty = service([]);
    const { spoke } = withMemory(empty, before);
    expect(spoke).toEqual([
      { node: "n1", id: "b", tags: ["haproxy.enable"], meta: {}, createIndex: 7 },
      { node: "n1", id: "c", tags: ["haproxy.host=c"], meta: { haproxy_weight: "2" } },
    ]);
  });

  test("is the very same object at the next look, and again when the catalog repeats itself", () => {
    const empty = service([]);
    const first = withMemory(empty, before);
    expect(withMemory(empty, first)).toBe(first);
    expect(withMemory(first, first)).toBe(first);
    const fresher = withMemory({ ...empty, freshness: { asOf: 1, stale: false } }, first);
    expect(fresher.spoke).toBe(first.spoke);
  });

  test("is forgotten as soon as an instance speaks for itself", () => {
    const remembered = withMemory(service([]), before);
    const back = service([instance("d")]);
    expect(withMemory(back, remembered)).toBe(back);
  });

  test("is nothing of a service that never had one", () => {
    const empty = service([]);
    expect(withMemory(empty, undefined)).toBe(empty);
    expect(withMemory(empty, service([]))).toBe(empty);
  });
});

describe("what is known of other datacenters", () => {
  const there = (id: string, datacenter: string) =>
    instance(id, { node: `n1.${datacenter}`, service: { ...key, datacenter } });
  const before = service([], { elsewhere: [there("x", "dc2"), there("y", "dc3")] });

  test("stays of those that have not answered so far", () => {
    const starting = service([], { elsewhere: [there("z", "dc3")], unansweredElsewhere: ["dc2"] });
    const accepted = withMemory(starting, before);
    expect(accepted.elsewhere?.map(({ id }) => id)).toEqual(["x", "z"]);
    expect(withMemory(starting, accepted)).toBe(accepted);
    expect(accepted.unansweredElsewhere).toEqual(["dc2"]);
  });

  test("goes with the answer", () => {
    const answered = service([], { elsewhere: [] });
    expect(withMemory(answered, before)).toBe(answered);
    const unwanted = service([]);
    expect(withMemory(unwanted, before)).toBe(unwanted);
  });
});

describe("overrides", () => {
  const good: Override = { options: { mode: "tcp" }, problems: [], text: "mode: tcp" };
  const broken: Override = { options: {}, problems: ["is neither"], unreadable: true, text: "{" };
  const all = (of: Readonly<Record<string, Override>>): NonNullable<Snapshot["overrides"]> =>
    new Map(Object.entries(of));

  test("are those that Consul has", () => {
    const next = all({ web: good });
    expect(acceptOverrides(undefined, next)).toBe(next);
    expect(acceptOverrides(all({ api: good }), next)).toBe(next);
    const none = all({});
    expect(acceptOverrides(next, none)).toBe(none);
  });

  test("are those of before where it is not known whether there are any", () => {
    const before = all({ web: good });
    expect(acceptOverrides(before, undefined)).toBe(before);
    expect(acceptOverrides(undefined, undefined)).toBeUndefined();
  });

  test("one that cannot be read leaves in force what it said before, and says so", () => {
    const next = all({ web: broken, api: good, other: broken });
    const accepted = acceptOverrides(all({ web: good }), next);
    expect(accepted?.get("web")).toEqual({
      options: { mode: "tcp" },
      problems: ["is neither; what it said before is still in force"],
      text: "mode: tcp",
    });
    expect(accepted?.get("api")).toBe(good);
    expect(accepted?.get("other")).toBe(broken);
    expect(acceptOverrides(accepted, next)).toBe(accepted);
  });

  test("one that is still broken in the next answer keeps what was in force", () => {
    const first = acceptOverrides(all({ web: good }), all({ web: broken }));
    const second = acceptOverrides(first, all({ web: broken, api: good }));
    expect(second?.get("web")).toMatchObject({ options: { mode: "tcp" }, text: "mode: tcp" });
    expect(second?.get("web")?.problems).toEqual(["is neither; what it said before is still in force"]);
  });
});
