import { expect, test } from "@jest/globals";
import { withoutOwnRegistrations } from "../../../src/routing/own-registrations.ts";
import { instance, routed, service } from "./fixtures.ts";

const ours = instance("web", 9, { meta: { "sluice-registered": "m1:80" } });

test("HAProxy registered as a service is no server of it", () => {
  const web = service("web", [instance("web", 1), ours]);
  expect(routed([web]).backends[0]?.servers.map(({ instance: of }) => of.id)).toEqual(["web-1"]);
  expect(routed([service("web", [ours])], { services: { expose: "all" } }).backends).toEqual([]);
});

test("a service without such registrations stays the very same object", () => {
  const web = service("web", [instance("web", 1)]);
  expect(withoutOwnRegistrations(web)).toBe(web);
});
