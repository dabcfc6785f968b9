import { expect, test } from "@jest/globals";
import { matchRequest } from "../../../src/routing/match.ts";
import { createRouter } from "../../../src/routing/route.ts";
import { byKey, instance, nobody, routed, service, settings } from "./fixtures.ts";

const tagged = (name: string, ...tags: readonly string[]) =>
  service(name, [instance(name, 1, { tags: [...tags].sort() })]);
const victim = tagged("victim", "haproxy.auth=staff");
const at = (path: string, host = "victim.service.local", method = "GET") => ({
  host,
  path,
  method,
  headers: {},
  client: "192.0.2.1",
});
const backendOf = (services: Parameters<typeof routed>[0], request = at("/login")) => {
  const match = matchRequest(routed(services), request);
  return match.kind === "route" ? match.route.targets[0]?.backend : match.kind;
};

test.each([
  ["a part of its paths", ["haproxy.host=victim.service.local", "haproxy.path=/login"]],
  ["a method", ["haproxy.host=victim.service.local", "haproxy.method=GET"]],
  ["a Host with a port", ["haproxy.host=victim.service.local:80"]],
  ["a named route", ["haproxy.route.a.host=victim.service.local", "haproxy.route.a.path=/login"]],
  ["a tag of Fabio's", ["urlprefix-victim.service.local/login"]],
])("another service's own name is not to be had in parts: %s", (_, tags) => {
  const evil = tagged("evil", ...tags);
  expect(backendOf([evil, victim])).toBe("victim");
  const { excluded } = routed([evil, victim]);
  expect(excluded).toEqual([expect.objectContaining({ service: "evil", code: "route-conflict" })]);
  expect(excluded[0]?.reason).toContain("another service's own name");
  // Where there is no such service, the name is free.
  expect(backendOf([evil])).toBe("evil");
});

test("its own name is its own to say, and what the operator writes is meant", () => {
  const own = tagged("victim", "haproxy.host=victim.service.local", "haproxy.path=/login");
  expect(routed([own]).excluded).toEqual([]);
  const given = { services: { options: { other: { host: "victim.service.local", path: "/login" } } } };
  const loadBalancer = routed([tagged("other", "haproxy.enable=true"), victim], given);
  expect(loadBalancer.excluded).toEqual([]);
  expect(matchRequest(loadBalancer, at("/login"))).toMatchObject({ route: { targets: [{ backend: "other" }] } });
});

test("comes and goes with the service whose name it is, and leaves the rest the very same", () => {
  const route = createRouter();
  const evil = tagged("evil", "haproxy.host=victim.service.local", "haproxy.path=/login");
  const [alone, both] = [byKey([evil]), byKey([evil, victim])];
  const first = route(alone, settings(), nobody);
  const second = route(both, settings(), nobody);
  expect(second.excluded).toHaveLength(1);
  expect(route(both, settings(), nobody).routes).toEqual(second.routes);
  expect(route(alone, settings(), nobody).routes).toEqual(first.routes);
});
