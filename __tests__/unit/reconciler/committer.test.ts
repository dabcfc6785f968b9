import { afterEach, describe, expect, test } from "@jest/globals";
import { A, a, B, b, C, c, servingWorld, type World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

describe("the file", () => {
  test("is validated and written behind the change; the lag is told", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    expect(world.reconciler.status().fileLagMs).toBe(0);
    await world.advance(99);
    expect(world.asked()).toEqual([`apply add web/${B} weight 1`]);
    expect(world.reconciler.status().fileLagMs).toBe(99);
    expect(world.fileServers()).toEqual({ web: { [A]: 1 } });
    await world.advance(1);
    expect(world.asked()).toEqual(["validate", "write config"]);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.reconciler.status()).toMatchObject({ generation: 2, lastFileLagMs: 100 });
    expect(world.reconciler.status().fileLagMs).toBeUndefined();
    expect(world.store.state.generation).toBe(2);
  });

  test("is behind until it is written, also while that is under way", async () => {
    await serving();
    const release = world.haproxy.hold("validate");
    await world.publish({ web: [a, b] });
    await world.advance(300);
    expect(world.reconciler.status().fileLagMs).toBe(300);
    release();
    await world.advance(0);
    expect(world.reconciler.status().fileLagMs).toBeUndefined();
  });

  test("is written once for changes in close succession, at the latest 400 ms behind the first", async () => {
    await serving();
    for (let weight = 2; weight <= 13; weight += 1) {
      await world.publish({ web: [{ ...a, weights: { passing: weight, warning: 1 } }] });
      await world.advance(50);
    }
    // 600 ms of changes, 50 ms apart: the first write came at 400 ms.
    expect(world.asked().filter((entry) => entry === "validate")).toEqual(["validate"]);
    expect(world.reconciler.status().lastFileLagMs).toBe(400);
    await world.advance(100);
    expect(world.asked()).toEqual(["validate", "write config"]);
    expect(world.fileServers()).toEqual({ web: { [A]: 13 } });
  });

  test("the lag counts from the first change also where a read-back comes between", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    world.haproxy.replaceWorker();
    await world.advance(1_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.reconciler.status().lastFileLagMs).toBe(200);
  });

  test("what could not be written is written when it can be, and counts as behind until then", async () => {
    await serving();
    world.store.failingWrites = 3;
    await world.publish({ web: [a, b] });
    await world.advance(100);
    expect(world.reconciler.status().fileLagMs).toBe(100);
    await world.advance(10_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.reconciler.status().fileLagMs).toBeUndefined();
    expect(world.eventsOf("reconcile-failed")).toHaveLength(3);
  });

  test("one that HAProxy does not take stays as it was, is shown, and the next change is tried", async () => {
    await serving();
    const before = world.store.config;
    world.haproxy.failValidation(/^defaults/);
    await world.publish({ web: [a, b] });
    await world.advance(9_000);
    expect(world.store.config).toBe(before);
    expect(world.reconciler.status().fileRefused).toEqual([expect.stringContaining("(defaults): ")]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.eventsOf("file-refused").map(({ message }) => message)).toEqual([
      expect.stringContaining("(defaults): "),
    ]);
    expect(world.reconciler.status().quarantined).toEqual([]);
    world.haproxy.mend();
    world.asked();
    await world.publish({ web: [a, c] });
    await world.advance(1_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [C]: 1 } });
    expect(world.reconciler.status().fileRefused).toBeUndefined();
    await world.advance(100_000);
    expect(world.asked().filter((entry) => entry === "validate")).toEqual(["validate"]);
  });

  test("one that HAProxy did not take is asked about again with growing waits, and at a resync", async () => {
    await serving({ settings: { resync: "1h" } });
    world.haproxy.failValidation(/^defaults/);
    await world.publish({ web: [a, b] });
    await world.advance(1_000);
    const validations = () => world.asked().filter((entry) => entry === "validate").length;
    // One for the file, the others to find out that no service is to blame.
    expect(validations()).toBeLessThanOrEqual(7);
    await world.advance(10_000);
    expect(validations()).toBe(1);
    await world.advance(18_000);
    expect(validations()).toBe(0);
    await world.advance(3_000);
    expect(validations()).toBe(1);
    world.reconciler.resync();
    await world.advance(1_000);
    expect(validations()).toBe(1);
    expect(world.eventsOf("file-refused").map(({ severity }) => severity)).toEqual([
      "error",
      "debug",
      "debug",
      "debug",
    ]);
    expect(world.reconciler.status().fileRefused).toHaveLength(1);
    world.haproxy.mend();
    world.reconciler.resync();
    await world.advance(1_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.reconciler.status().fileRefused).toBeUndefined();
  });

  test("one that is refused is not shown any more when the old one will do again", async () => {
    await serving();
    world.haproxy.failValidation(/^defaults/);
    await world.publish({ web: [a, b] });
    await world.advance(1_000);
    expect(world.reconciler.status().fileRefused).toHaveLength(1);
    await world.publish({ web: [a] });
    await world.advance(1_000);
    expect(world.reconciler.status().fileRefused).toBeUndefined();
  });

  test("one of which HAProxy gave no verdict is written when it does", async () => {
    await serving();
    world.haproxy.failCheck = true;
    await world.publish({ web: [a, b] });
    await world.advance(10_000);
    expect(world.reconciler.status().fileRefused).toBeUndefined();
    expect(world.reconciler.status().fileLagMs).toBe(10_000);
    world.haproxy.failCheck = false;
    await world.advance(10_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
  });

  test("is written while a reload has to wait for its turn", async () => {
    await serving({ settings: { reload: { minInterval: "60s" } } });
    await world.publish({ web: [a], api: [c] });
    await world.advance(1_000);
    expect(world.asked()).not.toContain("reload");
    await world.publish({ web: [a, b], api: [c] });
    await world.advance(1_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    await world.advance(60_000);
    expect(world.asked().filter((entry) => entry === "reload")).toEqual(["reload"]);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 1 } });
  });
});

test("what HAProxy runs already and has not yet said is nobody else's doing", async () => {
  await serving();
  await world.publish({ web: [a, b] });
  await world.advance(99);
  const release = world.haproxy.hold("answer");
  // The write of the first change comes while the second is under way.
  await world.publish({ web: [a, { ...b, weights: { passing: 7, warning: 1 } }] });
  await world.advance(50);
  release();
  await world.advance(1_000);
  expect(world.eventsOf("drift")).toEqual([]);
  expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 7 } });
});

test("a write that is due while a pass reads back waits for it, and does not make it begin again and again", async () => {
  await serving();
  const { observe } = world.haproxy;
  world.haproxy.observe = async (backends) => {
    await world.clock.sleep(500);
    return observe.call(world.haproxy, backends);
  };
  await world.publish({ web: [a, b] });
  await world.advance(90);
  // The write falls due in the middle of the first read-back, behind which another one waits.
  world.reconciler.resync();
  await world.advance(20);
  world.reconciler.resync();
  world.journal.splice(0);
  await world.advance(5_000);
  expect(world.reconciler.status().haproxy.believed).toBe(true);
  expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
  expect(world.journal.filter((entry) => entry === "observe all").length).toBeLessThanOrEqual(3);
});

describe("reloads", () => {
  test("what comes within the interval is done in one", async () => {
    await serving();
    await world.publish({ web: [a], b1: [b] });
    await world.publish({ web: [a], b1: [b], b2: [b] });
    await world.advance(10);
    await world.publish({ web: [a], b1: [b], b2: [b], b3: [b] });
    await world.publish({ web: [a], b1: [b], b2: [b], b3: [b], b4: [b] });
    expect(world.asked().filter((entry) => entry === "reload")).toHaveLength(1);
    await world.advance(5_000);
    expect(world.asked().filter((entry) => entry === "reload")).toHaveLength(1);
    expect(world.haproxy.backends()).toEqual(["b1", "b2", "b3", "b4", "web"]);
  });

  test("changes seen while a reload is under way ask for no second one of the same", async () => {
    await serving({ settings: { reload: { minInterval: "0s" } } });
    const release = world.haproxy.hold("reload");
    await world.publish({ web: [a], api: [c] });
    await world.advance(10);
    await world.publish({ web: [a, b], api: [c] });
    await world.advance(10);
    release();
    await world.advance(5_000);
    expect(world.asked().filter((entry) => entry === "reload")).toEqual(["reload"]);
  });

  test("one that broke off half-way is asked for again", async () => {
    await serving();
    world.store.failingWrites = 1;
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    expect(world.asked().filter((entry) => entry === "reload")).toEqual(["reload"]);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1 } });
  });
});

describe("a process that ends", () => {
  test("is started again on the live file, and what the file does not have yet follows", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    world.haproxy.kill();
    await world.advance(0);
    expect(world.asked()).toEqual([`apply add web/${B} weight 1`, "start", `apply add web/${B} weight 1`]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.eventsOf("process-down")).toHaveLength(1);
    expect(world.eventsOf("process-up")).toHaveLength(1);
    await world.advance(1_000);
    expect(world.asked()).toEqual(["validate", "write config"]);
  });

  test("forgets what was leaving it", async () => {
    await serving();
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    await world.advance(1_000);
    expect(world.reconciler.state.leaving.size).toBe(1);
    world.haproxy.kill();
    await world.advance(1_000);
    expect(world.reconciler.state.leaving.size).toBe(0);
    expect(world.runningServers()).toEqual({ web: { [B]: 1 } });
  });

  test("is noticed also when nobody tells", async () => {
    await serving();
    world.haproxy.vanish();
    await world.publish({ web: [a, b] });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.eventsOf("process-down")).toHaveLength(1);
  });

  test("again while it is connected to is started once more", async () => {
    await serving();
    const { reconnect } = world.haproxy;
    world.haproxy.reconnect = async () => {
      world.haproxy.reconnect = reconnect;
      world.haproxy.kill();
      return world.haproxy.reconnect();
    };
    world.haproxy.kill();
    await world.advance(1_000);
    expect(world.asked().filter((entry) => entry === "start")).toHaveLength(2);
    expect(world.reconciler.status().haproxy).toMatchObject({ up: true, believed: true });
    await world.publish({ web: [b] });
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
  });

  test("needs no reload for changes that arrive while it starts", async () => {
    await serving();
    const release = world.haproxy.hold("start");
    world.haproxy.kill();
    await world.publish({ web: [a, b] });
    await world.publish({ web: [b] });
    release();
    await world.advance(5_000);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    expect(world.asked()).not.toContain("reload");
  });

  test("that needed several tries to start needs no reload for changes that arrived meanwhile", async () => {
    await serving();
    await world.stop();
    world.haproxy.failStart = true;
    world.haproxy.kill();
    await world.startAgain();
    world.haproxy.failStart = false;
    const release = world.haproxy.hold("start");
    await world.advance(6_000);
    await world.publish({ web: [a, b] });
    release();
    await world.advance(5_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.asked()).not.toContain("reload");
  });

  test("is brought up to date at once, however long it took to come back", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    world.haproxy.failStart = true;
    world.haproxy.failPreflight = true;
    world.haproxy.kill();
    await world.advance(5_000);
    world.haproxy.mend();
    for (let waited = 0; world.haproxy.pid === undefined && waited < 20_000; waited += 1) await world.advance(1);
    await world.advance(0);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test("and does not start any more on its file is started on what is wanted now", async () => {
    await serving();
    world.haproxy.failStart = true;
    world.haproxy.kill();
    await world.advance(1_000);
    expect(world.haproxy.pid).toBeUndefined();
    world.haproxy.failStart = false;
    await world.advance(10_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
  });

  test("is tried on its file again where what is wanted is refused as well", async () => {
    await serving();
    world.haproxy.failStart = true;
    world.haproxy.failValidation(/^defaults/);
    world.haproxy.kill();
    await world.publish({ web: [a], bad: [b] });
    await world.advance(3_000);
    expect(world.asked()).toContain("validate");
    world.haproxy.failStart = false;
    await world.advance(6_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
    expect(world.reconciler.status().refused).toHaveLength(1);
  });
});
