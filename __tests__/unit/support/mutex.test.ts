import { describe, expect, test } from "@jest/globals";
import { Mutex } from "../../../src/support/mutex.ts";

function gate(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe("Mutex", () => {
  test("one at a time, in the order of asking, each with its own result", async () => {
    const mutex = new Mutex();
    const log: string[] = [];
    const gates = [gate(), gate(), gate()];
    const results = gates.map(({ promise }, index) =>
      mutex.run(async () => {
        log.push(`in ${index}`);
        await promise;
        log.push(`out ${index}`);
        return index;
      }),
    );
    // Opened from the last to the first: the order of asking decides all the same.
    for (const { resolve } of gates.toReversed()) resolve();
    expect(await Promise.all(results)).toEqual([0, 1, 2]);
    expect(log).toEqual(["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"]);
  });

  test("with nobody inside a task begins before run returns", async () => {
    const mutex = new Mutex();
    let begun = false;
    const done = mutex.run(() => {
      begun = true;
    });
    expect(begun).toBe(true);
    await done;
    begun = false;
    void mutex.run(() => {
      begun = true;
    });
    expect(begun).toBe(true);
  });

  test("a task that throws, at once or later, rejects its own run and lets the next one in", async () => {
    const mutex = new Mutex();
    const atOnce = mutex.run(() => {
      throw new Error("at once");
    });
    const later = mutex.run(async () => {
      await Promise.resolve();
      throw new Error("later");
    });
    const last = mutex.run(() => "in");
    await expect(atOnce).rejects.toThrow("at once");
    await expect(later).rejects.toThrow("later");
    expect(await last).toBe("in");
  });

  test("asked again and again at the moment others end, never two are inside", async () => {
    const mutex = new Mutex();
    let inside = 0;
    let most = 0;
    let turns = 0;
    const worker = async () => {
      for (let round = 0; round < 50; round += 1) {
        await mutex.run(async () => {
          inside += 1;
          most = Math.max(most, inside);
          for (let wait = 0; wait < round % 4; wait += 1) await Promise.resolve();
          inside -= 1;
          turns += 1;
        });
        for (let wait = 0; wait < round % 3; wait += 1) await Promise.resolve();
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    expect([most, turns]).toEqual([1, 150]);
  });
});
