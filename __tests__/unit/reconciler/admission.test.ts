import { afterEach, describe, expect, test } from "@jest/globals";
import { SluiceError } from "../../../src/support/errors.ts";
import { A, a, B, b, C, c, servingWorld, World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

const unvouched = { nodeHealthOnly: true };

describe("servers that nobody vouches for", () => {
  test("wait with weight 0, in process and file, for HAProxy's first good check", async () => {
    await serving();
    await world.publish({ web: [a, { ...b, ...unvouched }] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0 });
    await world.advance(5_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 0 } });
    expect(world.reconciler.status().joining).toEqual([`web/${B}`]);
    world.haproxy.drift("web", B, { check: "failed" });
    await world.advance(5_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0 });
    world.haproxy.passCheck("web", B);
    await world.advance(1_500);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.reconciler.status().joining).toEqual([]);
    expect(world.eventsOf("server-admitted")).toHaveLength(1);
    await world.advance(10_000);
    world.asked();
    await world.publish({ web: [a, { ...b, ...unvouched }] });
    expect(world.asked()).toEqual([]);
  });

  test("are let in at once where they are alone, and where the last other one leaves", async () => {
    world = new World();
    await world.start();
    await world.publish({ web: [{ ...a, ...unvouched }] });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    await world.publish({
      web: [
        { ...a, ...unvouched },
        { ...b, ...unvouched },
      ],
    });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0 });
    await world.publish({ web: [{ ...b, ...unvouched }] });
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
  });

  test("prove themselves again when they come back", async () => {
    await serving();
    const both = { web: [a, { ...b, ...unvouched }] };
    await world.publish(both);
    world.haproxy.passCheck("web", B);
    await world.advance(1_000);
    await world.publish({ web: [a] });
    await world.advance(1_000);
    await world.publish(both);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0 });
  });

  test("are let in where the template makes no checks", async () => {
    await serving({ template: "timeout client 60s # without checks" });
    await world.publish({ web: [a, { ...b, ...unvouched }] });
    await world.advance(0);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test("of a service that has gone are not asked about any more", async () => {
    await serving();
    await world.publish({ web: [a, { ...b, ...unvouched }], api: [c] });
    await world.advance(2_000);
    expect(world.reconciler.status().joining).toEqual([`web/${B}`]);
    await world.publish({ api: [c] }, ["web"]);
    await world.advance(5_000);
    world.journal.splice(0);
    await world.advance(10_000);
    expect(world.reconciler.status().joining).toEqual([]);
    expect(world.journal).toEqual([]);
  });

  test("who was let in is forgotten with its backend", async () => {
    await serving();
    await world.publish({ web: [a], api: [c] });
    await world.advance(2_000);
    expect([...world.reconciler.admission.admitted.keys()].sort()).toEqual(["api", "web"]);
    await world.publish({ web: [a] }, ["api"]);
    await world.advance(2_000);
    expect([...world.reconciler.admission.admitted.keys()]).toEqual(["web"]);
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1 } });
  });

  test("that served already when the operator came back go on serving; those that waited wait", async () => {
    await serving();
    const instances = { web: [a, { ...b, ...unvouched }, { ...c, ...unvouched }] };
    await world.publish(instances);
    world.haproxy.passCheck("web", B);
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 0 });
    await world.stop();
    world.asked();
    await world.startAgain();
    await world.publish(instances);
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 0 });
    expect(world.asked()).toEqual(["adopt"]);
  });
});

describe("servers that HAProxy knows to be down", () => {
  const three = { web: [a, b, c] };

  async function withOneDown(options?: WorldOptions): Promise<void> {
    await serving(options);
    world.haproxy.firstCheck = "none";
    await world.publish(three);
    await world.advance(2_000);
    world.haproxy.drift("web", B, { down: true });
    await world.advance(1_000);
    world.asked();
  }

  test("are loaded with weight 0 by a reload, and let in after the next good check", async () => {
    await withOneDown();
    await world.publish({ ...three, api: [c] });
    await world.advance(0);
    // What the process loaded, and what file and memory say, is one: nothing is to be mended.
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0, [C]: 1 });
    await world.advance(5_000);
    expect(world.asked().filter((entry) => entry.includes(B))).toEqual([]);
    expect(world.fileServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 0, [C]: 1 } });
    expect(world.reconciler.status().joining).toEqual([`web/${B}`]);
    expect(world.eventsOf("drift")).toEqual([]);
    expect(world.eventsOf("server-doubted").map(({ data }) => data["server"])).toEqual([B]);

    world.haproxy.passCheck("web", B);
    await world.advance(1_500);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 1 });
    expect(world.fileServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 1, [C]: 1 } });
    expect(world.reconciler.status().joining).toEqual([]);
    // Nobody is asked about any more.
    world.journal.splice(0);
    await world.advance(10_000);
    expect(world.journal).toEqual([]);
  });

  test("stay doubted through the next reload, which finds them unchecked", async () => {
    await withOneDown();
    await world.publish({ ...three, api: [c] });
    await world.advance(2_000);
    await world.publish({ ...three, api: [c], more: [a] });
    await world.advance(2_000);
    expect(world.haproxy.backends()).toEqual(["api", "more", "web"]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0, [C]: 1 });
    expect(world.eventsOf("server-doubted")).toHaveLength(1);
  });

  test("keep their weight where none of the others serves", async () => {
    await serving();
    world.haproxy.drift("web", A, { down: true });
    await world.publish({ web: [a], api: [c] });
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    // It has recovered unseen by any reload: another one that joins does not drain it.
    world.haproxy.passCheck("web", A);
    await world.advance(2_000);
    await world.publish({ web: [a, b], api: [c] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test("are left alone without a reload, and where they are in maintenance", async () => {
    await withOneDown();
    world.haproxy.drift("web", C, { down: true });
    world.haproxy.busy.add(`web/${C}`);
    await world.publish({ web: [a, b] });
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.haproxy.inMaintenance()).toEqual([`web/${C}`]);
    await world.publish({ web: [a, b], api: [c] });
    await world.advance(2_000);
    expect(world.eventsOf("server-doubted").map(({ data }) => data["server"])).toEqual([B]);
  });

  test("are as good as any other when they come back under the same name", async () => {
    await withOneDown();
    await world.publish({ ...three, api: [c] });
    await world.advance(2_000);
    await world.publish({ web: [a, c], api: [c] });
    await world.advance(2_000);
    await world.publish({ ...three, api: [c] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 1 });
  });

  test("are loaded as they are where HAProxy does not say how they are", async () => {
    await withOneDown();
    const { observe } = world.haproxy;
    world.haproxy.observe = async () => {
      world.haproxy.observe = observe;
      throw new SluiceError("ERR_HAPROXY_UNREACHABLE", "no answer");
    };
    await world.publish({ ...three, api: [c] });
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 1 });
    expect(world.haproxy.backends()).toEqual(["api", "web"]);
  });

  test("wait for an operator that came back between the reload and their first check", async () => {
    await withOneDown();
    await world.publish({ ...three, api: [c] });
    await world.advance(2_000);
    await world.stop();
    await world.startAgain();
    await world.publish({ ...three, api: [c] });
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0, [C]: 1 });
    world.haproxy.passCheck("web", B);
    await world.advance(1_500);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 1 });
  });

  test("of inputs on trial are doubted too", async () => {
    await withOneDown();
    await world.offer("timeout client 9s");
    await world.advance(2_000);
    expect(world.store.config).toContain("timeout client 9s");
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 0, [C]: 1 });
    world.haproxy.passChecks();
    await world.advance(1_500);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 1 });
  });

  test("of a template that makes no checks any more are let in", async () => {
    await withOneDown();
    await world.offer("timeout client 60s # without checks");
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 1 });
    expect(world.reconciler.status().joining).toEqual([]);
  });
});
