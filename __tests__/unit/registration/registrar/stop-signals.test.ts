import { describe, expect, test } from "@jest/globals";
import { StopSignals, signalNumber } from "../../../../src/registration/registrar/stop-signals.ts";
import { container } from "../../../support/containers.ts";

const one = container("c1", { startedAtMs: 1_000 });

function stopping(signal: string | undefined, more: Partial<typeof one> = {}, nowMs = 2_000, atMs = 2_000) {
  const signals = new StopSignals(60_000);
  signals.heard(one.id, signal, atMs);
  return signals.isStopping({ ...one, ...more }, nowMs);
}

describe("a container was told to stop", () => {
  test.each(["15", "2", "SIGTERM", "term"])("by signal %s, whatever its image says", (signal) => {
    expect(stopping(signal)).toBe(true);
    expect(stopping(signal, { stopSignal: "SIGQUIT" })).toBe(true);
  });

  test.each([
    ["3", "SIGQUIT"],
    ["28", "SIGWINCH"],
    ["37", "SIGRTMIN+3"],
    ["10", "USR1"],
    ["1", "1"],
  ])("by signal %s where its image says %s", (signal, stopSignal) => {
    expect(stopping(signal)).toBe(false);
    expect(stopping(signal, { stopSignal })).toBe(true);
  });

  test.each(["9", "1", "3", "foo", "", undefined, "-15", "9999"])("not by signal %s", (signal) => {
    expect(stopping(signal)).toBe(false);
  });

  test("not in this run of it", () => {
    expect(stopping("15", { startedAtMs: 2_001 })).toBe(false);
  });

  test("and runs on: then it stays, later where its own stop timeout is long", () => {
    expect(stopping("15", {}, 61_999)).toBe(true);
    expect(stopping("15", {}, 62_000)).toBe(false);
    expect(stopping("15", { stopTimeoutMs: 300_000 }, 300_000)).toBe(true);
    expect(stopping("15", { stopTimeoutMs: 300_000 }, 312_000)).toBe(false);
  });

  test("and is gone: it is forgotten", () => {
    const signals = new StopSignals(60_000);
    signals.heard(one.id, "15", 2_000);
    signals.keepOnly(new Set([one.id]));
    expect(signals.isStopping(one, 2_000)).toBe(true);
    signals.keepOnly(new Set());
    expect(signals.isStopping(one, 2_000)).toBe(false);
  });

  test("is not hidden by what comes after", () => {
    const signals = new StopSignals(60_000);
    signals.heard(one.id, "15", 2_000);
    signals.heard(one.id, "1", 2_001);
    expect(signals.isStopping(one, 2_002)).toBe(true);
  });
});

test.each([
  ["SIGKILL", 9],
  ["RTMIN", 34],
  ["SIGRTMIN+15", 49],
  ["SIGNOTHING", undefined],
])("%s is %s", (text, number) => {
  expect(signalNumber(text)).toBe(number);
});
