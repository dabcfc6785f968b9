import { describe, expect, test } from "@jest/globals";
import type { CatalogService } from "../../../src/catalog/types.ts";
import { instance, service } from "../routing/fixtures.ts";
import { policy, start, story, web } from "./story.ts";

const tags = ["haproxy.host=a.example.com"];
const one = instance("web", 1, { tags });

/** In maintenance, and then gone: nothing is held of it. */
function leave(told: ReturnType<typeof story>, left: CatalogService | undefined) {
  told.see([service("web", [one])]);
  told.see([service("web", [{ ...one, health: "maintenance" }])], { at: start + 1 });
  return told.see(left === undefined ? [] : [left], { at: start + 2 });
}

describe("a service whose last instance left", () => {
  const spoke = [{ node: one.node, id: one.id, tags, meta: one.meta }];

  test("is remembered with what that one said, listed without an instance or not at all", () => {
    expect(leave(story(), service("web", [])).services.get(web)).toMatchObject({ instances: [], spoke });
    expect(leave(story(), undefined).services.get(web)).toMatchObject({ instances: [], spoke });
  });

  test("is the very same object as long as nothing changes", () => {
    const told = story();
    const empty = service("web", []);
    const first = leave(told, empty).services.get(web);
    expect(told.see([empty], { at: start + 3 }).services.get(web)).toBe(first);
    expect(told.see([], { at: start + 4 }).services.get(web)).toBe(first);
    expect(told.see([], { at: start + 5 }).services.get(web)).toBe(first);
  });

  test("speaks for itself as soon as it has one again", () => {
    const told = story();
    leave(told, undefined);
    const back = service("web", [instance("web", 2)]);
    expect(told.see([back], { at: start + 3 }).services.get(web)).toBe(back);
  });

  test("is forgotten in time, or at once where it is not selected any more", () => {
    const told = story();
    leave(told, undefined);
    expect(told.see([], { at: start + 2 + policy.rememberMs }).services.has(web)).toBe(false);
    const other = story();
    leave(other, undefined);
    expect(other.see([], { at: start + 3, unselected: [web] }).services.has(web)).toBe(false);
  });
});

describe("other datacenters", () => {
  const there = instance("web", 9, { node: "n9.dc2", service: { ...one.service, datacenter: "dc2" } });

  test("are followed, also beside what is held", () => {
    const told = story();
    told.see([{ ...service("web", [one]), elsewhere: [there] }]);
    const held = told.see([{ ...service("web", []), elsewhere: [] }], { at: start + 1 });
    expect(told.state()).toEqual({ web: ["web-1"], held: ["web-1"] });
    expect(held.services.get(web)?.elsewhere).toEqual([]);
  });

  test("that have not answered yet keep what was accepted of them, without a new object each time", () => {
    const told = story();
    told.see([{ ...service("web", [one]), elsewhere: [there] }]);
    const waiting = { ...service("web", [one]), elsewhere: [], unansweredElsewhere: ["dc2"] };
    const first = told.see([waiting], { at: start + 1 }).services.get(web);
    expect(first?.elsewhere).toEqual([there]);
    expect(told.see([waiting], { at: start + 2 }).services.get(web)).toBe(first);
  });
});
