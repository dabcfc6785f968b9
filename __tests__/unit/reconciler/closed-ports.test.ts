import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { type BusyBind, busyBinds, ClosedPorts } from "../../../src/reconciler/closed-ports.ts";
import type { Wish } from "../../../src/reconciler/desire.ts";
import type { ConfigProblem, Verdict } from "../../../src/reconciler/ports.ts";
import { RunningState } from "../../../src/reconciler/running.ts";
import { ManualClock, settled } from "../../support/manual-clock.ts";

const text = "frontend a\n  bind :5432\n  bind 10.0.0.1:5433\n";

test("what a preflight says of ports is told with the line that wants them", () => {
  const problems: readonly ConfigProblem[] = [
    { line: 2, port: 5_432, message: "in use" },
    { line: 1, message: "chroot: no such directory" },
    { message: "out of memory" },
  ];
  expect(busyBinds(problems, text)).toEqual([{ port: 5_432, reason: "in use", line: "  bind :5432" }]);
});

describe("a port that cannot be opened", () => {
  const one: BusyBind = { port: 5_432, reason: "in use", line: "  bind :5432" };
  const other: BusyBind = { port: 5_433, reason: "in use", line: "  bind :5433" };
  const { signal } = new AbortController();
  let clock: ManualClock;
  let ports: ClosedPorts;
  /** Configurations that were tried, and what is busy meanwhile. */
  let tried: string[];
  let busy: readonly number[];
  let opened: number;

  /** A wish whose services asked for these. */
  const wish = (...listening: readonly number[]) =>
    ({ loadBalancer: { listeners: listening.map((port) => ({ port, mode: "tcp", sni: false })) } }) as unknown as Wish;

  beforeEach(() => {
    clock = new ManualClock();
    [tried, busy, opened] = [[], [], 0];
    const preflight = async (candidate: string): Promise<Verdict> => {
      tried.push(candidate);
      const problems = busy.map((port) => ({ line: 1, port, message: "in use" }));
      return problems.length === 0 ? { ok: true, warnings: [] } : { ok: false, stage: "preflight", problems };
    };
    ports = new ClosedPorts({
      clock,
      process: { preflight },
      state: new RunningState(),
      onOpen: () => {
        opened += 1;
      },
    });
  });
  afterEach(() => ports.stop());

  test("is left closed where services asked for it, and nothing else is", () => {
    expect(ports.close(wish(5_432), [one, other], signal)).toBe(true);
    expect([...ports.closed]).toEqual([[5_432, "in use"]]);
    // Known by now: there is nothing else to try.
    expect(ports.close(wish(5_432), [one], signal)).toBe(false);
    expect(ports.close(wish(), [other], signal)).toBe(false);
    expect(ports.close(wish(5_432), [], signal)).toBe(false);
  });

  test("is tried again with growing waits, without a word to anybody, and opened once that works", async () => {
    busy = [5_432];
    ports.close(wish(5_432, 5_433), [one, other], signal);
    const { closed } = ports;
    await clock.advance(9_999);
    expect(tried).toEqual([]);
    await clock.advance(1);
    await settled();
    expect(tried).toEqual(["frontend closed_0\n  bind :5432\nfrontend closed_1\n  bind :5433\n"]);
    expect([...ports.closed.keys()]).toEqual([5_432]);
    expect(ports.closed).not.toBe(closed);
    expect(opened).toBe(1);
    await clock.advance(19_999);
    expect(tried).toHaveLength(1);
    await clock.advance(1);
    await settled();
    expect(tried).toHaveLength(2);
    expect(opened).toBe(1);
    busy = [];
    await clock.advance(40_000);
    await settled();
    expect(ports.closed.size).toBe(0);
    expect(opened).toBe(2);
    await clock.advance(3_600_000);
    expect(tried).toHaveLength(3);
  });

  test("is not tried any more after the end", async () => {
    ports.close(wish(5_432), [one], signal);
    ports.stop();
    await clock.advance(3_600_000);
    expect(tried).toEqual([]);
  });
});
