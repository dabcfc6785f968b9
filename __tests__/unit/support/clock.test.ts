import { getEventListeners } from "node:events";
import { describe, expect, test } from "@jest/globals";
import { systemClock } from "../../../src/support/clock.ts";

describe("systemClock", () => {
  test("a sleep moves monotonic time by no less than it was asked for", async () => {
    const before = systemClock.now();
    await systemClock.sleep(20);
    // A timer of Node may fire up to a millisecond early.
    expect(systemClock.now() - before).toBeGreaterThanOrEqual(19);
  });

  test("wall time is that of the machine", () => {
    const before = Date.now();
    const wall = systemClock.wall();
    expect(wall).toBeGreaterThanOrEqual(before);
    expect(wall).toBeLessThanOrEqual(Date.now());
  });

  test("a sleep rejects with the signal's reason, before and while it sleeps", async () => {
    const reason = new Error("stop");
    await expect(systemClock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const abort = new AbortController();
    const sleeping = systemClock.sleep(60_000, abort.signal);
    abort.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });

  test("a sleep that was aborted leaves no timer behind", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const abort = new AbortController();
    const before = timers();
    const sleeping = systemClock.sleep(60_000, abort.signal);
    expect(timers()).toBe(before + 1);
    abort.abort();
    expect(timers()).toBe(before);
    await expect(sleeping).rejects.toThrow();
  });

  test("a sleep leaves no listener on the signal", async () => {
    const { signal } = new AbortController();
    const sleeping = systemClock.sleep(1, signal);
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    await sleeping;
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  test("a timer calls once; one that was cancelled does not", async () => {
    const calls: string[] = [];
    const cancel = systemClock.timer(1, () => calls.push("cancelled"));
    const cancelLate = systemClock.timer(1, () => calls.push("called"));
    cancel();
    await systemClock.sleep(30);
    cancelLate();
    expect(calls).toEqual(["called"]);
  });
});
