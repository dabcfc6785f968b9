import { afterEach, describe, expect, test } from "@jest/globals";
import { A, a, B, b, C, c, World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const bad = { line: "nonsense" };

/** A process that serves `web` from `a` and `db` from `c`; HAProxy takes no line with "nonsense" from a file. */
async function serving(options?: WorldOptions): Promise<void> {
  world = new World(options);
  world.haproxy.failValidation(/nonsense/);
  await world.start();
  await world.publish({ web: [a], db: [c] });
  await world.advance(2_000);
  world.asked();
}

const quarantined = () =>
  world.reconciler.status().quarantined.map(({ service, instances, keeps }) => ({ service, instances, keeps }));
const reloads = () => world.asked().filter((entry) => entry === "reload").length;

describe("data that HAProxy does not take from a file", () => {
  test("of a service that serves: it keeps its last good structure with today's endpoints, all others go on", async () => {
    await serving();
    await world.publish({
      web: [
        { ...a, meta: bad },
        { ...b, meta: bad },
      ],
      db: [c],
      api: [c],
    });
    await world.advance(3_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1, [B]: 1 }, db: { [C]: 1 }, api: { [C]: 1 } });
    expect(world.fileServers()).toEqual(world.runningServers());
    expect(world.store.config).not.toContain("nonsense");
    expect(quarantined()).toEqual([{ service: "web", instances: ["node-a/a", "node-b/b"], keeps: "last-good" }]);
    expect(world.reconciler.status().quarantined[0]?.reason).toMatch(/backend web\): unknown keyword/);
    expect(world.reconciler.status().refused).toBeUndefined();
    expect(reloads()).toBe(1);
  });

  test("is not asked about again, and taken when it was mended", async () => {
    await serving();
    await world.publish({ web: [{ ...a, meta: bad }], db: [c] });
    await world.advance(3_000);
    world.asked();
    await world.publish({
      web: [
        { ...a, meta: bad },
        { ...b, meta: bad },
      ],
      db: [c],
    });
    await world.advance(3_000);
    expect(world.runningServers()["web"]).toEqual({ [A]: 1, [B]: 1 });
    expect(world.asked().filter((entry) => entry === "validate")).toHaveLength(1);
    await world.publish({ web: [{ ...a, meta: { line: "timeout server 5s" } }], db: [c] });
    await world.advance(3_000);
    expect(quarantined()).toEqual([]);
    expect(world.store.config).toContain("timeout server 5s");
    expect(world.eventsOf("unquarantined")).toHaveLength(1);
  });

  test("of one instance that is new costs that one, where its service has never been taken", async () => {
    await serving();
    await world.publish({ web: [a], db: [c], api: [b, { id: "x", port: 9001, meta: bad }] });
    await world.advance(3_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 }, db: { [C]: 1 }, api: { [B]: 1 } });
    expect(quarantined()).toEqual([{ service: "api", instances: ["node-x/x"], keeps: "left-out" }]);
  });

  test("that is a service's name costs that service", async () => {
    await serving();
    world.haproxy.failValidation(/backend evil/);
    await world.publish({ web: [a], db: [c], evil: [b], api: [b] });
    await world.advance(3_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 }, db: { [C]: 1 }, api: { [B]: 1 } });
    expect(quarantined()).toEqual([{ service: "evil", instances: [], keeps: "left-out" }]);
    await world.publish({ web: [a], db: [c], api: [b] }, ["evil"]);
    await world.advance(3_000);
    expect(quarantined()).toEqual([]);
  });

  test("that is a service's name is released when its last instance leaves, and no empty backend is remembered", async () => {
    await serving();
    world.haproxy.failValidation(/backend evil/);
    await world.publish({ web: [a], db: [c], evil: [b] });
    await world.advance(3_000);
    expect(quarantined()).toEqual([{ service: "evil", instances: [], keeps: "left-out" }]);
    world.asked();
    world.refusedPorts.add(b.port);
    await world.publish({ web: [a], db: [c] });
    await world.advance(3_000);
    expect(quarantined()).toEqual([]);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 }, db: { [C]: 1 } });
    expect(world.asked().filter((entry) => entry === "validate")).toEqual([]);
    world.haproxy.mend();
    await world.publish({ web: [a], db: [c], evil: [b] });
    await world.advance(3_000);
    expect(world.runningServers()["evil"]).toEqual({ [B]: 1 });
  });

  test("beside a service whose name it does not take: one that serves loses no more than its newest data", async () => {
    await serving();
    world.haproxy.failValidation(/nonsense|backend evil/);
    await world.publish({ web: [{ ...a, meta: bad }], db: [c], evil: [b] });
    await world.advance(3_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 }, db: { [C]: 1 } });
    expect(quarantined()).toEqual([
      { service: "evil", instances: [], keeps: "left-out" },
      { service: "web", instances: ["node-a/a"], keeps: "last-good" },
    ]);
  });

  test("of two services costs both and no other, whatever the line says whose it is", async () => {
    await serving();
    const services = Object.fromEntries([...Array(20).keys()].map((n) => [`s${n}`, [{ id: `i${n}`, port: 9000 + n }]]));
    world.haproxy.pointless = true;
    await world.publish({ web: [a], db: [c], ...services, one: [{ ...b, meta: bad }], two: [{ ...b, meta: bad }] });
    await world.advance(3_000);
    expect(Object.keys(world.runningServers()).sort()).toEqual(
      ["db", "one", "two", "web", ...Object.keys(services)].sort(),
    );
    expect(world.runningServers()).toMatchObject({ one: {}, two: {} });
    expect(
      quarantined()
        .map(({ service }) => service)
        .sort(),
    ).toEqual(["one", "two"]);
  });

  test("and that the process took at run time is taken back", async () => {
    await serving();
    await world.publish({ web: [a, { ...b, meta: { option: "nonsense" } }], db: [c] });
    await world.advance(5_000);
    // It stands in with what the other one says of itself, which is nothing.
    expect(world.runningServers()["web"]).toEqual({ [A]: 1, [B]: 1 });
    expect(world.store.config).toContain(B);
    expect(world.store.config).not.toContain("nonsense");
    expect(quarantined()).toEqual([{ service: "web", instances: ["node-b/b"], keeps: "last-good" }]);
    expect(world.reconciler.status().fileRefused).toBeUndefined();
  });

  test("is still known after a restart", async () => {
    await serving();
    await world.publish({ web: [{ ...a, meta: bad }], db: [c] });
    await world.advance(3_000);
    const { accepted } = world.store;
    await world.stop();
    world.asked();
    await world.startAgain({ accepted });
    await world.publish({ web: [{ ...a, meta: bad }], db: [c] });
    await world.advance(3_000);
    expect(world.runningServers()["web"]).toEqual({ [A]: 1 });
    expect(quarantined()).toEqual([{ service: "web", instances: ["node-a/a"], keeps: "last-good" }]);
    expect(world.asked().filter((entry) => entry === "validate" || entry === "reload")).toEqual([]);
  });

  test("is tried again with another HAProxy", async () => {
    await serving();
    await world.publish({ web: [{ ...a, meta: bad }], db: [c] });
    await world.advance(3_000);
    world.haproxy.mend();
    world.reconciler.binaryChanged("3.0.11");
    await world.advance(5_000);
    expect(quarantined()).toEqual([]);
    expect(world.store.config).toContain("nonsense");
  });

  test("is tried again with another template", async () => {
    await serving();
    await world.publish({ web: [{ ...a, meta: bad }], db: [c] });
    await world.advance(3_000);
    world.haproxy.mend();
    await world.offer("timeout client 50s");
    await world.advance(5_000);
    expect(quarantined()).toEqual([]);
    expect(world.store.config).toContain("nonsense");
  });

  test("does not keep a join elsewhere waiting while it is being looked for", async () => {
    await serving();
    const go = world.haproxy.hold("validate");
    await world.publish({ web: [{ ...a, meta: bad }], db: [c] });
    await world.advance(1);
    await world.publish({ web: [{ ...a, meta: bad }], db: [c, b] });
    await world.advance(1);
    expect(world.runningServers()["db"]).toEqual({ [C]: 1, [B]: 1 });
    go();
  });
});

describe("data that the template cannot carry", () => {
  test("cost those they are of, at once", async () => {
    await serving();
    await world.publish({ web: [a, { ...b, meta: { throw: "no" } }], db: [c, b] });
    expect(world.runningServers()).toEqual({ web: { [A]: 1, [B]: 1 }, db: { [C]: 1, [B]: 1 } });
    expect(quarantined()).toEqual([{ service: "web", instances: ["node-b/b"], keeps: "last-good" }]);
    expect(world.eventsOf("reconcile-failed")).toEqual([]);
  });

  test("of a service that has never been taken: it is there, without them", async () => {
    await serving();
    await world.publish({ web: [a], db: [c], api: [{ ...b, meta: { throw: "no" } }] });
    await world.advance(3_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 }, db: { [C]: 1 }, api: {} });
    expect(quarantined()).toEqual([{ service: "api", instances: ["node-b/b"], keeps: "left-out" }]);
  });
});

describe("a template that is broken itself", () => {
  test("is nobody's fault among the services, which is found out soon", async () => {
    world = new World({ template: "nonsense" });
    world.haproxy.failValidation(/nonsense/);
    await world.start();
    const services = Object.fromEntries([...Array(50).keys()].map((n) => [`s${n}`, [{ id: `i${n}`, port: 9000 + n }]]));
    await world.publish(services);
    await world.advance(50);
    expect(quarantined()).toEqual([]);
    expect(world.reconciler.status().refused).toBeDefined();
    expect(world.asked().filter((entry) => entry === "validate").length).toBeLessThanOrEqual(6);
  });
});
