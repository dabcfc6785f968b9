import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { serviceKeyString } from "../../src/catalog/service-key.ts";
import type { CatalogService, Instance } from "../../src/catalog/types.ts";
import { createRouter } from "../../src/routing/route.ts";
import type { Admitted } from "../../src/routing/types.ts";
import { leadsTo } from "../support/routes.ts";
import { settings } from "../unit/routing/fixtures.ts";

/** What people and strangers write where any text goes. */
const hostile = fc.constantFrom(
  "a\nserver evil 6.6.6.6:80",
  "a\0b",
  'it\'s "quoted" \\',
  "$" + "{HOME}",
  "$(reboot)",
  "{{ 7*7 }}",
  "\u202egnp.exe",
  "#",
  ";disable server a/b",
  "\u212a",
  "x".repeat(300),
  "\ud800",
  "..",
  "a/b",
  "sluice_http",
  "",
);
const hugeTag = "haproxy.".padEnd(100_000, "\n'\"");
const plain = fc.constantFrom("web", "Web", "WEB", "api", "a.b", "a_b-c8687a", "a b");
const name = fc.oneof({ weight: 3, arbitrary: plain }, hostile, fc.string({ unit: "binary", maxLength: 12 }));
const address = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("10.0.0.1", "10.0.0.2", "::1", "0:0::1", "FD00::2") },
  fc.constantFrom("", "0.0.0.0", "web.internal", "1.2.3.4:99", "[::1]"),
  hostile,
);

const instance = fc.record({
  node: fc.oneof({ weight: 3, arbitrary: fc.constantFrom("n1", "n2") }, hostile),
  id: fc.oneof({ weight: 3, arbitrary: fc.constantFrom("i1", "i2", "web") }, hostile),
  address,
  port: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(80, 8080) }, fc.constantFrom(0, -1, 70_000, 80.5)),
  tags: fc.constantFrom(["haproxy.enable=true"], ["v1"], [hugeTag], []),
  meta: fc.constantFrom({}, { haproxy_x: "\n" }),
  weights: fc.record({ passing: fc.constantFrom(0, 1, 5, 256, 65_535), warning: fc.constantFrom(0, 1, 300) }),
  health: fc.constantFrom("passing", "passing", "warning", "critical", "maintenance"),
  nodeHealthOnly: fc.boolean(),
});

/** Of one name there may be several, in other datacenters. Node and id are unique in a service, as they are in Consul. */
const services: fc.Arbitrary<readonly CatalogService[]> = fc.uniqueArray(
  fc
    .tuple(
      fc.record({ datacenter: fc.constantFrom("dc1", "dc2"), name }),
      fc.uniqueArray(instance, { maxLength: 5, selector: ({ node, id }) => JSON.stringify([node, id]) }),
    )
    .map(([key, instances]) => ({
      key,
      instances: instances.map((one) => ({ ...one, service: key }) as Instance),
      freshness: { asOf: 0, stale: false },
    })),
  { maxLength: 6, selector: ({ key }) => serviceKeyString(key) },
);
const given = fc
  .record({
    services: fc.record({
      expose: fc.constantFrom("tagged", "all"),
      balance: fc.constantFrom("roundrobin", "source"),
      admit: fc.constantFrom("auto", "at-once", "after-check"),
    }),
    http: fc.record({ domain: fc.constant("service.local"), defaultService: fc.constantFrom("web", "a b", "none") }),
  })
  .map((one) => settings(one));
const admitted: fc.Arbitrary<Admitted> = fc
  .subarray(["i1_10.0.0.1:80", "i2_10.0.0.2:8080", "n1_::1:80"])
  .map((names) => new Map([["web", new Set(names)]]));

const byKey = (list: readonly CatalogService[]) => new Map(list.map((one) => [serviceKeyString(one.key), one]));

/** The same things in another order, decided by the numbers. */
function shuffled<T>(list: readonly T[], numbers: readonly number[]): readonly T[] {
  return list
    .map((value, index) => ({ value, rank: numbers[index % numbers.length] ?? 0 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ value }) => value);
}

test("the order of services and instances does not matter", () => {
  fc.assert(
    fc.property(services, given, admitted, fc.array(fc.nat(), { minLength: 7 }), (list, with_, letIn, numbers) => {
      const other = shuffled(
        list.map((one) => ({ ...one, instances: shuffled(one.instances, numbers) })),
        numbers,
      );
      expect(createRouter()(byKey(other), with_, letIn)).toEqual(createRouter()(byKey(list), with_, letIn));
    }),
  );
});

test("whatever Consul holds, names, hosts and addresses are fit for HAProxy, and nothing is lost in silence", () => {
  const safe = /^[A-Za-z0-9_.:-]{1,200}$/;
  fc.assert(
    fc.property(services, given, admitted, (list, with_, letIn) => {
      const { backends, routes, excluded, defaultBackend } = createRouter()(byKey(list), with_, letIn);
      const names = backends.map(({ name: one }) => one);
      expect(names).toEqual([...new Set(names)].sort());
      if (defaultBackend !== undefined) expect(names).toContain(defaultBackend);
      for (const backend of backends) {
        expect(backend.name).toMatch(safe);
        expect(backend.name).not.toMatch(/^sluice_/);
        const servers = backend.servers.map((server) => server.name);
        expect(servers).toEqual([...new Set(servers)].sort());
        const ids = backend.servers.flatMap(({ id }) => (id === undefined ? [] : [id]));
        expect(ids).toHaveLength(backend.consistent ? new Set(servers).size : 0);
        expect(new Set(ids).size).toBe(ids.length);
        for (const server of backend.servers) {
          expect(server.name).toMatch(safe);
          expect(server.address).toMatch(/^[0-9a-f.:]+$/);
          expect(server.port >= 1 && server.port <= 65_535).toBe(true);
          expect(Number.isInteger(server.weight) && server.weight >= 0 && server.weight <= 256).toBe(true);
        }
        const someWait = backend.servers.some(({ joining }) => joining);
        expect(!someWait || backend.servers.some(({ weight }) => weight > 0)).toBe(true);
      }
      const hosts = routes.map(({ host }) => host);
      expect(hosts).toEqual([...new Set(hosts)].sort());
      for (const one of routes) {
        expect(one.host).toMatch(/^(?=.{1,253}$)[a-z0-9_-]+(\.[a-z0-9_-]+)*$/);
        expect(names).toContain(leadsTo(one));
      }
      for (const { reason } of excluded) expect(reason).toMatch(/^[^\p{C}]{1,600}$/u);

      // Each exposed service has its backend and host, or is named.
      const told = new Set(excluded.map(({ service }) => service));
      const present = new Set(backends.flatMap(({ sources }) => sources.map(({ name: one }) => one)));
      const routed = new Set(routes.map(leadsTo));
      for (const { key } of list) {
        if (with_.services.expose !== "all" || key.name === "consul") continue;
        expect(present.has(key.name) || told.has(key.name)).toBe(true);
      }
      for (const { name: one, sources } of backends) {
        expect(routed.has(one) || sources.some(({ name: source }) => told.has(source))).toBe(true);
      }
    }),
  );
});

test("a router that has seen other things before gives what a new one gives, and keeps what is the same", () => {
  fc.assert(
    fc.property(services, services, given, admitted, (before, more, with_, letIn) => {
      const after = byKey([...before.slice(1), ...more]);
      const route = createRouter();
      const first = route(byKey(before), with_, letIn);
      const second = route(after, with_, letIn);
      expect(second).toEqual(createRouter()(after, with_, letIn));
      for (const backend of second.backends) {
        const key = backend.sources[0];
        const old = first.backends.find(({ sources }) => sources[0] === key);
        if (old !== undefined) expect(backend).toBe(old);
      }
    }),
  );
});
