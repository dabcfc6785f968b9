import { beforeEach, expect, test } from "@jest/globals";
import { Awaited } from "../../../src/reconciler/awaited.ts";
import { EventLog } from "../../../src/reconciler/events.ts";
import { SluiceError } from "../../../src/support/errors.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { ManualClock } from "../../support/manual-clock.ts";

let clock: ManualClock;
let events: EventLog;
let passes: number;
let awaited: Awaited;

beforeEach(() => {
  clock = new ManualClock();
  events = new EventLog(clock, silentLogger);
  passes = 0;
  awaited = new Awaited({
    clock,
    events,
    onWait: () => {
      passes += 1;
    },
  });
});

const missed = (message: string) => awaited.missed(new SluiceError("ERR_HAPROXY_AWAITED", message));
const said = () => events.recent(10).map(({ type, severity, message }) => `${severity} ${type}: ${message}`);

test("it is said once, and again when something else is missing", () => {
  expect(awaited.now).toBe(false);
  for (const message of ["no master", "no master", "no worker", "no worker"]) missed(message);
  expect(said()).toEqual(["warn process-awaited: no master", "warn process-awaited: no worker"]);
  expect(awaited.now).toBe(true);
});

test("a pass follows when the wait begins and when it has become long, and no other", async () => {
  missed("no master");
  expect([passes, awaited.long]).toEqual([1, false]);
  await clock.advance(9_999);
  missed("no master");
  expect([passes, awaited.long]).toEqual([1, false]);
  await clock.advance(1);
  missed("no master");
  missed("no master");
  expect([passes, awaited.long]).toEqual([2, true]);
});

test("when it is there the wait is over, and the next one is another", () => {
  missed("no master");
  awaited.found();
  expect([awaited.now, awaited.long]).toEqual([false, false]);
  missed("no master");
  expect(said()).toHaveLength(2);
  expect(passes).toBe(2);
});
