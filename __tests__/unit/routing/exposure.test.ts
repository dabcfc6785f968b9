import { describe, expect, test } from "@jest/globals";
import { isExposed } from "../../../src/routing/exposure.ts";
import { leadsTo } from "../../support/routes.ts";
import { instance, routed, service, settings } from "./fixtures.ts";

const { services: tagged } = settings();
const { services: all } = settings({ services: { expose: "all" } });

describe("isExposed", () => {
  test.each([
    ["a haproxy.* tag", { tags: ["v1", "haproxy.enable=true"] }, true],
    ["a urlprefix-* tag", { tags: ["urlprefix-/web"] }, true],
    ["a haproxy_* meta key", { tags: [], meta: { haproxy_host: "web" } }, true],
    ["no such tag", { tags: ["v1", "xhaproxy.enable", "haproxy", "Haproxy.x", "urlprefix"] }, false],
    ["a meta key that only has the word in it", { tags: [], meta: { my_haproxy_host: "web", haproxy: "1" } }, false],
  ])("tagged: %s", (_, more, exposed) => {
    expect(isExposed(service("web", [instance("web", 1, { tags: [] }), instance("web", 2, more)]), tagged)).toBe(
      exposed,
    );
    expect(isExposed(service("web", [instance("web", 1, more)]), all)).toBe(true);
  });

  test("a service without instances has nothing to tell by, and stays", () => {
    expect(isExposed(service("web", []), tagged)).toBe(true);
  });

  test("Fabio's tags have the prefix of the settings", () => {
    const { services } = settings({ services: { fabioPrefix: "lb-" } });
    const of = (tag: string) => isExposed(service("web", [instance("web", 1, { tags: [tag] })]), services);
    expect([of("lb-/web"), of("urlprefix-/web")]).toEqual([true, false]);
  });

  test("enable decides whatever else is said, but for Consul itself", () => {
    const silent = service("web", [instance("web", 1, { tags: [] })]);
    const speaking = service("web", [instance("web", 1)]);
    expect([isExposed(silent, tagged, true), isExposed(speaking, all, false)]).toEqual([true, false]);
    expect(isExposed(service("consul", []), all, true)).toBe(false);
  });

  test("Consul itself never is", () => {
    const consul = service("consul", [instance("consul", 1)]);
    expect([isExposed(consul, all), isExposed(consul, tagged)]).toEqual([false, false]);
  });
});

test("what is not exposed is nowhere: no backend, no route, no exclusion", () => {
  const hidden = service("hidden", [instance("hidden", 1, { tags: [], address: "junk" })]);
  const { backends, routes, excluded } = routed([hidden, service("web", [instance("web", 1)])]);
  expect(backends.map(({ name }) => name)).toEqual(["web"]);
  expect(routes.map(leadsTo)).toEqual(["web"]);
  expect(excluded).toEqual([]);
});
