import { afterEach, describe, expect, test } from "@jest/globals";
import { A, a, B, b, C, c, hostsMap, servingWorld, World, type WorldOptions } from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

const reloads = () => world.asked().filter((entry) => entry === "reload").length;

describe("somebody else's hand", () => {
  test("another worker is noticed at the next verification, and settled", async () => {
    await serving();
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    await world.advance(1_000);
    world.asked();
    world.haproxy.replaceWorker();
    // This goes to the worker that is on its way out.
    await world.publish({ web: [b, c] });
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1, [C]: 1 });
    expect(world.fileServers()).toEqual({ web: { [B]: 1, [C]: 1 } });
    expect(world.reconciler.state.leaving.size).toBe(0);
    expect(reloads()).toBe(0);
  });

  test("another worker is noticed at the resync where nothing changes", async () => {
    await serving({ settings: { resync: "10s" } });
    world.haproxy.replaceWorker();
    const { pid } = world.haproxy;
    await world.advance(10_000);
    expect(world.reconciler.status().haproxy.worker).toBe(pid);
  });

  test.each([
    ["a weight", { weight: 7 }, `weight web/${A} 1`, "weight 7, should be weight 1"],
    ["maintenance", { maintenance: true }, `state web/${A} ready`, "maintenance, should be ready"],
    ["drain", { drain: true }, `state web/${A} ready`, "drain, should be ready"],
    ["a deletion", "delete", `add web/${A} weight 1`, "not there, should be 10.0.0.1:8001 weight 1"],
  ] as const)("%s is noticed at the resync, said and repaired", async (_, change, repair, words) => {
    await serving({ settings: { resync: "10s" } });
    world.haproxy.drift("web", A, change);
    await world.advance(10_000);
    expect(world.asked()).toEqual([`apply ${repair}`]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    expect(world.eventsOf("drift").map(({ message }) => message)).toEqual([
      `changed by somebody else, set again: web/${A}: ${words}`,
    ]);
    await world.advance(1_000);
    expect(world.asked()).toEqual([]);
    await world.advance(20_000);
    expect(world.eventsOf("drift")).toHaveLength(1);
  });

  test("a server that somebody else added is said and taken out", async () => {
    await serving({ settings: { resync: "10s" } });
    world.haproxy.addByHand("web", "stranger", { address: "10.6.6.6", port: 80 });
    await world.advance(12_000);
    expect(world.eventsOf("drift").map(({ message }) => message)).toEqual([
      "changed by somebody else, set again: web/stranger: 10.6.6.6:80, should be not there",
    ]);
    expect(world.asked()).toEqual(["apply retire web/stranger", "delete web/stranger"]);
  });

  test("entries of a map are said by key and set again", async () => {
    await serving({ settings: { resync: "10s" } });
    world.haproxy.setMap(hostsMap, [
      { key: "web.service.local", value: "elsewhere" },
      { key: "more.service.local", value: "web" },
    ]);
    await world.advance(10_000);
    expect(world.asked()).toEqual(["apply map hosts.map ~web.service.local web, -more.service.local"]);
    expect(world.eventsOf("drift")[0]?.data["drift"]).toEqual([
      { subject: `${hostsMap} more.service.local`, found: '"web"', expected: "not there" },
      { subject: `${hostsMap} web.service.local`, found: '"elsewhere"', expected: '"web"' },
    ]);
  });

  test("a server that was sent elsewhere is made anew without a reload where others serve", async () => {
    await serving({ settings: { resync: "10s" } });
    await world.publish({ web: [a, b] });
    await world.advance(1_000);
    world.asked();
    world.haproxy.drift("web", A, { address: "10.6.6.6" });
    world.haproxy.busy.add(`web/${A}`);
    await world.advance(9_000);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    // Whatever comes meanwhile: it is not let in again as it is.
    await world.publish({ web: [a, b, c] });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1, [C]: 1 });
    world.haproxy.busy.clear();
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1, [C]: 1 });
    expect(world.haproxy.addressOf("web", A)).toBe("10.0.0.1");
    expect(world.asked()).not.toContain("reload");
    expect(world.eventsOf("drift").map(({ message }) => message)).toEqual([
      `changed by somebody else, set again: web/${A}: 10.6.6.6:8001, should be 10.0.0.1:8001`,
    ]);
    await world.advance(20_000);
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1, [C]: 1 } });
  });

  test("one that was sent elsewhere and is the only one that serves is for a reload", async () => {
    await serving({ settings: { resync: "10s" } });
    world.haproxy.drift("web", A, { address: "10.6.6.6" });
    await world.advance(10_000);
    expect(reloads()).toBe(1);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    expect(world.haproxy.addressOf("web", A)).toBe("10.0.0.1");
  });

  test("is noticed at the verification of another change of that backend", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    world.haproxy.drift("web", A, { weight: 7 });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.eventsOf("drift")).toHaveLength(1);
  });

  test("a server whose making broke off half-way is finished, its checks included", async () => {
    await serving();
    world.haproxy.breakOffNextAdd();
    await world.publish({ web: [a, b] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1 });
    await world.advance(2_000);
    expect(world.asked()).toEqual([`apply add web/${B} weight 1`, `apply revive web/${B}`, "validate", "write config"]);
    expect(world.runningServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.haproxy.unchecked()).toEqual([]);
  });

  test("the event about much that has drifted names some of it, and how much it is", async () => {
    const many = Array.from({ length: 30 }, (_, at) => ({ id: `i${at}`, port: 9000 + at }));
    await serving();
    await world.publish({ web: [a, ...many] });
    await world.advance(2_000);
    for (const { id, port } of many) world.haproxy.drift("web", `${id}_10.0.0.1:${port}`, { weight: 7 });
    await world.publish({ web: [a, b, ...many] });
    await world.advance(2_000);
    const [drift] = world.eventsOf("drift");
    expect(drift?.data["drift"]).toHaveLength(20);
    expect(drift?.data["count"]).toBe(30);
  });

  test("what became of our own doing is not said to be somebody else's", async () => {
    await serving();
    const release = world.haproxy.hold("apply");
    world.haproxy.breakOffNextAdd();
    await world.publish({ web: [a, b] });
    world.reconciler.resync();
    release();
    await world.advance(2_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.eventsOf("drift")).toEqual([]);
  });

  test("a resync that is asked for while a pass is under way reads back all the same", async () => {
    await serving();
    const release = world.haproxy.hold("apply");
    await world.publish({ web: [a, b] });
    world.reconciler.resync();
    world.haproxy.drift("web", A, { weight: 7 });
    release();
    await world.advance(0);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });
});

describe("an operator that comes back", () => {
  test("to the same structure adopts the process without a reload and catches up with joins and leaves", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    await world.advance(1_000);
    await world.stop();
    const { pid } = world.haproxy;
    world.asked();
    await world.startAgain();
    await world.publish({ web: [b, c] });
    await world.advance(5_000);
    expect(world.asked()).toEqual([
      "adopt",
      `apply add web/${C} weight 1, retire web/${A}`,
      "validate",
      "write config",
      `delete web/${A}`,
    ]);
    expect(world.haproxy.pid).toBe(pid);
    expect(world.runningServers()).toEqual({ web: { [B]: 1, [C]: 1 } });
  });

  test("needs no reload for an answer of the catalog that comes while it adopts", async () => {
    await serving();
    await world.stop();
    const release = world.haproxy.hold("start");
    await world.startAgain();
    await world.publish({ web: [a, b] });
    await world.publish({ web: [b] });
    release();
    await world.advance(5_000);
    expect(reloads()).toBe(0);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
  });

  test("takes the leaving servers over", async () => {
    await serving();
    world.haproxy.busy.add(`web/${A}`);
    await world.publish({ web: [b] });
    await world.advance(5_000);
    await world.stop();
    expect(world.store.state.leaving.map(({ server }) => server)).toEqual([A]);
    await world.startAgain();
    await world.publish({ web: [b] });
    await world.advance(1_000);
    expect(world.haproxy.inMaintenance()).toEqual([`web/${A}`]);
    expect(world.eventsOf("drift")).toEqual([]);
    world.haproxy.busy.clear();
    await world.advance(1_000);
    expect(world.haproxy.inMaintenance()).toEqual([]);
    expect(world.store.state.leaving).toEqual([]);
  });

  test("believes the process, not the file, where the file was not written any more", async () => {
    await serving();
    await world.publish({ web: [b] });
    // Killed before the file was written: it still says a.
    await world.stop();
    expect(world.fileServers()).toEqual({ web: { [A]: 1 } });
    world.asked();
    await world.startAgain();
    await world.advance(200_000);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    expect(world.asked().filter((entry) => entry.startsWith("apply"))).toEqual([]);
    // A change of structure that is refused at the same time does not make it forget.
    world.haproxy.failValidation(/backend api/);
    await world.publish({ web: [b], api: [c] });
    await world.advance(5_000);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    expect(world.fileServers()).toEqual({ web: { [B]: 1 } });
    await world.publish({ web: [b, c], api: [c] });
    expect(world.eventsOf("operation-refused")).toEqual([]);
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1, [C]: 1 });
  });

  test("writes down what it finds also where a change of structure is refused at the same time", async () => {
    await serving();
    await world.publish({ web: [a, b, c] });
    await world.advance(1_000);
    // Killed behind three changes, none of which is in the file: a has gone, b weighs 4, c is as it was.
    await world.stop();
    world.haproxy.drift("web", A, "delete");
    world.haproxy.drift("web", B, { weight: 4 });
    world.haproxy.failValidation(/backend api/);
    await world.startAgain();
    await world.publish({ web: [{ ...b, weights: { passing: 4, warning: 1 } }, c], api: [c] });
    await world.advance(5_000);
    expect(world.fileServers()).toEqual({ web: { [B]: 4, [C]: 1 } });
    expect(world.runningServers()).toEqual({ web: { [B]: 4, [C]: 1 } });
    expect(world.eventsOf("drift")).toEqual([]);
  });

  test("to another structure reloads exactly once, with that for a reason", async () => {
    await serving();
    await world.stop();
    world.haproxy.startOn((world.store.config ?? "").replace(/SLUICE_STRUCTURE \S+/, "SLUICE_STRUCTURE 0123"));
    world.asked();
    await world.startAgain();
    await world.publish({ web: [a, b] });
    await world.advance(20_000);
    expect(reloads()).toBe(1);
    const [wanted] = world.eventsOf("reload-wanted");
    expect(wanted?.data["reasons"]).toEqual([
      expect.objectContaining({ code: "structure-unknown", sentence: expect.stringContaining("it says 0123") }),
    ]);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test("to another structure and other inputs reloads once as well", async () => {
    await serving();
    await world.stop();
    world.haproxy.startOn((world.store.config ?? "").replace(/SLUICE_STRUCTURE \S+/, ""));
    world.asked();
    const candidate = {
      path: "/etc/haproxy.cfg.njk",
      digest: "new",
      sources: { "haproxy.cfg.njk": "timeout client 1s" },
    };
    await world.startAgain({ candidate });
    await world.publish({ web: [a, b] });
    await world.advance(20_000);
    expect(reloads()).toBe(1);
    expect(world.store.config).toContain("timeout client 1s");
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });
});

describe("a structure nobody knows, where the wanted one is refused", () => {
  const foreign = () => (world.store.config ?? "").replace(/SLUICE_STRUCTURE \S+/, "SLUICE_STRUCTURE 0123");

  /** HAProxy takes no file any more, which is nobody's fault among the services, and then somebody starts it on another file. */
  async function lost(): Promise<void> {
    await serving();
    world.haproxy.failValidation(/^defaults/);
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    world.asked();
    world.haproxy.startOn(foreign());
    world.reconciler.resync();
  }

  test("is left by one reload to the live file, and endpoints go on", async () => {
    await lost();
    const { config } = world.store;
    await world.advance(0);
    expect(world.asked()).toEqual(["preflight", "reload"]);
    expect(world.store.config).toBe(config);
    await world.publish({ web: [b], api: [c] });
    expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    await world.advance(4_000);
    expect(world.reconciler.status().refused).toHaveLength(1);
    await world.advance(100_000);
    expect(reloads()).toBe(0);
    world.haproxy.mend();
    await world.advance(600_000);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [B]: 1 } });
  });

  test("is left also by an operator that comes back to it", async () => {
    await serving();
    await world.stop();
    world.haproxy.failValidation(/^defaults/);
    world.haproxy.startOn(foreign());
    world.asked();
    await world.startAgain();
    await world.publish({ web: [a, b], api: [c] });
    await world.advance(5_000);
    expect(reloads()).toBe(1);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test.each(["failReload", "failPreflight"] as const)(
    "is tried again later where that goes wrong (%s)",
    async (fault) => {
      await lost();
      world.haproxy[fault] = true;
      await world.advance(4_000);
      const tries = () => world.asked().filter((entry) => entry === "preflight").length;
      expect(tries()).toBe(1);
      expect(world.eventsOf("reload-refused").map(({ severity }) => severity)).toEqual(["error", "error"]);
      world.haproxy[fault] = false;
      await world.advance(10_000);
      expect(tries()).toBe(1);
      await world.publish({ web: [b], api: [c] });
      expect(world.haproxy.serving("web")).toEqual({ [B]: 1 });
    },
  );

  test("is not reloaded again where that made nothing known", async () => {
    await lost();
    const { haproxy } = world;
    haproxy.reload = async () => {
      world.journal.push("reload");
      haproxy.startOn(foreign());
      return (await haproxy.observe()).worker;
    };
    await world.advance(60_000);
    expect(reloads()).toBe(1);
  });
});

describe("a catalog that says nothing", () => {
  test("lets an adopted process alone, for as long as it takes", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    await world.advance(1_000);
    const { accepted } = world.reconciler;
    await world.stop();
    world.haproxy.drift("web", A, { weight: 3 });
    const { config } = world.store;
    world.asked();
    await world.startAgain({ accepted });
    await world.advance(300_000);
    expect(world.asked()).toEqual(["adopt"]);
    expect(world.store.config).toBe(config);
    await world.publish({ web: [a, b] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
  });

  test("lets HAProxy start on its file, not on the last good snapshot", async () => {
    await serving();
    const { accepted } = world.reconciler;
    await world.publish({ web: [b] });
    await world.advance(1_000);
    await world.stop();
    world.haproxy.kill();
    world.asked();
    await world.startAgain({ accepted });
    await world.advance(5_000);
    expect(world.asked()).toEqual(["start"]);
    expect(world.runningServers()).toEqual({ web: { [B]: 1 } });
  });

  test("makes the last good snapshot count only where there is no file", async () => {
    await serving();
    const { accepted } = world.reconciler;
    await world.stop();
    world.haproxy.kill();
    world.store.config = undefined;
    await world.startAgain({ accepted });
    await world.advance(1_000);
    expect(world.runningServers()).toEqual({ web: { [A]: 1 } });
  });

  test("and has never said anything starts nothing", async () => {
    world = new World();
    await world.start();
    await world.advance(300_000);
    expect(world.asked()).toEqual([]);
  });
});
