import { expect, test } from "@jest/globals";
import { fewAtOnce } from "../../../src/registration/few-at-once.ts";
import { settled } from "../../support/manual-clock.ts";

test("eight are under way at most, and what comes of them is in order", async () => {
  const waiting: (() => void)[] = [];
  const all = fewAtOnce([...Array(20).keys()], async (item) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return item;
  });
  await settled();
  expect(waiting).toHaveLength(8);
  for (let done = 0; done < 20; done += 1) {
    // The newest first: they end in another order than they began.
    waiting.pop()?.();
    await settled();
    expect(waiting.length).toBeLessThanOrEqual(8);
  }
  expect(await all).toEqual([...Array(20).keys()]);
  expect(await fewAtOnce([], async () => 1)).toEqual([]);
});

test("after one has failed none is begun, and those under way end first", async () => {
  const begun: number[] = [];
  let end: () => void = () => undefined;
  const all = fewAtOnce([...Array(20).keys()], async (item) => {
    begun.push(item);
    if (item === 0) throw new Error("refused");
    if (item === 1) {
      await new Promise<void>((resolve) => {
        end = resolve;
      });
    }
    await settled();
  });
  let over = false;
  const done = all.catch((thrown: unknown) => {
    over = true;
    return thrown;
  });
  await settled();
  await settled();
  expect(over).toBe(false);
  end();
  expect(await done).toEqual(new Error("refused"));
  expect(begun).toHaveLength(8);
});
