import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { mapEntries } from "../../src/haproxy/plan/maps.ts";
import type { InstanceFacts } from "../support/fake-catalog.ts";
import type { SlowStep } from "../support/fake-haproxy.ts";
import { hostsMap, World } from "../support/reconciler-world.ts";

type Services = Readonly<Record<string, readonly InstanceFacts[]>>;

const instance = (port: number) =>
  fc.record({
    id: fc.constant(`i${port}`),
    port: fc.constant(port),
    weights: fc.constantFrom({ passing: 1, warning: 1 }, { passing: 3, warning: 2 }),
    health: fc.constantFrom("passing" as const, "warning" as const, "maintenance" as const, "critical" as const),
    nodeHealthOnly: fc.boolean(),
  });

const instances = fc
  .tuple(...[1, 2, 3, 4].map((port) => fc.option(instance(port), { freq: 2 })))
  .map((list) => list.filter((one) => one !== null));

/** A service of this name HAProxy never takes. */
const bad = "bad";
const services: fc.Arbitrary<Services> = fc
  .record({ web: instances, api: instances, ws: instances, [bad]: instances }, { requiredKeys: [] })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, list]) => list !== undefined)));

type Action =
  | { readonly kind: "publish"; readonly services: Services }
  | { readonly kind: "advance"; readonly ms: number }
  | {
      readonly kind: "refuse";
      readonly operation:
        | "add-server"
        | "retire-server"
        | "set-weight"
        | "edit-map"
        | "add-backend"
        | "publish-backend";
    }
  | { readonly kind: "drift"; readonly which: number; readonly change: number }
  | { readonly kind: "offer"; readonly template: string }
  | {
      readonly kind: "fault";
      readonly fault: "failCheck" | "failPreflight" | "failReload" | "failStart";
      readonly on: boolean;
    }
  | { readonly kind: "slow"; readonly step: SlowStep; readonly ms: number }
  | {
      readonly kind:
        | "kill"
        | "vanish"
        | "replaceWorker"
        | "foreign"
        | "diskFull"
        | "busy"
        | "passChecks"
        | "breakOffNextAdd"
        | "restart";
    };

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("publish" as const), services }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(0, 5, 60, 150, 1_100, 4_000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("refuse" as const),
      operation: fc.constantFrom(
        "add-server",
        "retire-server",
        "set-weight",
        "edit-map",
        "add-backend",
        "publish-backend",
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("drift" as const), which: fc.nat(20), change: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("offer" as const),
      template: fc.constantFrom(
        "timeout client 60s",
        "timeout client 60s # said",
        "timeout client 9s",
        "timeout client 9s # named",
        "tiemout",
        "throw it",
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("fault" as const),
      fault: fc.constantFrom("failCheck", "failPreflight", "failReload", "failStart"),
      on: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("slow" as const),
      step: fc.constantFrom("validate", "preflight", "reload", "start", "apply", "observe"),
      ms: fc.constantFrom(10, 300, 2_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "kill",
        "vanish",
        "replaceWorker",
        "foreign",
        "diskFull",
        "busy",
        "passChecks",
        "breakOffNextAdd",
        "restart",
      ),
    }),
  },
);

async function perform(world: World, action: Action): Promise<void> {
  const { haproxy, store } = world;
  switch (action.kind) {
    case "publish":
      return world.publish(action.services);
    case "advance":
      return world.advance(action.ms);
    case "refuse":
      return haproxy.refuseNext(action.operation);
    case "drift":
      return drift(world, action.which, action.change);
    case "offer":
      return world.offer(action.template);
    case "fault":
      haproxy[action.fault] = action.on;
      return;
    case "kill":
    case "vanish":
    case "passChecks":
    case "breakOffNextAdd":
      return haproxy[action.kind]();
    case "replaceWorker":
      if (store.config !== undefined) haproxy.replaceWorker();
      return;
    case "foreign":
      if (store.config !== undefined)
        haproxy.startOn(store.config.replace(/SLUICE_STRUCTURE \S+/, "SLUICE_STRUCTURE f"));
      return;
    case "diskFull":
      store.failingWrites = 1;
      return;
    case "busy":
      for (const backend of haproxy.backends()) haproxy.busy.add(`${backend}/i1_10.0.0.1:1`);
      return;
    case "slow":
      world.clock.timer(action.ms, haproxy.hold(action.step));
      return;
    case "restart": {
      // Backends that were taken away at run time a moment ago, and not in the file, are not known to the next operator.
      if (haproxy.dynamicBackends) await world.advance(5_000);
      if (haproxy.dynamicBackends && world.reconciler.status().fileLagMs !== undefined) return;
      const stopped = world.stop();
      // What is slow ends in its time, and the operator with it.
      await world.advance(3_000);
      await stopped;
      return world.startAgain({ accepted: store.accepted });
    }
  }
}

function drift({ haproxy }: World, which: number, change: number): void {
  const all = haproxy
    .backends()
    .flatMap((name) => Object.keys(haproxy.serving(name) ?? {}).map((server) => [name, server]));
  const [backend, server] = all[which % Math.max(1, all.length)] ?? [];
  if (backend === undefined || server === undefined) return;
  const changes = [{ weight: 9 }, { maintenance: true }, { drain: true }, "delete"] as const;
  haproxy.drift(backend, server, changes[change] ?? "delete");
}

/** What is to be served of the services, once all is well and everything has been let in. */
function expected(services: Services, backends: readonly string[]): Record<string, Record<string, number>> {
  const pool = (list: readonly InstanceFacts[] = []) =>
    list.flatMap(({ id, port, health, weights }): [string, number][] => {
      if (health === "critical") return [];
      const weight = health === "maintenance" ? 0 : (weights?.[health === "warning" ? "warning" : "passing"] ?? 1);
      return [[`${id}_10.0.0.1:${port}`, weight]];
    });
  return Object.fromEntries(backends.map((name) => [name, Object.fromEntries(pool(services[name]))]));
}

test("whatever happens, process, file and wish agree soon after it has ended, and no map names what is not loaded", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 25 }), services, fc.boolean(), async (...given) => {
      const [actions, last, dynamic] = given;
      const template = dynamic ? "timeout client 60s # named" : "timeout client 60s";
      const world = new World({ settings: { resync: "5s" }, template });
      world.haproxy.dynamicBackends = dynamic;
      world.haproxy.failValidation(/backend bad|tiemout/);
      await world.start();
      for (const one of actions) {
        await perform(world, one);
        expect(world.haproxy.violations).toEqual([]);
      }

      // All is well from here on: nothing fails, what has vanished is really gone, checks pass, sessions end.
      const { haproxy, store } = world;
      haproxy.mend();
      haproxy.failValidation(/backend bad|tiemout/);
      haproxy.passChecks();
      haproxy.busy.clear();
      store.failingWrites = 0;
      for (const port of [1, 2, 3, 4]) world.refusedPorts.add(port);
      const { [bad]: _, ...final } = last;
      await world.publish(final, [bad]);
      // As long as a reload may have to wait behind the failures of one run.
      await world.advance(650_500);

      const status = world.reconciler.status();
      expect(status).toMatchObject({
        haproxy: { up: true, believed: true, worker: haproxy.pid },
        leaving: [],
        joining: [],
        holds: [],
      });
      expect(status.refused).toBeUndefined();
      expect(status.fileLagMs).toBeUndefined();
      const names = status.services.map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(Object.keys(final)));
      expect(world.runningServers()).toEqual(expected(final, names));
      expect(world.fileServers()).toEqual(expected(final, names));
      expect(haproxy.inMaintenance()).toEqual([]);
      expect(haproxy.unchecked()).toEqual([]);
      expect(status.fileRefused).toBeUndefined();
      const routes = status.routes.map(({ host, backend }) => ({ key: host, value: backend }));
      const byKey = (x: { readonly key: string }, y: { readonly key: string }) => (x.key < y.key ? -1 : 1);
      expect([...(haproxy.mapOf(hostsMap) ?? [])].sort(byKey)).toEqual(routes);
      expect(mapEntries(store.maps.get(hostsMap) ?? "")).toEqual(routes);
      expect(haproxy.violations).toEqual([]);

      // And it is quiet: nothing is asked of a process that is as it should be.
      world.asked();
      await world.advance(12_000);
      // Inputs that HAProxy does not take are tried again.
      const again = status.inputsProblem === undefined ? [] : ["validate"];
      expect(world.asked().filter((entry) => !again.includes(entry))).toEqual([]);
      await world.stop();
      await world.advance(0);
      expect(world.clock.pending).toBe(0);
    }),
    { numRuns: 150 },
  );
}, 120_000);
