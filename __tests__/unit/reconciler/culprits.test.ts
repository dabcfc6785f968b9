import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { findCulprits } from "../../../src/reconciler/culprits.ts";

/** A search over numbers of which some are bad; counts the trials. */
async function search(count: number, bad: ReadonlySet<number>) {
  let trials = 0;
  const found = await findCulprits([...Array(count).keys()], async (withheld) => {
    trials += 1;
    return [...bad].every((one) => withheld.includes(one));
  });
  return { found: [...found].sort((a, b) => a - b), trials };
}

describe("the search for culprits", () => {
  test("finds one of a thousand in about twenty trials", async () => {
    const { found, trials } = await search(1_000, new Set([617]));
    expect(found).toEqual([617]);
    expect(trials).toBeLessThanOrEqual(20);
  });

  test("asks nothing where there is one suspect only", async () => {
    expect(await search(1, new Set([0]))).toEqual({ found: [0], trials: 0 });
  });

  test("finds all that are bad and no other, whichever they are", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.uniqueArray(fc.nat(39), { minLength: 1 }),
        async (count, picks) => {
          const bad = new Set(picks.filter((pick) => pick < count));
          fc.pre(bad.size > 0);
          const { found, trials } = await search(count, bad);
          expect(found).toEqual([...bad].sort((a, b) => a - b));
          expect(trials).toBeLessThanOrEqual(2 * bad.size * (Math.ceil(Math.log2(count)) + 1));
        },
      ),
    );
  });
});
