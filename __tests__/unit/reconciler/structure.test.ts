import { afterEach, describe, expect, test } from "@jest/globals";
import type { WorkerInfo } from "../../../src/haproxy/runtime/types.ts";
import { SluiceError } from "../../../src/support/errors.ts";
import type { FakeHaproxy } from "../../support/fake-haproxy.ts";
import {
  A,
  a,
  B,
  b,
  C,
  c,
  hostsMap,
  servingWorld,
  type World,
  type WorldOptions,
} from "../../support/reconciler-world.ts";

let world: World;
afterEach(() => world.stop());

const serving = async (options?: WorldOptions) => {
  world = await servingWorld(options);
};

const validations = () => world.asked().filter((entry) => entry === "validate").length;
const reloads = () => world.asked().filter((entry) => entry === "reload").length;

describe("a new structure", () => {
  test("is one reload with a reason for each difference; old routes stay, new ones follow at run time", async () => {
    await serving();
    await world.publish({ web: [a], api: [c] });
    await world.advance(0);
    expect(world.asked()).toEqual([
      "validate",
      "preflight",
      "write config",
      "reload",
      "apply map hosts.map +api.service.local api",
    ]);
    const wanted = world.eventsOf("reload-wanted").at(-1);
    expect(wanted?.message).toBe("reload: backend api is new");
    expect(wanted?.data["reasons"]).toEqual([{ code: "backend-added", subject: "backend api", sentence: "is new" }]);
    // The map on the disk follows with the next write.
    expect(world.store.maps.get(hostsMap)).toBe("web.service.local web\n");
    await world.advance(1_000);
    expect(world.asked()).toEqual(["write map hosts.map"]);
    expect(world.store.maps.get(hostsMap)).toBe("api.service.local api\nweb.service.local web\n");
    expect(world.haproxy.violations).toEqual([]);
  });

  test("that lacks a backend takes its route away first, at run time", async () => {
    await serving();
    await world.publish({ web: [a], api: [c] });
    await world.advance(2_000);
    world.asked();
    await world.publish({ web: [a] }, ["api"]);
    await world.advance(2_000);
    expect(world.asked()).toEqual([
      "apply map hosts.map -api.service.local",
      "validate",
      "preflight",
      "write map hosts.map",
      "write config",
      "reload",
    ]);
    expect(world.haproxy.backends()).toEqual(["web"]);
    expect(world.haproxy.violations).toEqual([]);
  });

  test("carries the changes of endpoints that were not in the file yet", async () => {
    await serving();
    await world.publish({ web: [a, b] });
    await world.publish({ web: [b], api: [c] });
    await world.advance(2_000);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [B]: 1 } });
    expect(world.fileServers()).toEqual({ api: { [C]: 1 }, web: { [B]: 1 } });
  });
});

describe("a structure that is refused", () => {
  test.each([
    ["preflight", (haproxy: FakeHaproxy) => Object.assign(haproxy, { failPreflight: true })],
    ["reload", (haproxy: FakeHaproxy) => Object.assign(haproxy, { failReload: true })],
  ])("at %s leaves file and process as they were, byte for byte", async (stage, fail) => {
    await serving();
    const { pid } = world.haproxy;
    const { config } = world.store;
    const maps = [...world.store.maps];
    fail(world.haproxy);
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    expect(world.store.config).toBe(config);
    expect([...world.store.maps]).toEqual(maps);
    expect(world.haproxy.pid).toBe(pid);
    const refused = world.eventsOf("reload-refused");
    expect(refused.map(({ data }) => data["stage"])).toEqual([stage]);
    expect(world.asked().filter((entry) => entry === "validate")).toHaveLength(1);
    expect(world.reconciler.status().refused).toHaveLength(1);

    // Endpoints go on, in the process and in the file.
    await world.publish({ web: [a, b], api: [c] });
    await world.advance(1_000);
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    expect(world.fileServers()).toEqual({ web: { [A]: 1, [B]: 1 } });
    expect(world.asked()).toEqual([`apply add web/${B} weight 1`, "validate", "write config"]);
    expect(world.haproxy.violations).toEqual([]);
  });

  test("is asked again at once when it has changed", async () => {
    await serving();
    world.haproxy.failPreflight = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    expect(validations()).toBe(1);
    await world.publish({ web: [a], api: [c], more: [b] });
    await world.advance(5_000);
    expect(validations()).toBe(1);
    world.haproxy.failPreflight = false;
    await world.publish({ web: [a], api: [c], more: [b], last: [b] });
    await world.advance(5_000);
    expect(world.haproxy.backends()).toEqual(["api", "last", "more", "web"]);
  });

  test("is asked again unchanged after 10 s, each time later, at least every 10 min", async () => {
    await serving();
    world.haproxy.failPreflight = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(9_900);
    expect(validations()).toBe(1);
    await world.advance(200);
    expect(validations()).toBe(1);
    await world.advance(19_800);
    expect(validations()).toBe(0);
    await world.advance(200);
    expect(validations()).toBe(1);
    // After 40, 80, 160, 320 and from there on 600 s.
    await world.advance(3_700_000);
    expect(validations()).toBe(9);
    expect(world.eventsOf("reload-refused").filter(({ severity }) => severity === "error")).toHaveLength(1);
    // What was wrong was no matter of the file.
    world.haproxy.failPreflight = false;
    await world.advance(600_000);
    expect(world.haproxy.backends()).toEqual(["api", "web"]);
    expect(world.reconciler.status().refused).toBeUndefined();
  });

  test("without a verdict of HAProxy is asked again soon", async () => {
    await serving();
    world.haproxy.failCheck = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(20_000);
    expect(world.reconciler.status().refused).toBeUndefined();
    expect(world.eventsOf("reconcile-failed")[0]?.data["code"]).toBe("ERR_HAPROXY_CHECK_FAILED");
    await world.publish({ web: [a, b], api: [c] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    world.haproxy.failCheck = false;
    await world.advance(5_500);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 1 } });
    expect(reloads()).toBe(1);
  });

  test("is asked for at once when the process has ended and does not start on its file any more", async () => {
    await serving();
    world.haproxy.failPreflight = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(200_000);
    world.haproxy.failPreflight = false;
    world.haproxy.failStart = true;
    world.haproxy.kill();
    await world.advance(1_000);
    world.haproxy.failStart = false;
    await world.advance(11_000);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1 } });
  });

  test("for a server's line costs that server", async () => {
    await serving();
    world.haproxy.failValidation(/8003/);
    await world.publish({ web: [a], api: [b, c] });
    await world.advance(5_000);
    expect(world.runningServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
    expect(world.reconciler.status().quarantined.map(({ instances }) => instances)).toEqual([["node-c/c"]]);
    await world.publish({ web: [a], api: [b] });
    await world.advance(5_000);
    expect(world.runningServers()).toEqual({ api: { [B]: 1 }, web: { [A]: 1 } });
    expect(world.reconciler.status().quarantined).toEqual([]);
  });

  test("by the machine is tried again after 10 s, also when something else went wrong in between", async () => {
    await serving();
    world.haproxy.failPreflight = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    world.haproxy.refuseNext("add-server");
    await world.publish({ web: [a, b], api: [c] });
    await world.advance(4_000);
    expect(world.asked().filter((entry) => entry === "preflight")).toHaveLength(1);
    world.haproxy.failPreflight = false;
    await world.advance(1_500);
    expect(reloads()).toBe(1);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1, [B]: 1 } });
    expect(world.reconciler.status().refused).toBeUndefined();
  });

  test("by a reload that came half-way is settled by the next try", async () => {
    await serving();
    const { reload } = world.haproxy;
    world.haproxy.reload = async () => {
      world.haproxy.reload = reload;
      world.haproxy.replaceWorker();
      throw new SluiceError("ERR_HAPROXY_RELOAD", "the new worker did not answer in time");
    };
    await world.publish({ web: [a], api: [c] });
    await world.advance(0);
    // The new worker runs the new file; the old one is back on the disk. That is known, and not believed to be well.
    expect(world.reconciler.status().haproxy).toMatchObject({ worker: world.haproxy.pid, believed: false });
    await world.publish({ web: [b], api: [c] });
    await world.advance(5_000);
    // Back to the file that is there, so that endpoints can go on.
    expect(reloads()).toBe(1);
    expect(world.runningServers()).toEqual({ web: { [B]: 1 } });
    await world.advance(10_000);
    expect(reloads()).toBe(1);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [B]: 1 } });
    expect(world.fileServers()).toEqual({ api: { [C]: 1 }, web: { [B]: 1 } });
  });

  test("is forgotten when nobody wants it any more, and asked anew when it comes back", async () => {
    await serving();
    world.haproxy.failPreflight = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    await world.publish({ web: [a] }, ["api"]);
    await world.advance(0);
    expect(world.reconciler.status().refused).toBeUndefined();
    world.haproxy.failPreflight = false;
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    expect(world.haproxy.backends()).toEqual(["api", "web"]);
  });
});

describe("a reload that fails", () => {
  test("because HAProxy ended before it was asked is no refusal: it follows as soon as HAProxy is back", async () => {
    await serving();
    const release = world.haproxy.hold("reload");
    await world.publish({ web: [a], api: [c] });
    await world.advance(0);
    world.haproxy.kill();
    release();
    await world.advance(2_000);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1 } });
    expect(world.reconciler.status().refused).toBeUndefined();
    expect(world.eventsOf("reload-refused")).toEqual([]);
  });

  test("is tried again after 10 s, each time later, whatever comes and goes meanwhile; each try is said", async () => {
    await serving();
    world.haproxy.failReload = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(0);
    expect(reloads()).toBe(1);
    await world.publish({ web: [a], api: [c], more: [b] });
    await world.advance(3_000);
    await world.publish({ web: [a] }, ["api", "more"]);
    await world.advance(3_000);
    expect(world.reconciler.status().refused).toBeUndefined();
    await world.publish({ web: [a], api: [c] });
    await world.advance(3_000);
    expect(reloads()).toBe(0);
    await world.advance(1_100);
    expect(reloads()).toBe(1);
    for (let one = 0; one < 19; one += 1) {
      await world.publish({ web: [a], api: [c], ...(one % 2 === 0 && { more: [b] }) }, ["more"]);
      await world.advance(1_000);
    }
    expect(reloads()).toBe(0);
    await world.advance(1_100);
    expect(reloads()).toBe(1);
    const said = world.eventsOf("reload-refused").map(({ severity }) => severity);
    expect(said).toEqual(["error", "error", "warn"]);
    // Endpoints do not wait.
    await world.publish({ web: [a, b], api: [c] });
    expect(world.haproxy.serving("web")).toEqual({ [A]: 1, [B]: 1 });
    world.haproxy.failReload = false;
    await world.advance(41_000);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, more: {}, web: { [A]: 1, [B]: 1 } });
    // All is well again: the next one is done at once.
    world.asked();
    await world.publish({ web: [a, b] }, ["api"]);
    await world.advance(2_000);
    expect(reloads()).toBe(1);
  });

  test("is tried at once when a person has changed something, and counts as a reload for the least interval", async () => {
    await serving({ settings: { reload: { minInterval: "60s" } } });
    await world.advance(60_000);
    world.haproxy.failReload = true;
    await world.publish({ web: [a], api: [c] });
    await world.advance(0);
    expect(reloads()).toBe(1);
    world.haproxy.failReload = false;
    await world.offer("timeout client 9s");
    await world.advance(59_000);
    expect(reloads()).toBe(0);
    await world.advance(1_000);
    expect(reloads()).toBe(1);
    expect(world.haproxy.backends()).toEqual(["api", "web"]);
  });

  test("for other inputs holds up the one for services too", async () => {
    await serving();
    world.haproxy.failReload = true;
    await world.offer("timeout client 9s");
    await world.advance(2_000);
    expect(reloads()).toBe(1);
    await world.publish({ web: [a], api: [c] });
    await world.advance(7_000);
    expect(reloads()).toBe(0);
    world.haproxy.failReload = false;
    await world.advance(10_000);
    expect(world.haproxy.backends()).toEqual(["api", "web"]);
    expect(world.store.config).toContain("timeout client 9s");
  });

  test("that an abort cut short leaves the new file, and the next life finds the structure it knows", async () => {
    await serving();
    const { reload } = world.haproxy;
    world.haproxy.reload = (signal?: AbortSignal) =>
      new Promise<WorkerInfo>((_, reject) => {
        signal?.addEventListener("abort", () => {
          world.haproxy.replaceWorker();
          reject(signal.reason);
        });
      });
    await world.publish({ web: [a], api: [c] });
    await world.advance(0);
    await world.stop();
    world.haproxy.reload = reload;
    expect(world.store.config).toContain("backend api");
    world.asked();
    await world.startAgain();
    await world.publish({ web: [a], api: [c] });
    await world.advance(5_000);
    expect(reloads()).toBe(0);
    expect(world.runningServers()).toEqual({ api: { [C]: 1 }, web: { [A]: 1 } });
  });
});

test("the event about many reasons for a reload names some of them, and how many there are", async () => {
  await serving();
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`s${at}`, [b]]));
  await world.publish({ web: [a], ...many });
  await world.advance(0);
  const wanted = world.eventsOf("reload-wanted").at(-1);
  expect(wanted?.data["reasons"]).toHaveLength(20);
  expect(wanted?.data["count"]).toBe(30);
});
