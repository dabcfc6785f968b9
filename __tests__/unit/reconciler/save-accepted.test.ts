import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Accepted, Hold } from "../../../src/guard/types.ts";
import { EventLog } from "../../../src/reconciler/events.ts";
import { saveAccepted } from "../../../src/reconciler/save-accepted.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { FakeStore } from "../../support/fake-store.ts";
import { ManualClock } from "../../support/manual-clock.ts";

class SlowStore extends FakeStore {
  writes = 0;
  takesMs = 0;
  problem: string | undefined;

  override async writeAccepted(accepted: Accepted): Promise<void> {
    if (this.takesMs > 0) await clock.sleep(this.takesMs);
    if (this.problem !== undefined) throw new Error(this.problem);
    this.writes += 1;
    await super.writeAccepted(accepted);
  }
}

let clock: ManualClock;
let store: SlowStore;
let events: EventLog;
let life: AbortController;
let save: (accepted: Accepted) => void;

beforeEach(() => {
  clock = new ManualClock();
  store = new SlowStore([], () => undefined);
  events = new EventLog(clock, silentLogger);
  life = new AbortController();
  save = saveAccepted(store, clock, events, life.signal);
});
afterEach(() => life.abort());

/** Services by name with so many instances each; those of none are remembered. */
function accepted(services: Readonly<Record<string, number>>, holds: readonly Hold[] = []): Accepted {
  const entries = Object.entries(services);
  return {
    services: new Map(
      entries.map(([name, count]) => {
        const key = { datacenter: "dc1", name };
        const instances = [...Array(count).keys()].map((index) => instanceOf(name, index));
        return [name, { key, instances, freshness: { asOf: 0, stale: false } }];
      }),
    ),
    emptySince: new Map(entries.filter(([, count]) => count === 0).map(([name]) => [name, 1])),
    holds,
    losses: [],
    suspects: [],
  };
}

function instanceOf(name: string, index: number) {
  return {
    node: "n",
    id: `${name}-${index}`,
    service: { datacenter: "dc1", name },
    address: "10.0.0.1",
    port: 8_000 + index,
    tags: [],
    meta: {},
    weights: { passing: 1, warning: 1 },
    health: "passing" as const,
  };
}

/** A snapshot that is on the disk. */
async function saved(first: Accepted): Promise<Accepted> {
  save(first);
  await clock.advance(0);
  expect(store.accepted).toBe(first);
  return first;
}

test("what only instances are like waits, and is written once", async () => {
  await saved(accepted({ web: 1, api: 1 }));
  save(accepted({ web: 2, api: 1 }));
  await clock.advance(500);
  const second = accepted({ web: 3, api: 1 });
  save(second);
  await clock.advance(499);
  expect(store.writes).toBe(1);
  await clock.advance(1);
  expect(store).toMatchObject({ writes: 2, accepted: second });
});

describe("is written at once", () => {
  const held: Hold = { service: "web", instance: instanceOf("web", 0), since: 1, cause: "zero" };
  for (const [what, before, after] of [
    ["a service that is new", accepted({ web: 1 }), accepted({ web: 1, api: 1 })],
    ["a service that has become empty", accepted({ web: 1, api: 1 }), accepted({ web: 1, api: 0 })],
    ["a service that is forgotten", accepted({ web: 1, api: 0 }), accepted({ web: 1 })],
    ["an instance that is held", accepted({ web: 1 }), accepted({ web: 1 }, [held])],
    ["one that is not held any more", accepted({ web: 1 }, [held]), accepted({ web: 1 })],
  ] as const) {
    test(what, async () => {
      await saved(before);
      save(after);
      await clock.advance(0);
      expect(store.accepted).toBe(after);
    });
  }

  test("also where an instance waits for its time already", async () => {
    await saved(accepted({ web: 1 }));
    save(accepted({ web: 2 }));
    await clock.advance(10);
    const after = accepted({ web: 2, api: 1 });
    save(after);
    await clock.advance(0);
    expect(store.accepted).toBe(after);
  });
});

test("a large catalog that changes without pause is written a fifth of the time at most, however urgent", async () => {
  store.takesMs = 100;
  for (let count = 0; count < 100; count += 1) {
    save(accepted({ web: 1, [`brief-${count}`]: 1 }));
    await clock.advance(50);
  }
  // 5 s, and each write is followed by five times what it took.
  expect(store.writes).toBeGreaterThan(6);
  expect(store.writes).toBeLessThan(10);
});

test("a write that failed is tried again until it succeeds, and its cause is said once", async () => {
  store.problem = "no space left";
  const only = accepted({ web: 1 });
  save(only);
  await clock.advance(11_000);
  const said = () => events.recent(500).filter(({ severity }) => severity === "error");
  expect(said().map(({ message }) => message)).toEqual(["the last good snapshot is not on disk: no space left"]);
  store.problem = undefined;
  await clock.advance(5_000);
  expect(store.accepted).toBe(only);

  store.problem = "no space left";
  save(accepted({ web: 1, api: 1 }));
  await clock.advance(0);
  expect(said()).toHaveLength(2);
});

test("what changes while a write fails is what is tried next, and not before its time", async () => {
  store.problem = "no space left";
  save(accepted({ web: 1 }));
  await clock.advance(1_000);
  store.problem = undefined;
  const newer = accepted({ web: 1, api: 1 });
  save(newer);
  await clock.advance(3_000);
  expect(store.writes).toBe(0);
  await clock.advance(1_000);
  expect(store).toMatchObject({ writes: 1, accepted: newer });
});

test("nothing is written after the end", async () => {
  await saved(accepted({ web: 1 }));
  save(accepted({ web: 2 }));
  life.abort();
  save(accepted({ web: 3 }));
  await clock.advance(10_000);
  expect(store.writes).toBe(1);
  expect(clock.pending).toBe(0);
});
