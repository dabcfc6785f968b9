import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Container } from "../../../../src/registration/docker/types.ts";
import type { RegistrarOptions } from "../../../../src/registration/registrar/options.ts";
import { Registrar, type RegistrarDeps } from "../../../../src/registration/registrar/registrar.ts";
import type { Logger } from "../../../../src/support/logger.ts";
import { container, idOf, plainOptions } from "../../../support/containers.ts";
import { FakeAgent } from "../../../support/fake-agent.ts";
import { FakeEngine } from "../../../support/fake-engine.ts";
import { ManualClock, settled } from "../../../support/manual-clock.ts";

let agent: FakeAgent;
let engine: FakeEngine;
let clock: ManualClock;
let warnings: string[];
let life: AbortController;
let running: Promise<void>;
let registrar: Registrar;

const one = container("one", { startedAtMs: 0 });
const two = container("two", { startedAtMs: 0, environment: ["SERVICE_NAME=other"] });

beforeEach(() => {
  agent = new FakeAgent();
  engine = new FakeEngine();
  clock = new ManualClock();
  warnings = [];
  life = new AbortController();
  running = Promise.resolve();
});

afterEach(async () => {
  life.abort();
  await running;
});

const logger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (_, message) => warnings.push(message),
  error: (_, message) => warnings.push(message),
  child: () => logger,
};

async function start(options: Partial<RegistrarOptions> = {}, more: Partial<RegistrarDeps> = {}): Promise<void> {
  life = new AbortController();
  registrar = new Registrar({
    engine,
    agent,
    clock,
    logger,
    options: { ...plainOptions, ...options },
    pace: { resyncMs: 60_000, ttlRefreshMs: 20_000, drainMs: 300_000 },
    host: "h1",
    adopt: false,
    machine: { hostname: "h1" },
    random: () => 1,
    ...more,
  });
  running = registrar.run(life.signal);
  await settled();
  await settled();
}

async function stop(): Promise<void> {
  life.abort();
  await running;
}

async function tell(action: string, about: Container, signal?: string): Promise<void> {
  engine.tell(action, about, clock.wall(), signal);
  await settled();
}

/** What changed at the agent since the last time. */
function changes(): readonly string[] {
  return agent.news().filter((asked) => asked !== "services" && asked !== "checks");
}

const gone = (about: Container) => engine.containers.delete(about.id);

describe("a container", () => {
  test("is registered when it starts, in maintenance when it is told to stop, gone when it has ended", async () => {
    await start();
    expect(changes()).toEqual([]);
    engine.has(one);
    await tell("start", one);
    expect(changes()).toEqual(["register h1:one:80"]);
    await tell("kill", one, "15");
    expect(changes()).toEqual(["maintain h1:one:80 on"]);
    await clock.advance(30_000);
    expect(changes()).toEqual([]);
    gone(one);
    await tell("die", one);
    expect(changes()).toEqual(["deregister h1:one:80"]);
  });

  test("that is killed goes at once", async () => {
    engine.has(one, two);
    await start();
    expect(changes()).toEqual(["register h1:one:80", "register h1:two:80"]);
    await tell("kill", one, "9");
    gone(one);
    await tell("die", one);
    expect(changes()).toEqual(["deregister h1:one:80"]);
  });

  test("that was told to stop and runs on gets requests again", async () => {
    engine.has(one);
    await start();
    changes();
    await tell("kill", one, "15");
    expect(changes()).toEqual(["maintain h1:one:80 on"]);
    await clock.advance(299_000);
    expect(changes()).toEqual([]);
    await clock.advance(10_000);
    expect(changes()).toEqual(["maintain h1:one:80 off"]);
  });

  test("that is started again after it was told to stop is served, although nobody saw it end", async () => {
    engine.has(one);
    await start();
    await tell("kill", one, "15");
    changes();
    await clock.advance(100);
    engine.has({ ...one, startedAtMs: clock.wall() });
    await tell("restart", one);
    expect(changes()).toEqual(["maintain h1:one:80 off"]);
  });

  test("that is paused gets no new requests until it goes on", async () => {
    engine.has(one);
    await start();
    changes();
    engine.has({ ...one, state: "paused" });
    await tell("pause", one);
    expect(changes()).toEqual(["maintain h1:one:80 on"]);
    engine.has(one);
    await tell("unpause", one);
    expect(changes()).toEqual(["maintain h1:one:80 off"]);
  });

  test("is found without any event, when the list shows it", async () => {
    await start();
    engine.has(one);
    await clock.advance(5_000);
    expect(changes()).toEqual(["register h1:one:80"]);
    gone(one);
    await clock.advance(5_000);
    expect(changes()).toEqual(["deregister h1:one:80"]);
  });

  test("is looked at again a moment after an event, for the list may lag behind", async () => {
    await start();
    await clock.advance(3_000);
    await tell("start", one);
    expect(changes()).toEqual([]);
    engine.has(one);
    await clock.advance(1_000);
    expect(changes()).toEqual(["register h1:one:80"]);
  });

  test("that has ended goes at once, while the engine still takes it down and lists it as running", async () => {
    engine.has(one);
    await start();
    changes();
    await clock.advance(100);
    await tell("die", one);
    expect(changes()).toEqual(["deregister h1:one:80"]);
    // What else the engine tells of its end says nothing of another run of it.
    for (const action of ["disconnect", "stop", "unpause", "restart"]) await tell(action, one);
    await clock.advance(10_000);
    expect(changes()).toEqual([]);
    engine.has({ ...one, startedAtMs: clock.wall() });
    await tell("start", one);
    expect(changes()).toEqual(["register h1:one:80"]);
  });

  test("of which the engine does not tell keeps nobody waiting, and what it is registered as stays", async () => {
    engine.has(one, two);
    await start();
    await stop();
    changes();
    const inspect = engine.inspect.bind(engine);
    engine.inspect = (id) => (id === one.id ? new Promise(() => undefined) : inspect(id));
    const three = container("three");
    engine.has(three);
    await start();
    await clock.advance(1_000);
    expect(changes()).toEqual(["register h1:three:80"]);
    await clock.advance(30_000);
    expect(changes()).toEqual([]);
    expect(agent.there.has("h1:one:80")).toBe(true);
  });

  test("is asked for only when it may have changed", async () => {
    engine.has(one, two);
    await start();
    await clock.advance(3_000);
    engine.news();
    await clock.advance(10_000);
    expect(engine.news()).toEqual(["list", "list"]);
    await tell("update", two);
    expect(engine.news()).toEqual(["list", "inspect two"]);
    await clock.advance(60_000);
    // The last event is told once more when the events are asked for again.
    expect(new Set(engine.news())).toEqual(new Set(["list", "events", "inspect one", "inspect two"]));
  });

  test("tells on its health", async () => {
    engine.has({ ...one, health: "starting" });
    await start();
    expect(changes()).toEqual(["register h1:one:80", "ttl h1:one:80 critical"]);
    engine.has({ ...one, health: "healthy" });
    await tell("health_status: healthy", one);
    expect(changes()).toEqual(["ttl h1:one:80 passing"]);
    engine.has({ ...one, health: "unhealthy" });
    await tell("health_status: unhealthy", one);
    expect(changes()).toEqual(["ttl h1:one:80 critical"]);
    await clock.advance(25_000);
    expect(changes()).toEqual(["ttl h1:one:80 critical"]);
  });
});

describe("without a flap", () => {
  test("an engine that does not answer has the containers it had, and their checks are kept alive", async () => {
    engine.has(one);
    await start({ ttlMs: 60_000 });
    expect(changes()).toEqual(["register h1:one:80", "ttl h1:one:80 passing"]);
    engine.away = true;
    engine.hangUp();
    await clock.advance(60_000);
    expect(new Set(changes())).toEqual(new Set(["ttl h1:one:80 passing"]));
    agent.there.clear();
    await clock.advance(5_000);
    expect(changes()).toEqual(["register h1:one:80", "ttl h1:one:80 passing"]);
    expect(warnings).toHaveLength(2);
    engine.away = false;
    gone(one);
    await clock.advance(6_000);
    expect(changes()).toEqual(["deregister h1:one:80"]);
  });

  test("an engine that has never answered says nothing of what is registered", async () => {
    engine.has(one);
    await start();
    await stop();
    changes();
    engine.away = true;
    await start();
    await clock.advance(60_000);
    expect(agent.news()).toEqual([]);
    expect(agent.there.has("h1:one:80")).toBe(true);
  });

  test("an agent that has forgotten everything is told again, maintenance included", async () => {
    engine.has(one, { ...two, state: "paused" });
    await start();
    changes();
    agent.there.clear();
    agent.inMaintenance.clear();
    await clock.advance(5_000);
    expect(changes()).toEqual(["register h1:one:80", "register h1:two:80", "maintain h1:two:80 on"]);
  });

  test("an agent that is away is asked again until it answers", async () => {
    agent.broken = true;
    engine.has(one);
    await start();
    await clock.advance(30_000);
    agent.broken = false;
    await clock.advance(5_000);
    expect(changes()).toEqual(["register h1:one:80"]);
    expect(warnings).toEqual(["Consul is not in step; trying on"]);
  });

  test("a registrar that starts again changes nothing", async () => {
    engine.has(one, two);
    await start();
    await tell("kill", two, "15");
    await stop();
    expect(agent.there.size).toBe(2);
    changes();
    await start();
    await clock.advance(30_000);
    expect(changes()).toEqual([]);
    expect(agent.inMaintenance).toEqual(new Set(["h1:two:80"]));
  });

  test("what went while no registrar ran is cleaned up", async () => {
    engine.has(one, two);
    await start();
    await stop();
    changes();
    gone(two);
    await start();
    expect(changes()).toEqual(["deregister h1:two:80"]);
  });

  test("a signal that the engine still remembers counts, where it was sent while no registrar ran", async () => {
    engine.has(one);
    await start();
    await stop();
    changes();
    await clock.advance(5_000);
    engine.tell("kill", one, clock.wall(), "15");
    await clock.advance(5_000);
    await start();
    expect(changes()).toEqual(["maintain h1:one:80 on"]);
  });

  test("events that end are asked for again, from the last one on", async () => {
    engine.has(one);
    await start();
    await clock.advance(20_000);
    await tell("start", one);
    const last = clock.wall();
    const asked: number[] = [];
    const events = engine.events.bind(engine);
    engine.events = (sinceNs, signal) => {
      asked.push(sinceNs);
      return events(sinceNs, signal);
    };
    engine.hangUp();
    await clock.advance(10_000);
    expect(asked).toHaveLength(1);
    expect(Math.abs((asked[0] ?? 0) / 1_000_000 - last)).toBeLessThan(1);
  });
});

describe("what is not ours", () => {
  const registered = (id: string, meta: Readonly<Record<string, string>>) =>
    agent.there.set(id, { id, name: "web", address: "", port: 80, tags: [], meta });

  test("stays, whatever it looks like", async () => {
    registered("h1:gone:80", {});
    registered("h2:gone:80", { "sluice-registrar": "h2" });
    registered("h1:old:80", { "sluice-registrar": "h1" });
    await start();
    await clock.advance(10_000);
    expect(changes()).toEqual(["deregister h1:old:80"]);
  });

  test("keeps its id, which is said once", async () => {
    registered("h1:one:80", {});
    engine.has(one);
    await start();
    await clock.advance(60_000);
    expect(changes()).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining("container one: its id h1:one:80 is one that somebody else")]);
    agent.there.delete("h1:one:80");
    await clock.advance(5_000);
    expect(changes()).toEqual(["register h1:one:80"]);
  });

  test("is taken over with adopt, where it is wanted", async () => {
    registered("h1:one:80", {});
    registered("h1:gone:80", {});
    engine.has(one);
    await start({}, { adopt: true });
    expect(changes()).toEqual(["register h1:one:80"]);
  });
});

describe("one id", () => {
  const named = (name: string, startedAtMs: number) =>
    container(name, { startedAtMs, environment: ["SERVICE_ID=it", `SERVICE_NAME=${name}`] });

  test("is of the container that has run for longer, and then of the other", async () => {
    const [older, newer] = [named("b", 1), named("a", 2)];
    engine.has(newer, older);
    await start();
    expect(agent.there.get("it")?.name).toBe("b");
    expect(warnings).toEqual(["container a: its id it is that of b, which has run for longer"]);
    gone(older);
    await tell("die", older);
    expect(agent.there.get("it")?.name).toBe("a");
    expect(changes()).toEqual(["register it", "register it"]);
  });

  test("that is refused costs itself alone", async () => {
    const register = agent.register.bind(agent);
    agent.register = async (registration) => {
      if (registration.id === "it") throw new Error("refused");
      await register(registration);
    };
    engine.has(named("a", 1), one, two);
    await start();
    expect(changes()).toEqual(["register h1:one:80", "register h1:two:80"]);
    expect(warnings).toEqual(["Consul is not in step; trying on"]);
  });
});

describe("the registrar's own container", () => {
  const id = idOf("me");

  test("names the host by its name, where its host has no name of its own", async () => {
    engine.has({ ...container("registrar_1"), id }, one);
    await start({}, { host: undefined as never, machine: { hostname: id.slice(0, 12) } });
    expect(changes()).toEqual(["register registrar_1:one:80"]);
  });

  test("does not name a host that has a name", async () => {
    engine.has({ ...container("registrar_1"), id }, one);
    await start({}, { host: undefined as never, machine: { hostname: "m7", containerId: id } });
    expect(changes()).toEqual(["register m7:one:80"]);
  });

  describe("of which the engine does not tell at first", () => {
    const self = { ...container("registrar_1", { networks: new Map([["z", "10.0.0.9"]]) }), id };
    const inside = { ...one, networks: new Map([...one.networks, ["z", "10.0.0.1"]]) };
    const nameless = { host: undefined as never, machine: { hostname: id.slice(0, 12) } };

    /** @returns lets the engine tell */
    function silentOfSelf(): () => void {
      let tellNow: () => void = () => undefined;
      const told = new Promise<void>((resolve) => {
        tellNow = resolve;
      });
      const inspect = engine.inspect.bind(engine);
      engine.inspect = async (asked) => {
        if (asked === id) await told;
        return inspect(asked);
      };
      return tellNow;
    }

    test("is waited for: it says the host's name, and which network counts", async () => {
      engine.has(self, inside);
      await start({ internal: true }, nameless);
      await stop();
      changes();
      const tellNow = silentOfSelf();
      await start({ internal: true }, nameless);
      await clock.advance(6_000);
      expect(agent.news()).toEqual([]);
      tellNow();
      await settled();
      await settled();
      expect(agent.news()).toEqual(["services", "checks"]);
      expect(agent.there.get("registrar_1:one:80")?.address).toBe("10.0.0.1");
    });

    test("does not hold up the others for ever", async () => {
      engine.has(self, inside);
      silentOfSelf();
      await start({}, nameless);
      await clock.advance(20_000);
      expect(changes()).toEqual([`register ${id.slice(0, 12)}:one:80`]);
      expect(warnings).toEqual([
        "the Docker engine does not tell of the registrar's own container; going on without its name and networks",
      ]);
    });
  });

  test("says which network counts, by its compose project where several are called so", async () => {
    const on = (network: string) => ({ networks: new Map([[network, "10.0.0.1"]]) });
    engine.has({
      ...container("registrar_1", { ...on("shop_default"), labels: new Map([["com.docker.compose.project", "shop"]]) }),
      id,
    });
    engine.has({ ...one, ...on("shop_default") }, { ...two, ...on("other_default") });
    await start({ internal: true, network: "default" }, { machine: { hostname: "m7", containerId: id } });
    expect(changes()).toEqual(["register h1:one:80"]);
    expect(warnings).toEqual(["container two: it is not on the network default"]);
  });

  test("keeps out what shares no network with it", async () => {
    engine.has({ ...container("registrar_1", { networks: new Map([["z", "10.0.0.9"]]) }), id }, one);
    await start({ internal: true }, { machine: { hostname: "m7", containerId: id } });
    expect(changes()).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining("container one: it shares no network with the registrar's")]);
  });

  test.each([
    ["its host's network", { networkMode: "host", networks: new Map() }],
    ["the network of a container that nobody knows", { networkMode: "container:nobody", networks: new Map() }],
  ])("keeps nothing out where it is on %s", async (_, where) => {
    engine.has({ ...container("registrar_1", where), id }, one);
    await start({ internal: true }, { machine: { hostname: "m7", containerId: id } });
    expect(changes()).toEqual(["register h1:one:80"]);
  });

  test("has the networks of the container whose network it shares", async () => {
    const sidecar = container("sidecar", { environment: ["SERVICE_IGNORE=1"], networks: new Map([["z", "10.0.0.8"]]) });
    engine.has({ ...container("r", { networkMode: `container:${sidecar.id}`, networks: new Map() }), id }, sidecar);
    engine.has({ ...one, networks: new Map([["z", "10.0.0.1"]]) }, two);
    await start({ internal: true }, { machine: { hostname: "m7", containerId: id } });
    expect(changes()).toEqual(["register h1:one:80"]);
  });

  test("is a service where it says its name", async () => {
    engine.has({ ...container("registrar_1", { environment: ["SERVICE_NAME=r"] }), id });
    await start({}, { machine: { hostname: "m7", containerId: id } });
    expect(changes()).toEqual(["register h1:registrar_1:80"]);
  });

  test("says which network counts", async () => {
    const networks = (...names: readonly string[]) => new Map(names.map((name, index) => [name, `10.0.${index}.1`]));
    engine.has({ ...container("registrar_1", { networks: networks("z") }), id });
    engine.has({ ...one, networks: networks("a", "z") });
    await start({ internal: true }, { machine: { hostname: "m7", containerId: id } });
    expect(agent.there.get("h1:one:80")?.address).toBe("10.0.1.1");
  });
});

describe("in the end", () => {
  test("all that is ours goes, when it is asked to", async () => {
    agent.there.set("x", { id: "x", name: "x", address: "", port: 1, tags: [], meta: {} });
    engine.has(one, two);
    await start();
    await stop();
    changes();
    await registrar.release();
    expect(changes()).toEqual(["deregister h1:one:80", "deregister h1:two:80"]);
    expect([...agent.there.keys()]).toEqual(["x"]);
  });

  test("an agent that is away does not keep it", async () => {
    engine.has(one);
    await start();
    await stop();
    agent.broken = true;
    await registrar.release();
    expect(warnings).toContain("some services stay registered");
  });
});
