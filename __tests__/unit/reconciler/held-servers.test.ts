import { expect, test } from "@jest/globals";
import type { Hold } from "../../../src/guard/types.ts";
import { heldServers, reachedAt } from "../../../src/reconciler/held-servers.ts";
import { instance, routed, service } from "../routing/fixtures.ts";

const hold = (name: string, number: number, more = {}): Hold => ({
  service: `dc1////${name}`,
  instance: instance(name, number, more),
  since: 0,
  cause: "zero",
});

test("servers of held instances are found by their places, in the backend of their service", () => {
  const v6 = { address: "FD00:0:0::0:2" };
  const services = [
    service("web", [instance("web", 1), instance("web", 2, v6), instance("web", 3)]),
    // At the places of web's.
    service("api", [instance("api", 1), instance("api", 3)]),
  ];
  const holds = [
    hold("web", 1),
    hold("web", 2, v6),
    hold("api", 3),
    hold("gone", 1),
    hold("web", 9, { address: "junk" }),
  ];
  const found = heldServers(holds, routed(services));
  expect([...found].sort().map(([path, { service: key, instance: one }]) => [path, key, one.id])).toEqual([
    ["api/api-3_10.0.0.3:8080", "dc1////api", "api-3"],
    ["web/web-1_10.0.0.1:8080", "dc1////web", "web-1"],
    ["web/web-2_fd00::2:8080", "dc1////web", "web-2"],
  ]);
  expect(heldServers([], routed(services)).size).toBe(0);
});

test("an instance that is reached at another of its addresses is found and asked there", () => {
  const tags = ["haproxy.address=wan"];
  const taggedAddresses = { wan: { address: "203.0.113.9", port: 9_080 } };
  const one = instance("web", 1, { tags, taggedAddresses });
  const loadBalancer = routed([service("web", [one, instance("web", 2, { tags })])]);
  const held = { ...hold("web", 1), instance: one };
  expect([...heldServers([held], loadBalancer).keys()]).toEqual(["web/web-1_203.0.113.9:9080"]);
  const at = ({ address, port }: { address: string; port: number }) => `${address}:${port}`;
  expect(at(reachedAt("dc1////web", one, loadBalancer))).toBe("203.0.113.9:9080");
  expect(at(reachedAt("dc1////web", instance("web", 2), loadBalancer))).toBe("10.0.0.2:8080");
  expect(at(reachedAt("dc1////other", one, loadBalancer))).toBe("10.0.0.1:8080");
  expect(at(reachedAt("dc1////web", one, undefined))).toBe("10.0.0.1:8080");
});
