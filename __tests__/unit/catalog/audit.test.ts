import { expect, test } from "@jest/globals";
import { Audit } from "../../../src/catalog/audit.ts";
import { ManualClock } from "../../support/manual-clock.ts";

function audit() {
  const clock = new ManualClock();
  const at: number[] = [];
  const made = new Audit(clock, () => at.push(clock.now()));
  return { clock, at, audit: made, begun: clock.now() };
}

test("reads a few times after the reason, further and further apart, and then no more", async () => {
  const { clock, at, audit: made, begun } = audit();
  made.begin(new AbortController().signal);
  await clock.advance(600_000);
  expect(at.map((ms) => ms - begun)).toEqual([250, 1_000, 3_000, 10_000, 30_000]);
});

test("begins anew with another reason", async () => {
  const { clock, at, audit: made, begun } = audit();
  made.begin(new AbortController().signal);
  await clock.advance(500);
  made.begin(new AbortController().signal);
  await clock.advance(600_000);
  expect(at.map((ms) => ms - begun)).toEqual([250, 750, 1_500, 3_500, 10_500, 30_500]);
});

test("reads nothing after its end", async () => {
  const { clock, at, audit: made } = audit();
  made.begin(new AbortController().signal);
  made.stop();
  made.begin(AbortSignal.abort());
  await clock.advance(600_000);
  expect(at).toEqual([]);
});
