import { describe, expect, test } from "@jest/globals";
import type { Registered, RegisteredCheck, Registration } from "../../../../src/registration/agent-client.ts";
import { type StepsOptions, stepsTo, type WantedState } from "../../../../src/registration/registrar/steps.ts";

const mark = (host: string) => ({ "sluice-registrar": host });
const registration: Registration = { id: "a", name: "web", port: 80, tags: ["t"], meta: mark("h1") };
const there: Registered = { id: "a", name: "web", address: "", port: 80, tags: ["t"], meta: mark("h1") };
const options: StepsOptions = {
  host: "h1",
  adopt: false,
  isDue: () => false,
  keepsMaintenance: () => false,
  unknown: [],
};
const maintenance = (notes: string): RegisteredCheck => ({
  id: "_service_maintenance:a",
  serviceId: "a",
  status: "critical",
  notes,
});

function steps(
  wanted: readonly Partial<WantedState>[],
  services: readonly Registered[],
  checks: readonly RegisteredCheck[] = [],
  more: Partial<StepsOptions> = {},
) {
  const byId = new Map(
    wanted.map((one) => {
      const state = { registration, container: "c", ...one };
      return [state.registration.id, state] as const;
    }),
  );
  return stepsTo(byId, { services, checks }, { ...options, ...more });
}

describe("what is registered", () => {
  test("what is there as it should be is left alone", () => {
    expect(steps([{}], [there])).toEqual({ steps: [], conflicts: [] });
  });

  test.each<[string, Partial<Registered>]>([
    ["name", { name: "other" }],
    ["address", { address: "10.0.0.1" }],
    ["port", { port: 81 }],
    ["tags", { tags: [] }],
    ["the order of tags", { tags: ["u", "t"] }],
    ["meta", { meta: { ...mark("h1"), more: "x" } }],
  ])("what differs by %s is registered again", (_, difference) => {
    expect(steps([{}], [{ ...there, ...difference }]).steps).toMatchObject([{ kind: "register", id: "a" }]);
  });

  test("what lost its check is registered again", () => {
    const checked = { ...registration, check: { kind: "ttl", name: "n", ttlMs: 1_000 } as const };
    expect(steps([{ registration: checked }], [there]).steps).toMatchObject([{ kind: "register" }]);
    const check = { id: "service:a", serviceId: "a", status: "passing", notes: "" };
    expect(steps([{ registration: checked }], [there], [check]).steps).toEqual([]);
  });

  test("what is ours and not wanted goes; others', whatever they look like, does not", () => {
    const others = [
      { ...there, id: "h1:c:80", meta: {} },
      { ...there, id: "b", meta: mark("h2") },
      { ...there, id: "c", meta: { "sluice-registered": "h1" } },
    ];
    expect(steps([], [there, ...others]).steps).toEqual([{ kind: "deregister", id: "a", name: "web" }]);
  });

  test("what is of a container that is there and tells nothing stays", () => {
    const meta = { ...mark("h1"), "sluice-container": "0123456789ab" };
    const unknown = [`0123456789ab${"c".repeat(52)}`];
    expect(steps([], [{ ...there, meta }], [], { unknown }).steps).toEqual([]);
    expect(steps([], [there], [], { unknown }).steps).toMatchObject([{ kind: "deregister" }]);
  });

  test("an id that somebody else has registered is not touched, but said", () => {
    const unmarked = { ...there, name: "older", meta: {} };
    const set = [maintenance("sluice-registrar: x")];
    expect(steps([{ maintenance: "y" }], [unmarked], set)).toEqual({
      steps: [],
      conflicts: [{ container: "c", problem: expect.stringContaining("somebody else") }],
    });
    const elsewhere = steps([{}], [{ ...there, meta: mark("h2") }]);
    expect(elsewhere.conflicts[0]?.problem).toContain("the registrar of h2");
    expect(steps([{}], [unmarked], [], { adopt: true }).steps).toMatchObject([{ kind: "register", id: "a" }]);
    expect(steps([{}], [{ ...there, meta: mark("h2") }], [], { adopt: true }).steps).toEqual([]);
  });
});

describe("maintenance", () => {
  const ours = "sluice-registrar: why";

  test("is set, once, and ended", () => {
    expect(steps([{ maintenance: "why" }], [there]).steps).toEqual([
      { kind: "maintain", id: "a", on: true, reason: ours },
    ]);
    expect(steps([{ maintenance: "why" }], [there], [maintenance(ours)]).steps).toEqual([]);
    expect(steps([{ maintenance: "other" }], [there], [maintenance(ours)]).steps).toEqual([]);
    expect(steps([{}], [there], [maintenance(ours)]).steps).toEqual([
      { kind: "maintain", id: "a", on: false, reason: "" },
    ]);
  });

  test("of a registrar before us is not ended while not everything is known", () => {
    expect(steps([{}], [there], [maintenance(ours)], { keepsMaintenance: () => true }).steps).toEqual([]);
  });

  test("that somebody else has set stays, also over a change of the registration", () => {
    expect(steps([{}], [there], [maintenance("by hand")]).steps).toEqual([]);
    expect(steps([{}], [{ ...there, port: 1 }], [maintenance("by hand")]).steps).toMatchObject([
      { kind: "register", maintenance: "by hand" },
    ]);
  });

  test("comes with the registration of what is new", () => {
    expect(steps([{ maintenance: "why" }], []).steps).toMatchObject([{ kind: "register", maintenance: ours }]);
  });
});

describe("a TTL check that is kept", () => {
  const check = { kind: "ttl", name: "n", ttlMs: 60_000, status: "passing" } as const;
  const wanted = { registration: { ...registration, check }, ttl: { status: "passing", output: "o" } as const };
  const known = (status: string) => [{ id: "service:a", serviceId: "a", status, notes: "" }];

  test("is told at once of what is new, when it differs, and when it is due", () => {
    const told = { kind: "ttl", id: "a", status: "passing", output: "o" };
    expect(steps([wanted], []).steps).toMatchObject([{ kind: "register" }, told]);
    expect(steps([wanted], [there], known("passing")).steps).toEqual([]);
    expect(steps([wanted], [there], known("critical")).steps).toEqual([told]);
    expect(steps([wanted], [there], known("passing"), { isDue: () => true }).steps).toEqual([told]);
  });
});

test("what takes out of the load comes first, what is forgotten last", () => {
  const more = { ...registration, id: "new" };
  const gone = { ...there, id: "gone" };
  const kinds = steps([{ maintenance: "why" }, { registration: more }], [gone, there]).steps.map(({ kind }) => kind);
  expect(kinds).toEqual(["maintain", "register", "deregister"]);
});
