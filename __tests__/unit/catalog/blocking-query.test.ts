import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { BlockingQuery, type BlockingQueryOptions, blockingDeadlineMs } from "../../../src/catalog/blocking-query.ts";
import { ConsulClient } from "../../../src/catalog/consul-client.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { eventually } from "../../support/eventually.ts";
import { type FakeAnswer, type FakeConsul, startFakeConsul } from "../../support/fake-consul.ts";
import { TestClock } from "../../support/test-clock.ts";

const path = "/v1/things";
const waitMs = 60_000;

let consul: FakeConsul;
let clock: TestClock;
let end: AbortController;
let running: Promise<void>;
let query: BlockingQuery<string>;
/** What the owner was told, in order: the value and whether it changed; stale and fresh. */
let told: string[];
let confirmations: Array<true | string>;
let maxBodyBytes: number;

beforeEach(async () => {
  consul = await startFakeConsul();
  clock = new TestClock();
  end = new AbortController();
  told = [];
  confirmations = [];
  maxBodyBytes = 10_000;
  running = Promise.resolve();
});

afterEach(async () => {
  end.abort();
  await running;
  await consul.stop();
});

function start(more: Partial<BlockingQueryOptions<string>> = {}): void {
  const settings = { address: consul.address, tls: {} };
  const client = new ConsulClient({ settings, clock, logger: silentLogger, maxBodyBytes });
  query = new BlockingQuery<string>({
    name: "things",
    client,
    clock,
    logger: silentLogger,
    random: () => 0.5,
    request: { path: "/things" },
    waitMs,
    parse: (body) => {
      if (!Array.isArray(body)) throw new Error("not a list");
      return body.join();
    },
    same: (a, b) => a === b,
    vanished: (previous, next) => previous !== "" && next === "",
    confirm: async () => confirmations.shift() ?? true,
    onValue: (value, { changed }) => told.push(`${changed ? "new" : "same"} ${value}`),
    onFreshness: (reason) => told.push(reason === undefined ? "fresh" : `stale: ${reason}`),
    ...more,
  });
  running = query.run(end.signal).finally(() => client.close());
}

/** Waits until Consul was asked `count` times in all. */
async function asked(count: number): Promise<void> {
  await eventually(() => consul.asked(path).length >= count, `request ${count}`);
}

function lastQuery(): Readonly<Record<string, string>> {
  return consul.asked(path).at(-1)?.query ?? {};
}

/** Moves the clock far enough for a sleep to end, but no deadline of a request. */
async function wakeFrom(sleep: number): Promise<void> {
  await eventually(() => clock.sleeps.length >= sleep, `sleep ${sleep}`);
  clock.advance(clock.sleeps[sleep - 1] ?? 0);
}

/** An answer that comes after Consul held the request for its whole time. */
function late(answer: FakeAnswer, heldMs = waitMs): FakeAnswer {
  return { ...answer, before: () => clock.advance(heldMs) };
}

describe("the index", () => {
  test("asks without one first, then blocks on the one it got", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    expect(consul.asked(path)[0]?.query).toEqual({});
    expect(lastQuery()).toEqual({ index: "7", wait: "60000ms" });
    consul.answer(path, { index: 9, body: ["b"] });
    await asked(3);
    expect(lastQuery()["index"]).toBe("9");
    expect(told).toEqual(["new a", "new b"]);
  });

  test("is carried whole beyond 2^53", async () => {
    start();
    consul.answer(path, { index: "16210313421097356768", body: ["a"] });
    await asked(2);
    expect(lastQuery()["index"]).toBe("16210313421097356768");
  });

  test.each([
    ["1", { index: 1 }],
    ["0", { index: 0 }],
    ["missing", {}],
    ["not a number", { index: "7; drop" }],
  ])("%s means no data: the value stays, and it is read anew", async (_what, answer) => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { ...answer, body: [] });
    await wakeFrom(1);
    await asked(3);
    expect(lastQuery()).toEqual({});
    expect(query.value()).toBe("a");
    expect(query.status()).toMatchObject({ stale: true, errors: 1, index: "7" });
    consul.answer(path, { index: 7, body: ["a"] });
    await eventually(() => told.includes("fresh"));
    expect(told.filter((line) => line.startsWith("new"))).toEqual(["new a"]);
  });

  test("that is lower than before discards the answer and reads anew", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { index: 3, body: ["old"] }, { index: 3, body: ["b"] });
    await asked(4);
    expect(told).toEqual(["new a", "new b"]);
    expect(consul.asked(path)[2]?.query).toEqual({});
    expect(lastQuery()["index"]).toBe("3");
  });

  test("that comes back early leads to one read without it", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { index: 7, body: ["a"] }, { index: 5, body: ["regressed"] });
    consul.answer(path, { index: 5, body: ["restored"] });
    await asked(5);
    expect(consul.asked(path).map(({ query: { index } }) => index)).toEqual([
      undefined,
      "7",
      undefined,
      undefined,
      "5",
    ]);
    expect(told).toEqual(["new a", "new restored"]);
  });

  test("that keeps coming back early is asked for less and less often", async () => {
    start();
    consul.always(path, () => ({ index: 7, body: ["a"] }));
    await eventually(() => clock.sleeps.length === 1);
    const before = consul.requests.length;
    // Nothing more is asked before the clock moves, however long that takes.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(consul.requests.length).toBe(before);
    expect(told.every((line) => line.endsWith("a"))).toBe(true);
  });

  test("that comes back at the end of the wait is the quiet case", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, late({ index: 7, body: ["a"] }));
    await asked(3);
    expect(lastQuery()["index"]).toBe("7");
    expect(told).toEqual(["new a", "same a"]);
  });

  test("that stays while the body changes tells of rights: the value stays and is stale", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a", "b"] }, late({ index: 7, body: ["a"] }));
    await asked(3);
    expect(query.value()).toBe("a,b");
    expect(told[1]).toMatch(/^stale: .*index 7.*consul\.token/);
    // Sooner than after the whole wait.
    expect(lastQuery()).toEqual({ index: "7", wait: "10000ms" });
    consul.answer(path, late({ index: 7, body: ["a", "b"] }, 10_000));
    await eventually(() => told.includes("fresh"));
    expect(query.status().stale).toBe(false);
  });

  test("that stays by chance on another Consul, after a broken connection, does not hide its data", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { raw: (_response, socket) => socket.destroy() });
    await wakeFrom(1);
    consul.answer(path, { index: 7, body: ["b"] }, { index: 7, body: ["b"] });
    await eventually(() => query.value() === "b");
    expect(query.status().stale).toBe(false);
  });
});

describe("errors never end it and never change the value", () => {
  const broken: ReadonlyArray<readonly [string, FakeAnswer, RegExp]> = [
    ["a 500", { status: 500, body: "No cluster leader" }, /with 500: No cluster leader/],
    ["a 400 with an empty body", { status: 400, body: "" }, /with 400/],
    ["a 403", { status: 403, body: "ACL not found" }, /with 403: ACL not found.*consul\.token/],
    ["a 404", { status: 404, body: "" }, /with 404/],
    ["a 204", { status: 204, index: 9 }, /with 204/],
    ["HTML with 200", { headers: { "content-type": "text/html" }, index: 9, body: "<html>hello</html>" }, /not a list/],
    ["JSON that is none", { index: 9, body: "[1," }, /not JSON/],
    ["JSON of another shape", { index: 9, body: { a: 1 } }, /not a list/],
    ["a connection that breaks", { raw: (_response, socket) => socket.destroy() }, /ECONNRESET/],
    [
      "a body that is cut",
      {
        raw: (response, socket) => {
          response.writeHead(200, {
            "content-type": "application/json",
            "content-length": "100",
            "x-consul-index": "9",
          });
          response.write("[1]", () => socket.destroy());
        },
      },
      /middle of the answer/,
    ],
    [
      "a chunked body that is cut",
      {
        raw: (response, socket) => {
          response.writeHead(200, { "content-type": "application/json", "x-consul-index": "9" });
          response.write("[]", () => socket.destroy());
        },
      },
      /middle of the answer/,
    ],
    ["a body that is announced too large", { index: 9, body: `[${"1,".repeat(6_000)}1]` }, /larger than 10000 bytes/],
    [
      "a body that grows too large",
      {
        raw: (response) => {
          response.writeHead(200, { "content-type": "application/json", "x-consul-index": "9" });
          const more = () => response.write(" ".repeat(3_000), () => response.destroyed || setImmediate(more));
          more();
        },
      },
      /larger than 10000 bytes/,
    ],
  ];

  test.each(broken)("%s", async (_what, answer, reason) => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, answer);
    await wakeFrom(1);
    await asked(3);
    expect(query.value()).toBe("a");
    expect(query.status()).toMatchObject({ stale: true, errors: 1, reason: expect.stringMatching(reason) });
    expect(lastQuery()).toEqual({});
    consul.answer(path, { index: 11, body: ["b"] });
    await eventually(() => query.value() === "b");
    expect(query.status().stale).toBe(false);
  });

  test("a redirect is not followed", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { status: 301, headers: { location: "/v1/elsewhere" } });
    await wakeFrom(1);
    await asked(3);
    expect(consul.asked("/v1/elsewhere")).toEqual([]);
    expect(query.status().reason).toMatch(/301: a redirect, which is not followed/);
  });

  test("a hundred 400s in a row do not end it, and are not a storm", async () => {
    start({ random: () => 1 });
    for (let errors = 1; errors <= 100; errors += 1) {
      consul.answer(path, { status: 400, body: "" });
      await eventually(() => query.status().errors === errors);
      clock.advance(31_000);
    }
    consul.answer(path, { index: 7, body: ["a"] });
    await eventually(() => query.value() === "a");
    // Full jitter at its upper end: doubling up to half a minute, for what is refused is not to be had soon.
    expect(clock.sleeps.slice(0, 3)).toEqual([1_000, 2_000, 4_000]);
    expect(Math.max(...clock.sleeps)).toBe(30_000);
  });

  test("a local agent that is away is asked again within half a second", async () => {
    start({ random: () => 1 });
    for (let errors = 1; errors <= 8; errors += 1) {
      consul.answer(path, { status: 500, body: "" });
      await eventually(() => query.status().errors === errors);
      clock.advance(1_000);
    }
    expect(clock.sleeps.slice(0, 5)).toEqual([50, 100, 200, 400, 500]);
    expect(Math.max(...clock.sleeps)).toBe(500);
  });

  test.each([401, 403, 429])("a %i is not asked again at the pace of a local agent that is away", async (status) => {
    start({ random: () => 1 });
    for (let errors = 1; errors <= 8; errors += 1) {
      consul.answer(path, { status, body: "" });
      await eventually(() => query.status().errors === errors);
      await wakeFrom(errors);
    }
    expect(clock.sleeps.slice(0, 8)).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000, 5_000]);
  });

  test("an answer that is too large is not begun again at that pace either", async () => {
    start({ random: () => 1 });
    for (let errors = 1; errors <= 4; errors += 1) {
      consul.answer(path, { index: 9, body: `[${"1,".repeat(6_000)}1]` });
      await eventually(() => query.status().errors === errors);
      await wakeFrom(errors);
    }
    expect(clock.sleeps.slice(0, 4)).toEqual([500, 1_000, 2_000, 4_000]);
  });

  test.each([
    ["5", 5_000],
    ["86400", 60_000],
  ])("Retry-After: %s is heeded, within a minute", async (value, waited) => {
    start();
    consul.answer(path, { status: 429, headers: { "retry-after": value }, body: "" });
    await eventually(() => clock.sleeps.length === 1);
    expect(clock.sleeps[0]).toBe(waited);
  });

  test("a server that hangs is given up at the deadline", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] });
    await asked(2);
    clock.advance(blockingDeadlineMs(waitMs) - 1);
    expect(query.status().errors).toBe(0);
    clock.advance(1);
    await eventually(() => query.status().errors === 1);
    expect(query.status().reason).toMatch(/no answer within 77800 ms/);
    await wakeFrom(1);
    await asked(3);
    expect(query.value()).toBe("a");
  });

  test("abort ends it at once, while it blocks, sleeps or is asked anew", async () => {
    start();
    await asked(1);
    end.abort();
    await running;
    expect(told).toEqual([]);
    expect(clock.pending()).toEqual([]);
  });
});

describe("a storm", () => {
  test("passes its first changes at once and is slowed down to ten a second", async () => {
    let index = 10;
    start({ random: () => 0 });
    consul.always(path, () => {
      index += 1;
      return { index, body: [String(index)] };
    });
    // The burst: five without any wait.
    await eventually(() => clock.sleeps.length === 1);
    expect(told).toHaveLength(5);
    for (let round = 1; round <= 20; round += 1) await wakeFrom(round);
    await eventually(() => told.length === 25);
    expect(clock.sleeps.slice(0, 20).every((ms) => Math.round(ms) === 100)).toBe(true);
  });
});

describe("a value that vanishes", () => {
  test("is believed when the second read agrees", async () => {
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { index: 8, body: [] });
    await eventually(() => query.value() === "");
    expect(told).toEqual(["new a", "new "]);
  });

  test("is kept, and stale, while the second read disagrees", async () => {
    confirmations = ["a second read lists 1"];
    start();
    consul.answer(path, { index: 7, body: ["a"] }, { index: 8, body: [] });
    await asked(3);
    expect(query.value()).toBe("a");
    expect(told).toEqual(["new a", "stale: a second read lists 1"]);
    expect(lastQuery()).toEqual({ index: "8", wait: "10000ms" });
    // Asked again after the short wait, it agrees.
    consul.answer(path, late({ index: 8, body: [] }, 10_000));
    await eventually(() => query.value() === "");
    expect(told.slice(2)).toEqual(["new ", "fresh"]);
  });

  test("is kept for two agents' rounds when the index went back, and comes back without a trace", async () => {
    start();
    consul.answer(path, { index: 70, body: ["a"] }, { index: 8, body: [] }, { index: 8, body: [] });
    await asked(4);
    expect(query.value()).toBe("a");
    expect(told[1]).toMatch(/^stale: .*lost or restored/);
    consul.answer(path, { index: 9, body: ["a"] });
    await eventually(() => told.includes("fresh"));
    expect(told.filter((line) => line.startsWith("new"))).toEqual(["new a"]);
  });

  test("is believed at once after a lower index with the same body, as a streaming view may have it", async () => {
    start();
    consul.answer(path, { index: 70, body: ["a"] }, late({ index: 60, body: ["a"] }), { index: 70, body: ["a"] });
    consul.answer(path, { index: 71, body: [] });
    await eventually(() => query.value() === "");
    expect(told).toEqual(["new a", "same a", "new "]);
  });

  test("is believed two and a half minutes after the index went back", async () => {
    start();
    consul.answer(path, { index: 70, body: ["a"] }, { index: 8, body: [] }, { index: 8, body: [] });
    await asked(4);
    for (let waits = 0; waits < 15; waits += 1) {
      expect(query.value()).toBe("a");
      consul.answer(path, late({ index: 8, body: [] }, 10_000));
      await asked(5 + waits);
    }
    await eventually(() => query.value() === "");
  });
});

describe("a catalog that fills again after the index went back", () => {
  const words = (text: string) => text.split(",").filter((word) => word !== "");
  const joining: Partial<BlockingQueryOptions<string>> = {
    missing: (outstanding, answered) =>
      words(outstanding)
        .filter((word) => !words(answered).includes(word))
        .join() || undefined,
    join: (answered, missing) => [...new Set([...words(answered), ...words(missing)])].sort().join(),
    onValue: (value, { changed, reason }) =>
      told.push(`${changed ? "new" : "same"} ${value}${reason === undefined ? "" : ` (${reason})`}`),
  };

  async function goBack(answered: readonly string[]): Promise<void> {
    start(joining);
    consul.answer(path, { index: 70, body: ["a", "b", "c"] });
    consul.answer(path, { index: 8, body: answered }, { index: 8, body: answered });
    await asked(4);
  }

  test("takes nothing away, and what is new joins at once", async () => {
    await goBack(["b"]);
    expect(query.value()).toBe("a,b,c");
    expect(query.status()).toMatchObject({ stale: true, reason: expect.stringMatching(/may fill again/) });
    consul.answer(path, { index: 9, body: ["b", "d"] });
    await asked(5);
    expect(query.value()).toBe("a,b,c,d");
    expect(told.at(-1)).toMatch(/^new a,b,c,d \(.*may fill again\)$/);
    // Asked again after a short wait, not after the long one.
    expect(lastQuery()).toEqual({ index: "9", wait: "10000ms" });
  });

  test("is fresh once all that was believed is answered", async () => {
    await goBack(["b"]);
    consul.answer(path, { index: 9, body: ["a", "b", "c", "d"] });
    await eventually(() => told.includes("fresh"));
    expect(query.value()).toBe("a,b,c,d");
    expect(query.status().stale).toBe(false);
  });

  test("lets go of what came back and left then", async () => {
    await goBack(["b"]);
    consul.answer(path, { index: 9, body: ["c"] });
    await asked(5);
    expect(query.value()).toBe("a,c");
    expect(query.status().stale).toBe(true);
  });

  test("starts over when the index goes back once more", async () => {
    await goBack(["b", "c"]);
    // So that no answer comes too fast.
    clock.advance(1_000);
    consul.answer(path, { index: 2, body: [] }, { index: 2, body: [] });
    await asked(6);
    expect(query.value()).toBe("a,b,c");
  });

  test("counts as it is when that time is over", async () => {
    await goBack(["b"]);
    for (let waits = 0; waits < 15; waits += 1) {
      expect(query.value()).toBe("a,b,c");
      consul.answer(path, late({ index: 8, body: ["b"] }, 10_000));
      await asked(5 + waits);
    }
    await eventually(() => query.value() === "b");
    expect(query.status().stale).toBe(false);
  });
});
