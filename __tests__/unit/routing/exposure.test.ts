import { describe, expect, test } from "@jest/globals";
import { isExposed } from "../../../src/routing/exposure.ts";
import { instance, routed, service } from "./fixtures.ts";

describe("isExposed", () => {
  test.each([
    ["a haproxy.* tag", { tags: ["v1", "haproxy.enable=true"] }, true],
    ["a urlprefix-* tag", { tags: ["urlprefix-/web"] }, true],
    ["a haproxy_* meta key", { tags: [], meta: { haproxy_host: "web" } }, true],
    ["no such tag", { tags: ["v1", "xhaproxy.enable", "haproxy", "Haproxy.x", "urlprefix"] }, false],
    ["a meta key that only has the word in it", { tags: [], meta: { my_haproxy_host: "web", haproxy: "1" } }, false],
  ])("tagged: %s", (_, more, exposed) => {
    expect(isExposed(service("web", [instance("web", 1, { tags: [] }), instance("web", 2, more)]), "tagged")).toBe(
      exposed,
    );
    expect(isExposed(service("web", [instance("web", 1, more)]), "all")).toBe(true);
  });

  test("a service without instances has nothing to tell by, and stays", () => {
    expect(isExposed(service("web", []), "tagged")).toBe(true);
  });

  test("Consul itself never is", () => {
    const consul = service("consul", [instance("consul", 1)]);
    expect([isExposed(consul, "all"), isExposed(consul, "tagged")]).toEqual([false, false]);
  });
});

test("what is not exposed is nowhere: no backend, no route, no exclusion", () => {
  const hidden = service("hidden", [instance("hidden", 1, { tags: [], address: "junk" })]);
  const { backends, routes, excluded } = routed([hidden, service("web", [instance("web", 1)])]);
  expect(backends.map(({ name }) => name)).toEqual(["web"]);
  expect(routes.map(({ backend }) => backend)).toEqual(["web"]);
  expect(excluded).toEqual([]);
});
