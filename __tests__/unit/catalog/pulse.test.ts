import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { ConsulClient } from "../../../src/catalog/consul-client.ts";
import { Pulse } from "../../../src/catalog/pulse.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { eventually } from "../../support/eventually.ts";
import { type FakeAnswer, type FakeConsul, startFakeConsul } from "../../support/fake-consul.ts";
import { TestClock } from "../../support/test-clock.ts";

const path = "/v1/status/leader";
const leader: FakeAnswer = { body: '"127.0.0.1:8300"' };

let consul: FakeConsul;
let clock: TestClock;
let end: AbortController;
let running: Promise<void>;
let pulse: Pulse;
/** What was told, in order: the reason of an outage, or "back". */
let told: string[];

beforeEach(async () => {
  consul = await startFakeConsul();
  clock = new TestClock();
  end = new AbortController();
  told = [];
  const client = new ConsulClient({ settings: { address: consul.address, tls: {} }, clock, logger: silentLogger });
  pulse = new Pulse({
    client,
    clock,
    logger: silentLogger,
    onLost: (reason) => told.push(reason),
    onBack: (survived) => told.push(survived ? "back" : "back, connections lost"),
  });
  running = pulse.run(end.signal).finally(() => client.close());
});

afterEach(async () => {
  end.abort();
  await running;
  await consul.stop();
});

async function asked(count: number): Promise<void> {
  await eventually(() => consul.asked(path).length >= count, `beat ${count}`);
}

/** Lets the pulse sleep, and the sleep pass. */
async function rest(sleeps: number): Promise<void> {
  await eventually(() => clock.sleeps.length >= sleeps, `sleep ${sleeps}`);
  clock.advance(clock.sleeps[sleeps - 1] ?? 0);
}

test("asks once a second, on one connection, and says nothing while there is a leader", async () => {
  consul.always(path, () => leader);
  for (let beat = 1; beat <= 5; beat += 1) {
    await asked(beat);
    await rest(beat);
  }
  expect(clock.sleeps.every((ms) => ms === 1_000)).toBe(true);
  expect(consul.connections()).toBe(1);
  expect(told).toEqual([]);
  expect(pulse.outage()).toBeUndefined();
});

test("silence is looked at twice, then said, with since when", async () => {
  consul.answer(path, leader);
  await rest(1);
  await asked(2);
  clock.advance(2_000);
  await asked(3);
  expect(told).toEqual([]);
  clock.advance(500);
  await eventually(() => told.length === 1);
  const since = new Date(1_800_000_000_000 + 1_000).toISOString();
  expect(told[0]).toContain(`Consul has not answered since ${since}: `);
  expect(pulse.outage()).toEqual({ since: 1_800_000_000_000 + 1_000, reason: told[0] });
});

test("a stall that is over at the second look is no outage", async () => {
  await asked(1);
  clock.advance(2_000);
  await asked(2);
  consul.answer(path, leader, leader);
  await eventually(() => clock.sleeps.length === 1);
  expect(told).toEqual([]);
});

test("an old connection that is not answered while a new one is has died, and others may have with it", async () => {
  consul.always(path, (request) => (request === consul.asked(path)[0] ? undefined : leader));
  await asked(1);
  clock.advance(2_000);
  await asked(2);
  await eventually(() => clock.pending().includes(1_000));
  expect(told).toEqual([]);
  clock.advance(1_000);
  await eventually(() => told.length === 1);
  expect(told).toEqual(["back, connections lost"]);
  expect(pulse.outage()).toBeUndefined();
});

test("a beat from before the outage that is answered at last tells that its connection survived", async () => {
  await asked(1);
  clock.advance(2_000);
  await asked(2);
  clock.advance(500);
  await asked(3);
  consul.answer(path, ...consul.asked(path).map(() => leader));
  await eventually(() => told.length === 2);
  expect(told[1]).toBe("back");
});

test("while Consul is away it is tried again every 300 ms on connections of their own, at most seven at a time", async () => {
  await asked(1);
  clock.advance(2_000);
  await asked(2);
  clock.advance(500);
  await eventually(() => told.length === 1);
  for (let attempt = 3; attempt <= 14; attempt += 1) {
    await asked(attempt);
    clock.advance(300);
  }
  const timers = clock.pending();
  expect(timers.length).toBeLessThanOrEqual(9);
  // The newest is answered, while those before it wait on.
  consul.always(path, () => leader);
  await asked(15);
  await eventually(() => pulse.outage() === undefined);
  clock.advance(100);
  await eventually(() => told.length === 2);
  expect(told[1]).toBe("back, connections lost");
  expect(pulse.outage()).toBeUndefined();
  expect(clock.pending()).toEqual([1_000]);
});

test.each<readonly [string, FakeAnswer, RegExp]>([
  ["no leader", { body: '""' }, /Consul has had no leader since .*: it knows of none/],
  ["a 500", { status: 500, body: "No cluster leader" }, /no leader since .*with 500: No cluster leader/],
  ["HTML", { body: "<html>" }, /answers could not be read since/],
  ["an object", { body: { a: 1 } }, /answers could not be read since/],
  ["a broken connection", { raw: (_response, socket) => socket.destroy() }, /has not answered since .*ECONNRESET/],
])("%s is said, and its end", async (_what, answer, reason) => {
  consul.always(path, () => answer);
  await asked(2);
  await eventually(() => told.length === 1);
  expect(told[0]).toMatch(reason);
  consul.always(path, () => leader);
  await rest(clock.sleeps.length);
  await eventually(() => told.length === 2);
  expect(told[1]).toBe(reason.source.includes("ECONNRESET") ? "back, connections lost" : "back");
});

test.each([401, 403, 404, 429])("a %i is an answer", async (status) => {
  consul.always(path, () => ({ status, body: "" }));
  await rest(1);
  await asked(2);
  await eventually(() => clock.sleeps.length === 2);
  expect(told).toEqual([]);
});

test("an outage of another kind is said again, with the first since", async () => {
  consul.always(path, () => ({ raw: (_response, socket) => socket.destroy() }));
  await eventually(() => told.length === 1);
  const since = pulse.outage()?.since;
  consul.always(path, () => ({ body: '""' }));
  await rest(clock.sleeps.length);
  await eventually(() => told.length === 2);
  expect(told[1]).toMatch(/no leader/);
  expect(pulse.outage()?.since).toBe(since);
});

test("abort ends it at once, also in an outage", async () => {
  await asked(1);
  clock.advance(2_000);
  await asked(2);
  clock.advance(500);
  await asked(3);
  end.abort();
  await running;
  expect(clock.pending()).toEqual([]);
  expect(told).toHaveLength(1);
});
