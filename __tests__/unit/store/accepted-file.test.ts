import { describe, expect, test } from "@jest/globals";
import { parseSnapshot } from "../../../src/catalog/snapshot-file.ts";
import { acceptedToJson, parseAccepted } from "../../../src/store/accepted-file.ts";
import { cutOff, fleet, start, story } from "../guard/story.ts";
import { instance, service } from "../routing/fixtures.ts";

/** As it is read from the disk. */
const stored = (value: unknown) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;

/** Three instances of which one vanished a while ago, and two are held, one of them listed as cut off. */
function held() {
  const told = story();
  told.see([service("web", fleet(1, 2, 3)), service("api", [])]);
  told.see([service("web", fleet(1, 2)), service("api", [])], { at: start + 1 });
  return told.see([service("web", [instance("web", 1, cutOff)]), service("api", [])], { at: start + 2 });
}

describe("what was accepted last", () => {
  test("comes back from its file: services, holds with their causes, losses that no service has any more", () => {
    const accepted = held();
    expect([accepted.holds.length, accepted.losses.length, accepted.suspects.length]).toEqual([2, 3, 1]);
    const back = parseAccepted(stored(acceptedToJson(accepted, start)));
    expect(back).toEqual({ ...accepted, suspects: [] });
    expect(back.services.get("dc1////web")?.instances).toContain(back.holds[0]?.instance);
  });

  test("knows what is over", () => {
    const accepted = held();
    const losses = accepted.losses.map((loss) => ({ ...loss, over: true }));
    expect(parseAccepted(stored(acceptedToJson({ ...accepted, losses }, start))).losses).toEqual(losses);
  });

  test("is a snapshot file like any other", () => {
    const accepted = held();
    expect(parseSnapshot(stored(acceptedToJson(accepted, start))).services).toEqual(accepted.services);
  });

  test("is read from a file that knows neither causes nor losses, or no guard at all", () => {
    const json = stored(acceptedToJson(held(), start));
    const { emptySince, holds } = json["guard"] as { emptySince: unknown; holds: Record<string, unknown>[] };
    const plain = holds.map(({ cause: _cause, ...hold }) => hold);
    const old = parseAccepted({ ...json, guard: { emptySince, holds: plain } });
    expect(old.holds.map(({ cause }) => cause)).toEqual(["zero", "zero"]);
    expect(old.losses).toEqual([]);
    const { guard: _guard, ...bare } = json;
    expect(parseAccepted(bare)).toMatchObject({ holds: [], losses: [] });
  });

  test("leaves out holds and losses of what is not there", () => {
    const json = stored(acceptedToJson(held(), start));
    const { services: _services, ...rest } = json;
    expect(parseAccepted({ ...rest, services: [] })).toMatchObject({ holds: [], losses: [] });
  });

  test.each([
    ["a cause that is not known", { holds: [{ service: "s", node: "n", id: "i", since: 1, cause: "mood" }] }],
    ["a loss without its instance", { losses: [{ service: "s", since: 1, how: "vanished" }] }],
  ])("is refused with %s", (_, broken) => {
    const json = stored(acceptedToJson(held(), start));
    const guard = { ...(json["guard"] as object), ...broken };
    expect(() => parseAccepted({ ...json, guard })).toThrow("the guard's part of the last good snapshot is broken");
  });
});
