import { describe, expect, test } from "@jest/globals";
import type { Snapshot } from "../../../src/catalog/types.ts";
import { accept } from "../../../src/guard/accept.ts";
import type { Accepted } from "../../../src/guard/types.ts";
import { instance, service } from "../routing/fixtures.ts";
import { fleet, noProbes, policy, probe, snapshot, start, story, web } from "./story.ts";

describe("a fall to zero", () => {
  test.each([
    ["the service is listed without instances", [service("web", [])]],
    ["the service is not listed any more", []],
    ["all that is left is critical", [service("web", [instance("web", 9, { health: "critical" })])]],
    ["all that is left is in maintenance", [service("web", [instance("web", 9, { health: "maintenance" })])]],
  ])("holds what vanished: %s", (_, after) => {
    const { see, state } = story();
    see([service("web", fleet(1, 2))]);
    see(after, { at: start + 5 });
    expect(state().held).toEqual(["web-1", "web-2"]);
    expect(state().web?.filter((id) => id !== "web-9")).toEqual(["web-1", "web-2"]);
  });

  test("instances that were seen in maintenance or critical are not held, the others are", () => {
    const { see, state } = story();
    const stopping = [instance("web", 1, { health: "maintenance" }), instance("web", 2, { health: "critical" })];
    see([service("web", [...stopping, ...fleet(3)])]);
    see([]);
    expect(state()).toEqual({ web: ["web-3"], held: ["web-3"] });
  });

  test("a service that was stopped in the proper way goes to zero at once", () => {
    const { see, state } = story();
    see([service("web", fleet(1, 2))]);
    see([
      service(
        "web",
        [1, 2].map((number) => instance("web", number, { health: "maintenance" })),
      ),
    ]);
    see([service("web", [])]);
    expect(state()).toEqual({ web: [], held: [] });
  });

  test("instances that turn critical are not held: the catalog still speaks of them", () => {
    const { see, state } = story();
    see([service("web", fleet(1, 2))]);
    const { services } = see([
      service(
        "web",
        [1, 2].map((number) => instance("web", number, { health: "critical" })),
      ),
    ]);
    expect(state().held).toEqual([]);
    expect(services.get(web)?.instances.map(({ health }) => health)).toEqual(["critical", "critical"]);
  });

  test("a fall in two steps holds at once what was still there, and no more unasked", () => {
    const { see, state } = story();
    see([service("web", fleet(1, 2, 3, 4, 5))]);
    see([service("web", fleet(1, 2))]);
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: [] });
    see([]);
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: ["web-1", "web-2"] });
  });

  test("several services fall at once: each is held, sorted by service, node, id", () => {
    const api = service("api", [instance("api", 1)]);
    const before = accept(undefined, snapshot([service("web", fleet(1, 2)), api]), noProbes, policy, start);
    const { holds } = accept(before, snapshot([]), noProbes, policy, start + 1);
    expect(holds.map((hold) => [hold.service, hold.instance.id, hold.since])).toEqual([
      ["dc1////api", "api-1", start + 1],
      [web, "web-1", start + 1],
      [web, "web-2", start + 1],
    ]);
  });
});

describe("what does not fall to zero is believed as it is", () => {
  test.each([
    ["5 to 2", fleet(1, 2)],
    ["5 to 1 with a warning", [instance("web", 1, { health: "warning" })]],
    ["5 others", fleet(11, 12, 13, 14, 15)],
  ])("%s", (_, after) => {
    const { see } = story();
    see([service("web", fleet(1, 2, 3, 4, 5))]);
    const next = service("web", after);
    const { services, holds } = see([next]);
    expect(services.get(web)).toBe(next);
    expect(holds).toEqual([]);
  });

  test("the first snapshot of all", () => {
    const { see } = story();
    const first = service("web", []);
    expect(see([first]).services.get(web)).toBe(first);
  });
});

describe("a hold ends", () => {
  function held() {
    const told = story();
    told.see([service("web", fleet(1, 2))]);
    told.see([], { at: start });
    return told;
  }

  test("for the one that does not accept a connection any more; for one that does, or was not asked, it goes on", () => {
    const { see, state } = held();
    see([], { at: start + 1_000, probes: probe(true, ...fleet(1, 2)) });
    expect(state().held).toEqual(["web-1", "web-2"]);
    see([], { at: start + 2_000, probes: probe(false, ...fleet(1)) });
    expect(state()).toEqual({ web: ["web-2"], held: ["web-2"] });
    see([], { at: start + 3_000, probes: probe(false, ...fleet(2)) });
    expect(state()).toEqual({ web: [], held: [] });
    see([], { at: start + 4_000 });
    expect(state()).toEqual({ web: [], held: [] });
  });

  test("after holdFor, counted from the loss, whatever happens meanwhile", () => {
    const { see, state } = held();
    see([], { at: start + 200_000 });
    see([service("web", [])], { at: start + 250_000 });
    see([service("web", [])], { at: start + policy.holdForMs - 1 });
    expect(state().held).toEqual(["web-1", "web-2"]);
    see([service("web", [])], { at: start + policy.holdForMs });
    expect(state()).toEqual({ web: [], held: [] });
    see([], { at: start + policy.holdForMs + 1 });
    expect(state()).toEqual({ web: [], held: [] });
  });

  test("after holdFor from then on, where the clock was set back", () => {
    const { see, state } = held();
    see([], { at: start - 10_000_000 });
    see([], { at: start - 10_000_000 + policy.holdForMs - 1 });
    expect(state().held).toEqual(["web-1", "web-2"]);
    see([], { at: start - 10_000_000 + policy.holdForMs });
    expect(state().held).toEqual([]);
  });

  test("when the catalog lists it again, in whatever health; the others stay until they answer no more", () => {
    const { see, state } = held();
    see([service("web", [instance("web", 1, { health: "critical" })])], { at: start + 1 });
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: ["web-2"] });
    see([service("web", fleet(1))], { at: start + 2 });
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: ["web-2"] });
    see([service("web", fleet(1, 2))], { at: start + 3 });
    expect(state()).toEqual({ web: ["web-1", "web-2"], held: [] });
  });

  test("when it is listed at another address", () => {
    const { see } = held();
    const { services, holds } = see([service("web", [instance("web", 1, { address: "10.9.9.9" })])]);
    expect(holds.map((hold) => hold.instance.id)).toEqual(["web-2"]);
    expect(services.get(web)?.instances.map(({ address }) => address)).toEqual(["10.9.9.9", "10.0.0.2"]);
  });

  test("when its address is that of a new instance of the service", () => {
    const { see, state } = held();
    see([service("web", [instance("web", 1, { id: "web-new", node: "n" })])]);
    expect(state()).toEqual({ web: ["web-new", "web-2"], held: ["web-2"] });
  });

  test("when its address becomes that of another service: who answers there is that one", () => {
    const { see, state } = held();
    const api = service("api", [instance("api", 2)]);
    see([api]);
    expect(state()).toEqual({ web: ["web-1"], held: ["web-1"] });
    see([api], { at: start + 1, probes: probe(true, ...fleet(1, 2)) });
    expect(state().held).toEqual(["web-1"]);
  });

  test("but not for a service that has been at that address all along: one process under two names", () => {
    const alias = service("alias", [instance("alias", 1), instance("alias", 2)]);
    const { see, state } = story();
    see([service("web", fleet(1, 2)), alias]);
    see([alias]);
    expect(state().held).toEqual(["web-1", "web-2"]);
    see([service("alias", [instance("alias", 1, { health: "warning" }), instance("alias", 2)])]);
    expect(state().held).toEqual(["web-1", "web-2"]);
  });

  test("when the service is there and not selected any more: it goes at once, with its memory", () => {
    const { see, state, released } = held();
    const { services, emptySince, losses } = see([], { at: start + 1, unselected: [web] });
    expect(state()).toEqual({ web: undefined, held: [] });
    expect(released()).toEqual(["web-1 unselected", "web-2 unselected"]);
    expect(losses).toEqual([]);
    expect([services.size, emptySince.size]).toEqual([0, 0]);
  });
});

describe("a service without instances", () => {
  const since = (accepted: Accepted) => accepted.emptySince.get(web);
  const gone = [instance("web", 1, { health: "maintenance" })];

  test("is remembered, from when it was empty, for rememberMs after which it goes", () => {
    const { see, state } = story();
    see([service("web", gone)], { at: start });
    expect(since(see([], { at: start + 10 }))).toBe(start + 10);
    see([], { at: start + 10 + policy.rememberMs - 1 });
    expect(state().web).toEqual([]);
    const { services, emptySince } = see([], { at: start + 10 + policy.rememberMs });
    expect([services.size, emptySince.size]).toEqual([0, 0]);
  });

  test("counts from the end of the hold", () => {
    const { see } = story();
    see([service("web", fleet(1))], { at: start });
    expect(since(see([], { at: start + 10 }))).toBeUndefined();
    expect(since(see([], { at: start + 20, probes: probe(false, ...fleet(1)) }))).toBe(start + 20);
  });

  test("stays for as long as it is listed", () => {
    const { see, state } = story();
    see([service("web", [])], { at: start });
    see([service("web", [])], { at: start + policy.rememberMs * 3 });
    expect(state().web).toEqual([]);
    see([], { at: start + policy.rememberMs * 3 + 1 });
    expect(state().web).toBeUndefined();
  });

  test("begins anew when it had instances in between", () => {
    const { see } = story();
    see([service("web", gone)], { at: start });
    see([], { at: start + 10 });
    expect(since(see([service("web", fleet(1))], { at: start + 20 }))).toBeUndefined();
    see([service("web", gone)], { at: start + 25 });
    expect(since(see([], { at: start + 30 }))).toBe(start + 30);
  });

  test("is not remembered for longer because the clock was set back", () => {
    const { see } = story();
    see([service("web", gone)], { at: start });
    see([], { at: start + 10 });
    expect(since(see([], { at: start - 1_000_000 }))).toBe(start - 1_000_000);
  });
});

describe("identity", () => {
  test("nothing new: the very same services", () => {
    const { see } = story();
    const all = [service("web", fleet(1, 2)), service("api", [])];
    const first = see(all);
    expect([...see(all, { at: start + 1 }).services.values()]).toEqual([...first.services.values()]);
    for (const [key, one] of see(all, { at: start + 2 }).services) expect(one).toBe(first.services.get(key));
  });

  test("a held and a remembered service stay the same objects while nothing changes", () => {
    const { see } = story();
    see([service("web", fleet(1, 2)), service("api", [instance("api", 1, { health: "critical" })])]);
    const first = see([], { at: start + 1 });
    const second = see([], { at: start + 2 });
    for (const key of [web, "dc1////api"]) {
      expect(second.services.get(key)).toBeDefined();
      expect(second.services.get(key)).toBe(first.services.get(key));
    }
    expect(second.holds.map(({ since }) => since)).toEqual([start + 1, start + 1]);
  });

  test("a new freshness is taken, with the instances as the same list", () => {
    const { see } = story();
    see([service("web", fleet(1))]);
    const first = see([service("web", [])], { at: start + 1 }).services.get(web);
    const second = see([service("web", [], { freshness: { asOf: 7, stale: true } })], { at: start + 2 }).services.get(
      web,
    );
    expect(second?.freshness).toEqual({ asOf: 7, stale: true });
    expect(second?.instances).toBe(first?.instances);
  });

  test("what went in is not changed", () => {
    const before = accept(undefined, snapshot([service("web", fleet(2, 1))]), noProbes, policy, start);
    const copy = structuredClone(before);
    accept(before, snapshot([]), noProbes, policy, start + 1);
    expect(before).toEqual(copy);
  });
});

describe("what nothing is known of", () => {
  const sick = [...fleet(1), instance("web", 2, { health: "critical" })];
  const ask = (before: Accepted | undefined, next: Snapshot, at = start, probes = noProbes) =>
    accept(before, next, probes, policy, at);

  test("a service that is not watched stays as it was, to the very object and for as long as it takes", () => {
    const first = ask(undefined, snapshot([service("web", sick), service("db", [])]));
    const later = ask(first, snapshot([], [], [web, "dc1////db"]), start + 2 * policy.rememberMs);
    expect(later.services.get(web)).toBe(first.services.get(web));
    expect(later.services.has("dc1////db")).toBe(true);
    expect(later.emptySince).toEqual(first.emptySince);
    expect(later.holds).toEqual([]);
  });

  test("one that never was accepted is not made up", () => {
    expect(ask(undefined, snapshot([], [], [web])).services.size).toBe(0);
  });

  test("what it holds goes on being asked and comes to its end", () => {
    const first = ask(undefined, snapshot([service("web", fleet(1, 2))]));
    const holding = ask(first, snapshot([service("web", [])]));
    const unwatched = ask(holding, snapshot([], [], [web]), start + 5, probe(false, ...fleet(1)));
    expect(unwatched.holds).toMatchObject([{ instance: { id: "web-2" }, since: start }]);
    expect(unwatched.services.get(web)?.instances.map(({ id }) => id)).toEqual(["web-2"]);
    const over = ask(unwatched, snapshot([], [], [web]), start + policy.holdForMs);
    expect(over.services.get(web)?.instances).toEqual([]);
    expect(over.holds).toEqual([]);
  });

  test("a service that was never answered keeps its instances, and says that they are stale", () => {
    const first = ask(undefined, snapshot([service("web", sick)]));
    const freshness = { asOf: 1, stale: true, reason: "unusable", unanswered: true };
    const next = snapshot([{ ...service("web", []), freshness }]);
    const after = ask(first, next, start + policy.holdForMs);
    expect(after.services.get(web)).toEqual({ ...first.services.get(web), freshness });
    expect(after.services.get(web)?.instances).toBe(first.services.get(web)?.instances);
    expect(after.holds).toEqual([]);
    expect(ask(after, next, start + policy.holdForMs).services.get(web)).toBe(after.services.get(web));
    expect(ask(undefined, next).services.get(web)?.instances).toEqual([]);
  });
});
