import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { BlockingQuery, type BlockingQueryOptions } from "../../../src/catalog/blocking-query.ts";
import { type ConsulAnswer, ConsulClient } from "../../../src/catalog/consul-client.ts";
import { Slots } from "../../../src/catalog/slots.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { eventually } from "../../support/eventually.ts";
import { type FakeConsul, startFakeConsul } from "../../support/fake-consul.ts";
import { TestClock } from "../../support/test-clock.ts";

const path = "/v1/things";
const words = (text: string) => text.split(",").filter((word) => word !== "");

let consul: FakeConsul;
let clock: TestClock;
let end: AbortController;
let running: Promise<void>;
let query: BlockingQuery<string>;
let told: string[];
let confirming: (() => Promise<true | string>) | undefined;

beforeEach(async () => {
  consul = await startFakeConsul();
  clock = new TestClock();
  end = new AbortController();
  told = [];
  confirming = undefined;
  running = Promise.resolve();
});

afterEach(async () => {
  end.abort();
  await running;
  await consul.stop();
});

function start(more: Partial<BlockingQueryOptions<string>> = {}): void {
  const client = new ConsulClient({ settings: { address: consul.address, tls: {} }, clock, logger: silentLogger });
  query = new BlockingQuery<string>({
    name: "things",
    client,
    clock,
    logger: silentLogger,
    random: () => 1,
    request: { path: "/things" },
    waitMs: 60_000,
    parse: (body) => (body as string[]).join(),
    same: (a, b) => a === b,
    vanished: (previous, next) => previous !== "" && next === "",
    confirm: () => confirming?.() ?? Promise.resolve(true),
    missing: (outstanding, answered) =>
      words(outstanding)
        .filter((word) => !words(answered).includes(word))
        .join() || undefined,
    join: (answered, missing) => [...new Set([...words(answered), ...words(missing)])].sort().join(),
    onValue: (value, { changed, reason }) =>
      told.push(`${changed ? "new" : "same"} ${value}${reason === undefined ? "" : " (stale)"}`),
    onFreshness: (reason) => told.push(reason === undefined ? "fresh" : `stale: ${reason}`),
    ...more,
  });
  running = query.run(end.signal).finally(() => client.close());
}

async function asked(count: number): Promise<void> {
  await eventually(() => consul.asked(path).length >= count, `request ${count}`);
}

const lastQuery = () => consul.asked(path).at(-1)?.query ?? {};

/** An answer as a second read brings it. */
function read(index: number, body: readonly string[]): ConsulAnswer {
  return { headers: { "x-consul-index": String(index) }, body, answeredAt: clock.now() };
}

describe("doubt", () => {
  test("makes the value stale until the next good answer", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    query.doubt("Consul is silent");
    query.doubt("Consul is silent still");
    expect(query.status()).toMatchObject({ stale: true, reason: "Consul is silent" });
    consul.answer(path, { index: 8, body: ["a"] });
    await eventually(() => told.includes("fresh"));
    expect(told).toEqual(["new a", "stale: Consul is silent", "same a", "fresh"]);
  });

  test("has nothing to say before the first answer", async () => {
    start();
    await asked(1);
    query.doubt("Consul is silent");
    expect(told).toEqual([]);
  });
});

describe("renew", () => {
  test("gives up the request under way and asks anew at once, without an index", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    query.doubt("Consul is silent");
    query.renew();
    await asked(3);
    expect(lastQuery()).toEqual({});
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(4);
    expect(lastQuery()["index"]).toBe("7");
    expect(told.slice(-2)).toEqual(["same a", "fresh"]);
    expect(query.status().errors).toBe(0);
    expect(clock.sleeps).toEqual([]);
  });

  test("takes its turn among those that ask at the same moment, and keeps it while it waits", async () => {
    const reads = new Slots(1);
    start({ reads });
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    let leave: () => void = () => undefined;
    const other = reads.run(() => new Promise<void>((resolve) => (leave = resolve)), end.signal);
    query.renew();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(consul.asked(path)).toHaveLength(2);
    leave();
    await other;
    await asked(3);
    consul.answer(path, { index: 7, body: ["a"] });
    // The question that blocks holds no slot.
    await asked(4);
    await reads.run(async () => undefined, end.signal);
  });

  test("another Consul that has the same index by chance is heard", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    query.renew();
    await asked(3);
    consul.answer(path, { index: 7, body: ["a", "b"] }, { index: 7, body: ["a", "b"] });
    await eventually(() => query.value() === "a,b");
    expect(query.status().stale).toBe(false);
  });

  test("ends the wait after a failure", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { status: 500, body: "" });
    await eventually(() => query.status().errors === 1);
    query.renew();
    await asked(3);
    consul.answer(path, { index: 9, body: ["b"] });
    await eventually(() => query.value() === "b");
  });
});

describe("refresh", () => {
  test("asks beside the request under way, which goes on", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    query.doubt("Consul is silent");
    const refreshing = query.refresh();
    await asked(3);
    expect(lastQuery()).toEqual({});
    consul.always(path, ({ query: { index } }) => (index === undefined ? { index: 7, body: ["a"] } : undefined));
    consul.reconsider();
    await refreshing;
    expect(query.status().stale).toBe(false);
    expect(consul.asked(path)).toHaveLength(3);
    // The request from before is the one that is answered next.
    consul.answer(path, { index: 8, body: ["b"] });
    await eventually(() => query.value() === "b");
    expect(query.status().errors).toBe(0);
  });

  test("that is not answered renews", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    let refused = 0;
    consul.always(path, ({ query: { index } }) => {
      if (index !== undefined) return undefined;
      refused += 1;
      return refused === 1 ? { status: 500, body: "" } : { index: 9, body: ["b"] };
    });
    await query.refresh();
    await eventually(() => query.value() === "b");
  });

  test("ends the wait after a failure, and is nothing before the start and after the end", async () => {
    start();
    consul.answer(path, { status: 500, body: "" });
    await eventually(() => query.status().errors === 1);
    await eventually(() => clock.sleeps.length === 1);
    await query.refresh();
    await asked(2);
    consul.answer(path, { index: 9, body: ["b"] });
    await eventually(() => query.value() === "b");
    end.abort();
    await running;
    const before = consul.requests.length;
    await query.refresh();
    expect(consul.requests.length).toBe(before);
  });
});

test("while Consul is known to give no answer at all, it is not asked again and again", async () => {
  start({ silent: () => true });
  consul.answer(path, { raw: (_response, socket) => socket.destroy() });
  await eventually(() => clock.sleeps.length === 1);
  expect(clock.sleeps).toEqual([10_000]);
  query.renew();
  consul.answer(path, { index: 7, body: ["a"] });
  await eventually(() => query.value() === "a");
});

describe("wake", () => {
  test("ends the wait after a failure and no request under way", async () => {
    let recovered = 0;
    start({ onRecovery: () => (recovered += 1) });
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    query.wake();
    consul.answer(path, { status: 403, body: "" });
    await eventually(() => query.status().errors === 1);
    expect(consul.asked(path)).toHaveLength(2);
    expect(recovered).toBe(0);
    query.wake();
    await asked(3);
    consul.answer(path, { index: 9, body: ["b"] });
    await eventually(() => recovered === 1);
    expect(query.value()).toBe("b");
  });

  test("a scout asks again within half a second where it is turned away", async () => {
    start({ scout: true });
    for (let errors = 1; errors <= 5; errors += 1) {
      consul.answer(path, { status: 403, body: "" });
      await eventually(() => query.status().errors === errors);
      clock.advance(500);
    }
    expect(clock.sleeps.slice(0, 5)).toEqual([250, 500, 500, 500, 500]);
  });
});

describe("an answer that was read beside the watch", () => {
  test("brings back what the watch's own answers lost", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a", "b"] }, { index: 8, body: ["a"] });
    await asked(3);
    await query.offer(read(9, ["a", "b"]), end.signal);
    expect(query.value()).toBe("a,b");
    expect(query.status()).toMatchObject({ stale: false, index: "9" });
  });

  test("with the index that is known brings back what it has, stale, and the watch does not take it away again", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a", "b"] }, { index: 8, body: ["a"] });
    await asked(3);
    await query.offer(read(8, ["b"]), end.signal);
    expect(query.value()).toBe("a,b");
    expect(told.at(-1)).toBe("new a,b (stale)");
    // The view repeats itself at the end of its time.
    consul.answer(path, { index: 8, body: ["a"], before: () => clock.advance(60_000) });
    await asked(4);
    expect(query.value()).toBe("a,b");
    consul.answer(path, { index: 9, body: ["a", "b"] });
    await eventually(() => told.includes("fresh"));
  });

  test("with the index that is known takes nothing away", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a", "b"] });
    await asked(2);
    await query.offer(read(7, ["a"]), end.signal);
    expect(query.value()).toBe("a,b");
    expect(query.status().reason).toMatch(/consul\.token/);
  });

  test("that says the same changes nothing but the index, and the watch goes on", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    await query.offer(read(9, ["a"]), end.signal);
    expect(told).toEqual(["new a", "same a"]);
    consul.answer(path, { index: 10, body: ["b"] });
    await eventually(() => query.value() === "b");
    expect(consul.asked(path)).toHaveLength(3);
  });

  test("with a lower index makes the watch ask anew", async () => {
    start();
    consul.answer(path, { index: 70, body: ["a"] });
    await asked(2);
    await query.offer(read(8, ["b"]), end.signal);
    await asked(3);
    expect(lastQuery()).toEqual({});
    expect(query.value()).toBe("a");
  });

  test("without an index is no answer", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    await expect(query.offer({ headers: {}, body: [], answeredAt: 0 }, end.signal)).rejects.toMatchObject({
      code: "ERR_CONSUL_ANSWER_INVALID",
    });
    expect(query.value()).toBe("a");
  });

  test("while an empty answer is being confirmed is the younger one, whatever the confirmation says", async () => {
    let confirm: (value: true) => void = () => undefined;
    confirming = () => new Promise((resolve) => (confirm = resolve));
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { index: 8, body: [] });
    await eventually(() => query.status().index === "8");
    await query.offer(read(9, ["a"]), end.signal);
    confirm(true);
    await asked(3);
    expect(query.value()).toBe("a");
    expect(lastQuery()["index"]).toBe("9");
  });
});

test("a confirmation that fails is tried again less and less often", async () => {
  confirming = () => Promise.reject(new Error("no answer"));
  start();
  consul.answer(path, { index: 7, body: ["a"] });
  consul.always(path, () => ({ index: 8, body: [] }));
  const retries = () => clock.sleeps.filter((ms) => [50, 100, 200, 400, 500].includes(ms));
  for (let errors = 1; errors <= 5; errors += 1) {
    await eventually(() => query.status().errors === errors);
    clock.advance(1_000);
  }
  expect(retries().slice(0, 5)).toEqual([50, 100, 200, 400, 500]);
  expect(query.value()).toBe("a");
});
