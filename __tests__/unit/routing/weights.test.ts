import { describe, expect, test } from "@jest/globals";
import { instance, routed, serversOf, service } from "./fixtures.ts";

function weights(...instances: readonly Parameters<typeof instance>[2][]): readonly number[] {
  const all = instances.map((more, index) => instance("web", index + 1, more));
  return serversOf(routed([service("web", all)])).map(({ weight }) => weight);
}

const passing = (weight: number) => ({ weights: { passing: weight, warning: 1 } });

describe("weights", () => {
  test("stay as they are up to 256", () => {
    expect(weights(passing(1), passing(100), passing(256))).toEqual([1, 100, 256]);
  });

  test("beyond that one factor brings a service's weights down", () => {
    expect(weights(passing(512), passing(256), passing(2))).toEqual([256, 128, 1]);
  });

  test("what is not 0 never becomes 0", () => {
    expect(weights(passing(65_535), passing(1))).toEqual([256, 1]);
  });

  test("a warning takes the warning weight, and 0 drains", () => {
    const more = { weights: { passing: 100, warning: 10 } };
    expect(
      weights(more, { ...more, health: "warning" }, { weights: { passing: 100, warning: 0 }, health: "warning" }),
    ).toEqual([100, 10, 0]);
  });

  test("the factor counts weights that are not in force, so that health alone moves nobody else's", () => {
    const heavy = { weights: { passing: 1024, warning: 512 } };
    expect(weights(heavy, passing(100))).toEqual([256, 25]);
    expect(weights({ weights: { passing: 512, warning: 1024 } }, passing(100))).toEqual([128, 25]);
    expect(weights({ ...heavy, health: "warning" }, passing(100))).toEqual([128, 25]);
    expect(weights({ ...heavy, health: "critical" }, passing(100))).toEqual([25]);
    expect(weights({ ...heavy, health: "maintenance" }, passing(100))).toEqual([0, 25]);
  });

  test("maintenance drains, critical is no server", () => {
    expect(weights({ health: "maintenance" }, { health: "critical" }, {})).toEqual([0, 1]);
  });

  test("an instance that asks for 0 gets 0", () => {
    expect(weights({ weights: { passing: 0, warning: 0 } }, passing(3))).toEqual([0, 3]);
  });
});
