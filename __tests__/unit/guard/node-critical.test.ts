import { describe, expect, test } from "@jest/globals";
import type { Instance } from "../../../src/catalog/types.ts";
import { instance, service } from "../routing/fixtures.ts";
import { cutOff, fleet, policy, probe, some, start, story } from "./story.ts";

const cut = (...numbers: readonly number[]) => numbers.map((number) => instance("web", number, cutOff));

describe("instances that are critical by their nodes alone", () => {
  test("are believed while others serve", () => {
    const { see, state, health, losses } = story();
    see([service("web", fleet(1, 2))]);
    see([service("web", [...cut(1), ...fleet(2)])], { at: start + 1 });
    expect(state().held).toEqual([]);
    expect(health()).toEqual(["web-1 critical", "web-2 passing"]);
    expect(losses()).toEqual(["web-1 node-critical"]);
  });

  test("are held where they are all there is, as they were when they were well", () => {
    const { see, health, causes } = story();
    const well = fleet(1, 2);
    see([service("web", well)]);
    const { services } = see([service("web", cut(1, 2))], { at: start + 1 });
    expect(health()).toEqual(["web-1 passing", "web-2 passing"]);
    expect(causes()).toEqual(["web-1 zero", "web-2 zero"]);
    expect(services.get("dc1////web")?.instances).toEqual(well);
  });

  test("one after the other: those that went first are asked", () => {
    const { see, health, suspects } = story();
    see([service("web", fleet(1, 2, 3))]);
    see([service("web", [...cut(1), ...fleet(2, 3)])], { at: start + 1_000 });
    see([service("web", cut(1, 2, 3))], { at: start + 2_000 });
    expect(health()).toEqual(["web-1 critical", "web-2 passing", "web-3 passing"]);
    expect(suspects()).toEqual(["web-1"]);
    see([service("web", cut(1, 2, 3))], { at: start + 2_100, probes: probe(true, ...fleet(1)) });
    expect(health()).toEqual(["web-1 passing", "web-2 passing", "web-3 passing"]);
  });

  test.each<[string, Partial<Instance>]>([
    ["critical by its own check", { health: "critical" }],
    ["in maintenance", { health: "maintenance" }],
    ["well again", { health: "passing" }],
    ["a warning again", { health: "warning" }],
    ["at another address", { ...cutOff, address: "10.9.9.9" }],
  ])("a hold ends when the catalog says more than that: %s", (_, more) => {
    const { see, state, released, health } = story();
    see([service("web", fleet(1))]);
    see([service("web", cut(1))], { at: start + 1 });
    expect(state().held).toEqual(["web-1"]);
    see([service("web", [instance("web", 1, more)])], { at: start + 2 });
    expect(state().held).toEqual([]);
    expect(released()).toEqual(["web-1 listed-again"]);
    expect(health()).toEqual([`web-1 ${more.health}`]);
  });

  test("a hold goes on when it vanishes as well, and when it is listed as cut off after it had vanished", () => {
    const { see, state } = story();
    see([service("web", fleet(1))]);
    see([service("web", cut(1))], { at: start + 1 });
    see([], { at: start + 2 });
    expect(state()).toEqual({ web: ["web-1"], held: ["web-1"] });
    see([service("web", cut(1))], { at: start + 3 });
    expect(state()).toEqual({ web: ["web-1"], held: ["web-1"] });
  });

  test("let go, it stands as the catalog has it, and is held again for a new loss only", () => {
    const { see, state, health } = story();
    see([service("web", fleet(1))]);
    see([service("web", cut(1))], { at: start + 1 });
    see([service("web", cut(1))], { at: start + 2, probes: probe(false, ...fleet(1)) });
    expect(health()).toEqual(["web-1 critical"]);
    see([service("web", cut(1))], { at: start + 3, probes: probe(true, ...fleet(1)) });
    expect(state().held).toEqual([]);
    see([service("web", fleet(1))], { at: start + 4 });
    see([service("web", cut(1))], { at: start + 5 });
    expect(state().held).toEqual(["web-1"]);
  });

  test("what never served is not made well by its node's failure", () => {
    const { see, state } = story();
    see([service("web", cut(1))]);
    expect(state().held).toEqual([]);
    see([service("web", some("web", 1, { health: "critical" }))], { at: start + 1 });
    see([service("web", cut(1))], { at: start + 2 });
    expect(state().held).toEqual([]);
  });

  test("a held one stays the very same, pass after pass", () => {
    const { see } = story();
    see([service("web", fleet(1, 2))]);
    const listed = service("web", cut(1, 2));
    const first = see([listed], { at: start + 1 });
    const second = see([listed], { at: start + 2 });
    const [one, other] = [first, second].map(({ services }) => services.get("dc1////web")?.instances);
    expect(one).toBe(other);
    expect(see([listed], { at: start + policy.holdForMs - 1 }).holds).toEqual(first.holds);
  });
});
