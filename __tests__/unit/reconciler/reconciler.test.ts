import { afterEach, describe, expect, test } from "@jest/globals";
import { SluiceError } from "../../../src/support/errors.ts";
import { A, a, B, b, C, c, hostsMap, servingWorld, World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

describe("the first start", () => {
  test("validates, tries the machine, writes maps before the file, and starts HAProxy with everything in it", async () => {
    world = new World();
    await world.start();
    expect(world.asked()).toEqual([]);
    await world.publish({ web: [a, b], api: [c] });
    await world.advance(0);
    expect(world.asked()).toEqual([
      "write map hosts.map",
      "validate",
      "preflight",
      "write config",
      "start",
      "write template digest of timeout client 60s",
    ]);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 1 } });
    expect(world.haproxy.mapOf(hostsMap)?.map(({ key }) => key)).toEqual(["api.service.local", "web.service.local"]);
    expect(world.reconciler.status()).toMatchObject({ generation: 1, haproxy: { up: true, believed: true } });
    expect(world.eventsOf("reload-wanted").map(({ message }) => message)).toEqual(["start: HAProxy is not running"]);
    await world.advance(5_000);
    expect(world.asked()).toEqual([]);
  });

  test("what HAProxy refuses is said, and asked again", async () => {
    world = new World();
    world.haproxy.failValidation(/^defaults/);
    await world.start();
    await world.publish({ web: [a], bad: [b] });
    await world.advance(9_000);
    const once = world.asked().filter((entry) => entry === "validate").length;
    expect(once).toBeLessThanOrEqual(5);
    // Nothing is served meanwhile: the waits do not grow.
    await world.advance(52_000);
    expect(world.asked().filter((entry) => entry === "validate")).toHaveLength(6);
    expect(world.haproxy.pid).toBeUndefined();
    expect(world.store.config).toBeUndefined();
    expect(world.reconciler.status().refused).toEqual([expect.stringMatching(/^line \d+ \(defaults\): /)]);
    world.haproxy.mend();
    await world.advance(10_000);
    expect(world.runningServers()).toEqual({ bad: { [B]: 1 }, web: { [A]: 1 } });
    expect(world.reconciler.status().refused).toBeUndefined();
  });

  test("a service that HAProxy refuses keeps no other from being served", async () => {
    world = new World();
    world.haproxy.failValidation(/backend bad/);
    await world.start();
    await world.publish({ web: [a], bad: [b] });
    await world.advance(100);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
    expect(world.reconciler.status().quarantined.map(({ service }) => service)).toEqual(["bad"]);
  });

  test("a template that HAProxy refuses can be mended while nothing runs", async () => {
    world = new World({ template: "tiemout client 60s" });
    world.haproxy.failValidation(/tiemout/);
    await world.start();
    await world.publish({ web: [a] });
    await world.advance(1_000);
    expect(world.haproxy.pid).toBeUndefined();
    await world.offer("timeout client 60s");
    await world.advance(0);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
    expect(world.told?.template.digest).toBe("digest of timeout client 60s");
    expect(world.store.template?.digest).toBe("digest of timeout client 60s");
  });

  test("a machine that cannot run it is tried again after 10 s", async () => {
    world = new World();
    world.haproxy.failPreflight = true;
    await world.start();
    await world.publish({ web: [a] });
    await world.advance(9_000);
    expect(world.asked().filter((entry) => entry === "preflight")).toHaveLength(1);
    world.haproxy.failPreflight = false;
    await world.advance(1_500);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
  });
});

describe("the hot lane", () => {
  test("a join and a leave are one batch of operations, without validation before and without a reload", async () => {
    await serving();
    const { pid } = world.haproxy;
    await world.publish({ web: [b] });
    expect(world.asked()).toEqual([`apply add web/${B} weight 1, retire web/${A}`]);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    await world.advance(5_000);
    expect(world.haproxy.pid).toBe(pid);
    expect(world.fileServers()).toEqual({ web: { [B]: 1 } });
  });

  test("a weight and a drain are set at run time", async () => {
    await serving();
    await world.publish({ web: [{ ...a, weights: { passing: 7, warning: 1 } }] });
    expect(world.asked()).toEqual([`apply weight web/${A} 7`]);
    await world.publish({ web: [{ ...a, health: "maintenance" }] });
    expect(world.asked()).toEqual([`apply weight web/${A} 0`]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 0 });
  });

  test("nothing is asked where nothing has changed", async () => {
    await serving();
    await world.publish({ web: [a] });
    await world.advance(1_000);
    expect(world.asked()).toEqual([]);
  });

  test.each(["validate", "preflight", "reload"] as const)("does not wait for a slow %s", async (step) => {
    await serving();
    const release = world.haproxy.hold(step);
    await world.publish({ web: [a], api: [c] });
    await world.advance(2_000);
    expect(world.haproxy.backends()).toEqual(["web"]);
    world.asked();
    await world.publish({ web: [a, b], api: [c] });
    expect(world.asked()).toEqual([`apply add web/${B} weight 1`]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    await world.publish({ web: [b], api: [c] });
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    release();
    await world.advance(5_000);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [B]: 1 } });
    expect(world.fileServers()).toEqual({ api: { [C]: 1 }, web: { [B]: 1 } });
    expect(world.asked().filter((entry) => entry === "reload").length + (step === "reload" ? 1 : 0)).toBe(1);
    expect(world.haproxy.violations).toEqual([]);
  });

  test("changes that arrive while operations are under way are done in one batch behind them", async () => {
    await serving();
    const release = world.haproxy.hold("apply");
    await world.publish({ web: [a, b] });
    await world.publish({ web: [a, b, c] });
    await world.publish({ web: [b, c] });
    expect(world.asked()).toEqual([`apply add web/${B} weight 1`]);
    release();
    await world.advance(0);
    expect(world.asked()).toEqual([`apply add web/${C} weight 1, retire web/${A}`]);
  });
});

describe("failures", () => {
  test("a defect while rendering ends nothing: what runs goes on, and what comes after is done", async () => {
    await serving();
    await world.offer("bug cannot read properties of undefined");
    await world.advance(3_000);
    expect(world.eventsOf("inputs-refused")).toHaveLength(1);
    await world.publish({ web: [a, b] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test.each(["throw", "bug"])(
    "a template in force that fails for today's services (%s) is said once",
    async (fault) => {
      world = new World({ template: `${fault} no such field` });
      await world.start();
      await world.publish({ web: [a] });
      await world.advance(10_000);
      await world.publish({ web: [a, b] });
      await world.advance(1_000);
      const said = world.eventsOf("reconcile-failed").filter(({ severity }) => severity === "error");
      expect(said.map(({ message }) => message)).toEqual([expect.stringContaining("no such field")]);
      await world.offer("timeout client 60s");
      await world.advance(0);
      expect(world.runningServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    },
  );

  test("an operation that is refused is read back and repaired, without a reload", async () => {
    await serving();
    world.haproxy.refuseNext("add-server");
    await world.publish({ web: [a, b] });
    expect(world.eventsOf("operation-refused")).toHaveLength(1);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    await world.advance(5_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.asked()).not.toContain("reload");
    expect(world.reconciler.status().haproxy.believed).toBe(true);
  });

  test("what was done and not believed is not done twice", async () => {
    await serving();
    // The first of the two is done, the second refused: the repair has to see the first one.
    world.haproxy.refuseNext("set-weight");
    await world.publish({ web: [{ ...a, weights: { passing: 5, warning: 1 } }, b] });
    world.asked();
    await world.advance(1_000);
    expect(world.asked()).toEqual([`apply weight web/${A} 5`, "validate", "write config"]);
  });

  test("what is refused again and again is settled by one reload with its reason", async () => {
    await serving();
    world.haproxy.refuseNext("add-server", 1_000);
    await world.publish({ web: [a, b] });
    await world.advance(20_000);
    expect(world.asked().filter((entry) => entry === "reload")).toEqual(["reload"]);
    expect(world.eventsOf("reload-wanted").at(-1)?.message).toMatch(/^reload: HAProxy refused .* 3 times in a row/);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test("failures of another kind before do not make one refusal hopeless", async () => {
    await serving();
    const { observe } = world.haproxy;
    world.haproxy.observe = async () => {
      throw new SluiceError("ERR_HAPROXY_ANSWER", "an answer nobody understands", { retryable: true });
    };
    world.reconciler.resync();
    await world.advance(10_000);
    expect(world.eventsOf("reconcile-failed").length).toBeGreaterThan(3);
    world.haproxy.observe = observe;
    world.haproxy.refuseNext("add-server");
    await world.publish({ web: [a, b] });
    await world.advance(20_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.asked()).not.toContain("reload");
  });
});

describe("the end", () => {
  test("abort ends it and leaves no timer and no listener", async () => {
    await serving();
    world.haproxy.busy.add(`web/${A}`);
    // Something of everything: a leaving server, a hold, a joining server, a file that is behind, a refused candidate.
    world.haproxy.failPreflight = true;
    await world.offer("timeout client 9s");
    await world.publish({ web: [b, { ...c, nodeHealthOnly: true }] });
    await world.publish({});
    await world.advance(50);
    expect(world.clock.pending).toBeGreaterThan(0);
    await world.stop();
    await world.advance(0);
    expect(world.clock.pending).toBe(0);
    expect([world.catalog.listening, world.haproxy.listening]).toEqual([0, 0]);
    world.asked();
    await world.publish({ web: [a] });
    await world.advance(100_000);
    expect(world.asked()).toEqual([]);
  });

  test.each(["validate", "reload", "apply"] as const)(
    "abort in the middle of a slow %s leaves no timer",
    async (step) => {
      await serving();
      const release = world.haproxy.hold(step);
      world.haproxy.failReload = true;
      await world.publish({ web: [a, b], api: [c] });
      await world.advance(1_000);
      const ended = world.stop();
      release();
      await ended;
      await world.advance(0);
      expect(world.clock.pending).toBe(0);
    },
  );

  test("a template that could not be kept is said, and nothing is retried after the end", async () => {
    await serving();
    world.store.writeTemplate = async () => {
      throw new SluiceError("ERR_STATE_UNUSABLE", "the disk is full", { retryable: true });
    };
    await world.offer("timeout client 9s");
    await world.advance(5_000);
    expect(world.eventsOf("reconcile-failed").map(({ message }) => message)).toContain("the disk is full");
    expect(world.told?.template.digest).toBe("digest of timeout client 9s");
  });
});
