import { afterEach, describe, expect, test } from "@jest/globals";
import { A, a, B, b, c, servingWorld, type World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

const inForce = () => world.reconciler.trial.inForce.template.sources["haproxy.cfg.njk"];

describe("other inputs", () => {
  test("that need a reload are in force once HAProxy has taken them, and kept", async () => {
    await serving();
    const release = world.haproxy.hold("reload");
    await world.offer("timeout client 9s");
    await world.advance(100);
    expect(inForce()).toBe("timeout client 60s");
    expect(world.store.template?.digest).toBe("digest of timeout client 60s");
    release();
    await world.advance(0);
    expect(inForce()).toBe("timeout client 9s");
    expect(world.told?.template.digest).toBe("digest of timeout client 9s");
    expect(world.store.template?.digest).toBe("digest of timeout client 9s");
    expect(world.store.config).toContain("timeout client 9s");
    await world.advance(5_000);
    expect(world.asked().filter((entry) => entry === "reload")).toEqual(["reload"]);
    expect(world.eventsOf("inputs-accepted")).toHaveLength(1);
  });

  test("that need no reload are in force at once", async () => {
    await serving();
    await world.offer("timeout client 60s # a comment");
    expect(inForce()).toBe("timeout client 60s # a comment");
    await world.advance(2_000);
    expect(world.asked()).toEqual(["write template digest of timeout client 60s # a comment"]);
    expect(world.store.template?.digest).toBe("digest of timeout client 60s # a comment");
  });

  test.each([
    ["throw", "throw no filter of that name", /no filter of that name/],
    ["are refused by HAProxy", "tiemout client 60s", /^line \d+ \(defaults\): unknown keyword$/],
  ])(
    "that %s change nothing; the ones in force go on with today's endpoints; mended, they are taken",
    async (_, bad, problem) => {
      await serving();
      world.haproxy.failValidation(/tiemout/);
      const { pid } = world.haproxy;
      await world.offer(bad);
      await world.advance(1_000);
      expect(world.reconciler.status().inputsProblem).toMatch(problem);
      expect(world.eventsOf("inputs-refused")).toHaveLength(1);
      expect(world.reconciler.status().refused).toBeUndefined();

      await world.publish({ web: [a, b] });
      expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
      await world.publish({ web: [a, b], api: [c] });
      await world.advance(30_000);
      expect(world.haproxy.backends()).toEqual(["api", "web"]);
      expect(inForce()).toBe("timeout client 60s");
      expect(world.haproxy.pid).toBe((pid ?? 0) + 1);
      expect(world.reconciler.status().inputsProblem).toMatch(problem);

      await world.offer("timeout client 9s");
      await world.advance(1_000);
      expect(inForce()).toBe("timeout client 9s");
      expect(world.reconciler.status().inputsProblem).toBeUndefined();
      expect(world.store.config).toContain("timeout client 9s");
    },
  );

  test("that this machine cannot run are tried again after 10 s", async () => {
    await serving();
    world.haproxy.failPreflight = true;
    await world.offer("timeout client 9s");
    await world.advance(9_000);
    world.haproxy.failPreflight = false;
    expect(inForce()).toBe("timeout client 60s");
    await world.advance(1_500);
    expect(inForce()).toBe("timeout client 9s");
  });

  test("that HAProxy refuses are tried again with growing waits: not only an edit mends them", async () => {
    await serving();
    world.haproxy.failValidation(/client 9s/);
    await world.offer("timeout client 9s");
    await world.advance(9_000);
    const validations = () => world.asked().filter((entry) => entry === "validate").length;
    expect(validations()).toBe(1);
    await world.advance(2_000);
    expect(validations()).toBe(1);
    await world.advance(17_000);
    expect(validations()).toBe(0);
    expect(world.reconciler.status().inputsProblem).toMatch(/unknown keyword/);
    expect(world.eventsOf("inputs-refused").map(({ severity }) => severity)).toEqual(["error", "debug"]);
    world.haproxy.mend();
    await world.advance(3_000);
    expect(inForce()).toBe("timeout client 9s");
    expect(world.reconciler.status().inputsProblem).toBeUndefined();
  });

  test("that were refused are not tried again once others are there", async () => {
    await serving();
    world.haproxy.failValidation(/tiemout/);
    await world.offer("tiemout client 9s");
    await world.advance(2_000);
    await world.offer("timeout client 8s");
    await world.advance(2_000);
    world.asked();
    await world.advance(100_000);
    expect(world.asked()).toEqual([]);
    expect(inForce()).toBe("timeout client 8s");
  });

  test("that cannot be reloaded to are said each time", async () => {
    await serving();
    world.haproxy.failReload = true;
    await world.offer("timeout client 9s");
    await world.advance(35_000);
    expect(world.eventsOf("inputs-refused").map(({ severity }) => severity)).toEqual(["error", "warn", "warn"]);
    expect(world.asked().filter((entry) => entry === "reload")).toHaveLength(3);
  });

  test("that are replaced while HAProxy loads them give way to the newer ones", async () => {
    await serving();
    const release = world.haproxy.hold("reload");
    await world.offer("timeout client 9s");
    await world.offer("timeout client 8s");
    release();
    await world.advance(5_000);
    expect(inForce()).toBe("timeout client 8s");
    expect(world.store.config).toContain("timeout client 8s");
    expect(world.store.template?.digest).toBe("digest of timeout client 8s");
  });

  test("that were taken for newer ones which are then refused give way to those in force", async () => {
    await serving();
    world.haproxy.failValidation(/tiemout/);
    const release = world.haproxy.hold("reload");
    await world.offer("timeout client 9s");
    await world.offer("tiemout client 8s");
    release();
    await world.advance(5_000);
    expect(inForce()).toBe("timeout client 60s");
    expect(world.store.config).toContain("timeout client 60s");
  });

  test("that cannot be read are said, and nothing changes", async () => {
    await serving();
    world.reconciler.trial.unreadable("no such file");
    world.reconciler.trigger("inputs");
    await world.advance(1_000);
    expect(world.reconciler.status().inputsProblem).toBe("no such file");
    expect(world.asked()).toEqual([]);
  });

  test("are tried at the start, beside the last good ones", async () => {
    await serving();
    await world.stop();
    world.haproxy.kill();
    world.haproxy.failValidation(/tiemout/);
    const candidate = {
      path: "/etc/haproxy.cfg.njk",
      digest: "new",
      sources: { "haproxy.cfg.njk": "tiemout client 1s" },
    };
    await world.startAgain({ candidate });
    await world.publish({ web: [b] });
    await world.advance(1_000);
    expect(world.runningServers()).toEqual({ web: { [B]: 1 } });
    expect(inForce()).toBe("timeout client 60s");
    expect(world.reconciler.status().inputsProblem).toMatch(/unknown keyword/);
  });
});
