import { describe, expect, test } from "@jest/globals";
import { instance, service } from "../routing/fixtures.ts";
import { cutOff, fleet, policy, probe, some, start, story } from "./story.ts";

/** Five instances of web of which three vanish, one after the other, a second apart. */
function reduced() {
  const told = story();
  told.see([service("web", fleet(1, 2, 3, 4, 5))]);
  told.see([service("web", fleet(1, 2, 3, 4))], { at: start + 1_000 });
  told.see([service("web", fleet(1, 2, 3))], { at: start + 2_000 });
  told.see([service("web", fleet(1, 2))], { at: start + 3_000 });
  return told;
}

describe("at zero, what the window lost", () => {
  test("5 to 2 is believed at once, and nobody is asked", () => {
    const { state, suspects, losses } = reduced();
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: [] });
    expect(suspects()).toEqual([]);
    expect(losses()).toEqual(["web-3 vanished", "web-4 vanished", "web-5 vanished"]);
  });

  test("this snapshot's is held unasked, what went earlier is asked first", () => {
    const { see, state, suspects } = reduced();
    see([], { at: start + 4_000 });
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: ["web-1", "web-2"] });
    expect(suspects()).toEqual(["web-3", "web-4", "web-5"]);
  });

  test("a suspect that lives is held from when it was lost, one that does not is done with, one not asked yet waits", () => {
    const { see, state, suspects, losses, causes } = reduced();
    see([], { at: start + 4_000 });
    const probes = new Map([...probe(true, ...fleet(1, 2, 4)), ...probe(false, ...fleet(5))]);
    const { holds } = see([], { at: start + 4_100, probes });
    expect(state()).toEqual({ web: ["web-1", "web-2", "web-4"], held: ["web-1", "web-2", "web-4"] });
    expect(causes()).toEqual(["web-1 zero", "web-2 zero", "web-4 zero"]);
    expect(holds[2]?.since).toBe(start + 2_000);
    expect(suspects()).toEqual(["web-3"]);
    expect(losses()?.slice(3)).toEqual(["web-4 vanished", "web-5 vanished over"]);
    see([], { at: start + 4_200 });
    expect(suspects()).toEqual(["web-3"]);
  });

  test("a suspect is none any more once the service has an instance that serves", () => {
    const { see, state, suspects } = reduced();
    see([], { at: start + 4_000 });
    see([service("web", fleet(9))], { at: start + 4_100, probes: probe(true, ...fleet(3, 4, 5)) });
    expect(suspects()).toEqual([]);
    expect(state().held).toEqual(["web-1", "web-2"]);
  });

  test("one that is sick by its own check does not end the fall: nobody serves", () => {
    const { see, suspects } = reduced();
    see([service("web", [instance("web", 1, { health: "critical" })])], { at: start + 4_000 });
    expect(suspects()).toEqual(["web-3", "web-4", "web-5"]);
  });

  test("the rest falls sick or is taken out by hand: what vanished before is asked", () => {
    for (const health of ["critical", "maintenance"] as const) {
      const { see, state, suspects } = reduced();
      see([service("web", some("web", 2, { health }))], { at: start + 4_000 });
      expect(state().held).toEqual([]);
      expect(suspects()).toEqual(["web-3", "web-4", "web-5"]);
      see([service("web", some("web", 2, { health }))], { at: start + 4_100, probes: probe(true, ...fleet(3)) });
      expect(state()).toEqual({ web: ["web-1", "web-2", "web-3"], held: ["web-3"] });
    }
  });

  test("what left before the window is gone for good", () => {
    const { see, suspects, losses } = reduced();
    see([], { at: start + 2_000 + policy.windowMs });
    expect(suspects()).toEqual(["web-5", "web-4", "web-3"].slice(2));
    expect(losses()).toEqual(["web-1 vanished", "web-2 vanished", "web-3 vanished"]);
  });

  test("without a window only this snapshot's is held", () => {
    const { see, state, suspects } = story();
    const none = { ...policy, windowMs: 0 };
    see([service("web", fleet(1, 2))], { policy: none });
    see([service("web", fleet(1))], { at: start + 1, policy: none });
    see([], { at: start + 2, policy: none });
    expect(state().held).toEqual(["web-1"]);
    expect(suspects()).toEqual([]);
    see([], { at: start + 3, policy: none });
    expect(state().held).toEqual(["web-1"]);
  });

  test("a clock that was set back does not make it remember longer than the window", () => {
    const { see, suspects } = reduced();
    see([service("web", fleet(1, 2))], { at: start - 1_000_000 });
    see([], { at: start - 1_000_000 + policy.windowMs });
    expect(suspects()).toEqual([]);
  });
});

describe("who is neither lost nor asked", () => {
  test("what was in maintenance or critical when it went", () => {
    const { see, suspects, losses } = story();
    const leaving = [instance("web", 2, { health: "maintenance" }), instance("web", 3, { health: "critical" })];
    see([service("web", [...fleet(1), ...leaving])]);
    see([service("web", fleet(1))], { at: start + 1 });
    expect(losses()).toEqual([]);
    see([], { at: start + 2 });
    expect(suspects()).toEqual([]);
  });

  test("what stood on a node that left in good order, also when that is learned later", () => {
    const { see, state, suspects, losses, released } = story();
    see([service("web", fleet(1, 2, 3))]);
    see([service("web", fleet(1, 2))], { at: start + 1, departed: ["node-3"] });
    expect(losses()).toEqual([]);
    see([], { at: start + 2, departed: ["node-1", "node-3"] });
    expect(state().held).toEqual(["web-2"]);
    see([], { at: start + 3, departed: ["node-2"] });
    expect(state()).toEqual({ web: [], held: [] });
    expect(released()).toEqual(["web-2 node-left"]);
    expect([losses(), suspects()]).toEqual([[], []]);
  });

  test("what came back, whatever it says of itself but that its node is cut off", () => {
    for (const health of ["passing", "warning", "critical", "maintenance"] as const) {
      const { see, losses } = reduced();
      see([service("web", [...fleet(1, 2), instance("web", 3, { health })])], { at: start + 4_000 });
      expect(losses()).toEqual(["web-4 vanished", "web-5 vanished"]);
    }
    const { see, losses } = reduced();
    see([service("web", [...fleet(1, 2), instance("web", 3, cutOff)])], { at: start + 4_000 });
    expect(losses()).toEqual(["web-3 vanished", "web-4 vanished", "web-5 vanished"]);
  });

  test("what has its place taken by another instance", () => {
    const { see, losses } = reduced();
    const api = service("api", [instance("api", 4)]);
    see([api, service("web", [...fleet(1, 2), instance("web", 3, { id: "web-new", node: "n" })])], {
      at: start + 4_000,
    });
    expect(losses()).toEqual(["web-5 vanished"]);
  });
});

type Given = Parameters<ReturnType<typeof story>["see"]>[1] & object;

describe("why a hold ended", () => {
  test.each([
    ["told", {}, { probes: probe(false, ...fleet(1)) }],
    ["time-over", {}, { at: start + 1 + policy.holdForMs }],
    ["node-left", {}, { departed: ["node-1"] }],
    ["claimed", { by: instance("api", 1) }, {}],
    ["listed-again", { by: instance("web", 1, { health: "critical" }) }, {}],
  ])(
    "%s, and it is not held again for the same loss",
    (why, { by }: { by?: ReturnType<typeof instance> }, given: Given) => {
      const { see, state, released, losses } = story();
      see([service("web", fleet(1, 2))]);
      see([], { at: start + 1 });
      expect(released()).toEqual([]);
      const others = by === undefined ? [] : [service(by.service.name, [by])];
      see(others, { at: start + 2, ...given });
      expect(released()).toContain(`web-1 ${why}`);
      see(others, { ...given, at: (given.at ?? start) + 3, probes: probe(true, ...fleet(1)) });
      expect(state().held).not.toContain("web-1");
      expect(losses()?.filter((one) => one.startsWith("web-1"))).toEqual(why === "told" ? ["web-1 vanished over"] : []);
    },
  );
});
