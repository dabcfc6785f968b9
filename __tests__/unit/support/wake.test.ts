import { getEventListeners } from "node:events";
import { describe, expect, test } from "@jest/globals";
import { Wake } from "../../../src/support/wake.ts";
import { TestClock } from "../../support/test-clock.ts";

function begin(ms?: number) {
  const wake = new Wake();
  const clock = new TestClock();
  const abort = new AbortController();
  const state = { woken: 0 };
  const wait = async () => {
    await wake.wait(clock, abort.signal, ms);
    state.woken += 1;
  };
  return { wake, clock, abort, state, wait };
}

/** Lets everything that is due run. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("Wake", () => {
  test("rung any number of times before, it wakes the next waiter once", async () => {
    const { wake, state, wait } = begin();
    wake.ring();
    wake.ring();
    await wait();
    const second = wait();
    await settle();
    expect(state.woken).toBe(1);
    wake.ring();
    await second;
    expect(state.woken).toBe(2);
  });

  test("rung while somebody waits, it wakes that one and nobody after", async () => {
    const { wake, state, wait } = begin();
    const first = wait();
    wake.ring();
    wake.ring();
    await first;
    const second = wait();
    await settle();
    expect(state.woken).toBe(1);
    wake.ring();
    await second;
  });

  test("time wakes it too, and not before", async () => {
    const { clock, state, wait } = begin(100);
    const waiting = wait();
    clock.advance(99);
    await settle();
    expect(state.woken).toBe(0);
    clock.advance(1);
    await waiting;
    expect(state.woken).toBe(1);
  });

  test("abort ends the wait without an error, and one that begins later ends at once", async () => {
    const { abort, state, wait } = begin();
    const waiting = wait();
    abort.abort(new Error("stop"));
    await waiting;
    await wait();
    expect(state.woken).toBe(2);
  });

  test.each(["ring", "time", "abort"])("leaves no timer and no listener behind: %s", async (how) => {
    const { wake, clock, abort, wait } = begin(100);
    const waiting = wait();
    expect([clock.pending(), getEventListeners(abort.signal, "abort").length]).toEqual([[100], 1]);
    if (how === "ring") wake.ring();
    else if (how === "time") clock.advance(100);
    else abort.abort();
    await waiting;
    expect([clock.pending(), getEventListeners(abort.signal, "abort").length]).toEqual([[], 0]);
  });
});
