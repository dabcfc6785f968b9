import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { docker } from "../support/docker.ts";
import { engineSocket } from "../support/docker-socket.ts";
import { type EngineProxy, proxyEngine, type RegistrarProcess, runRegistrar } from "../support/registrar-process.ts";
import { eventually } from "../support/sluice.ts";
import { Scene } from "../support/system.ts";

jest.setTimeout(180_000);

const prefix = `sluice-e2e-r${process.pid}`;
const host = "e2e";
let scene: Scene;
let consul: ConsulAgent;
let engine: EngineProxy;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  engine = await proxyEngine(scene, engineSocket());
});

afterEach(() => scene.end());

/** A container that sleeps, and ends at once when it is told to. */
async function start(name: string, options: readonly string[], image = "debian:trixie-slim"): Promise<string> {
  const full = `${prefix}-${name}`;
  scene.defer(() => docker(["rm", "-f", full]));
  const command = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"];
  await docker(["run", "-d", "--name", full, ...options, image, ...command]);
  return full;
}

/** Others use the engine too: only what says its name counts. */
async function registrar(...args: readonly string[]): Promise<RegistrarProcess> {
  const where = ["--docker-socket", engine.socketPath, `consul://127.0.0.1:${consul.httpPort}`];
  const running = runRegistrar(scene, ["-explicit", "--host", host, ...args, ...where]);
  await running.logged("registrar started");
  return running;
}

interface Entry {
  readonly Service: {
    readonly ID: string;
    readonly Service: string;
    readonly Address: string;
    readonly Port: number;
    readonly Tags: readonly string[];
    readonly Meta: Readonly<Record<string, string>>;
  };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly Output: string }[];
}

/** What Consul knows of our services; those that others run on the engine are not ours. */
async function entries(service: string): Promise<readonly Entry[]> {
  return (await consul.get(`/v1/health/service/${service}`)) as readonly Entry[];
}

/** The checks of the only instance of a service, by what is before the colon of their ids; undefined: there is none. */
async function checks(service: string): Promise<readonly string[] | undefined> {
  const [only] = await entries(service);
  return only?.Checks.map(({ CheckID, Status }) => `${CheckID.split(":")[0]} ${Status}`).sort();
}

async function becomes(service: string, wanted: readonly string[] | undefined): Promise<void> {
  let last: unknown;
  await eventually(
    `${service} is ${wanted?.join() ?? "gone"}`,
    async () => {
      last = await checks(service);
      return JSON.stringify(last) === JSON.stringify(wanted);
    },
    30_000,
  ).catch((thrown) => {
    throw new Error(`${thrown.message}; it is ${JSON.stringify(last)}`);
  });
}

const wellNode = "serfHealth passing";
const inMaintenance = ["_service_maintenance critical", wellNode];
const name = (word: string) => `${prefix}-${word}`;

describe("on a real engine", () => {
  test("a container's life: started, paused, stopped, started again, killed", async () => {
    const running = await registrar();
    const service = name("life");
    const container = await start("life", [
      ...[
        "-p",
        "127.0.0.1::80",
        "-e",
        `SERVICE_NAME=${service}`,
        "-e",
        "SERVICE_TAGS=a,b",
        "-e",
        "SERVICE_80_REGION=eu",
      ],
      ...["-l", "SERVICE_TAGS=c,urlprefix-/q"],
    ]);
    await becomes(service, [wellNode]);
    const published = Number((await docker(["port", container, "80/tcp"])).split(":").at(-1));
    expect((await entries(service))[0]?.Service).toMatchObject({
      ID: `${host}:${container}:80`,
      Address: "127.0.0.1",
      Port: published,
      Tags: ["c", "urlprefix-/q"],
      Meta: { region: "eu", "sluice-registrar": host },
    });
    await docker(["pause", container]);
    await becomes(service, inMaintenance);
    await docker(["unpause", container]);
    await becomes(service, [wellNode]);
    // Not told to stop: HUP means something else to most.
    await docker(["kill", "-s", "HUP", container]);
    await docker(["start", container]);
    await becomes(service, [wellNode]);

    const from = running.lines().length;
    await docker(["stop", "-t", "10", container]);
    await becomes(service, undefined);
    const stopped = running.lines().slice(from);
    const gone = `no longer registered as ${service}`;
    // It ends within ms: where its end is heard in the same look as the signal, there is nothing to keep requests from.
    expect([["in maintenance", gone], [gone]]).toContainEqual(stopped.map(({ msg }) => msg));
    await docker(["start", container]);
    await becomes(service, [wellNode]);
    const killedFrom = running.lines().length;
    await docker(["kill", container]);
    await becomes(service, undefined);
    expect(
      running
        .lines()
        .slice(killedFrom)
        .map(({ msg }) => msg),
    ).toEqual([gone]);
  });

  test("a container that does not listen is in maintenance until it is killed", async () => {
    await registrar();
    const service = name("deaf");
    const full = `${prefix}-deaf`;
    scene.defer(() => docker(["rm", "-f", full]));
    // Without a handler, the first process of a container ignores SIGTERM (pid_namespaces(7)).
    const options = ["-d", "--name", full, "-p", "127.0.0.1::80", "-e", `SERVICE_NAME=${service}`];
    await docker(["run", ...options, "debian:trixie-slim", "sleep", "1000"]);
    await becomes(service, [wellNode]);
    const began = performance.now();
    const stopping = docker(["stop", "-t", "4", full]);
    await becomes(service, inMaintenance);
    const drainingAfterMs = performance.now() - began;
    await stopping;
    await becomes(service, undefined);
    expect(drainingAfterMs).toBeLessThan(3_000);
  });

  test("HEALTHCHECK decides where the container has one", async () => {
    await registrar();
    const service = name("health");
    const container = await start("health", [
      ...["-p", "127.0.0.1::80", "-e", `SERVICE_NAME=${service}`, "--health-interval", "1s", "--health-retries", "1"],
      ...["--health-cmd", "test -e /tmp/well"],
    ]);
    await becomes(service, [wellNode, "service critical"]);
    await docker(["exec", container, "touch", "/tmp/well"]);
    await becomes(service, [wellNode, "service passing"]);
    await docker(["exec", container, "rm", "/tmp/well"]);
    await becomes(service, [wellNode, "service critical"]);
  });

  test("with internal, on the network that is asked for, all exposed ports", async () => {
    const network = `${prefix}-net`;
    scene.defer(() => docker(["network", "rm", network]));
    await docker(["network", "create", network]);
    const service = name("inside");
    const container = await start("inside", ["--expose", "80", "--expose", "81/udp", "-e", `SERVICE_NAME=${service}`]);
    const running = await registrar("--internal", "--network", network);
    await running.logged(`container ${container}: it is not on the network`);
    await docker(["network", "connect", network, container]);
    await becomes(`${service}-80`, [wellNode]);
    await becomes(`${service}-81`, [wellNode]);
    const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
    const address = (await docker(["inspect", "-f", format, container])).trim();
    expect((await entries(`${service}-81`))[0]?.Service).toMatchObject({
      ID: `${host}:${container}:81:udp`,
      Address: address,
      Port: 81,
      Tags: ["udp"],
    });
    await docker(["network", "disconnect", network, container]);
    await becomes(`${service}-80`, undefined);
  });
});

describe("nothing flaps", () => {
  test("when the engine, Consul and the registrar are restarted in turn", async () => {
    const service = name("steady");
    const words = ["-p", "127.0.0.1::80", "-e", `SERVICE_NAME=${service}`];
    await start("steady", [...words, "--health-interval", "1s", "--health-cmd", "true"]);
    let running = await registrar("--ttl", "20s", "--ttl-refresh", "1s");
    const well = [wellNode, "service passing"];
    await becomes(service, well);
    const id = (await entries(service))[0]?.Service.ID;
    // What others have registered with this agent stays all the time.
    await consul.register({ Name: "other", ID: `${host}:gone:80` });

    const from = running.lines().length;
    await engine.become(false);
    await running.logged("the Docker engine does not tell its containers", from);
    await engine.become(true);
    await running.logged("the Docker engine's events come again", from);
    await running.logged("the Docker engine answers again", from);
    expect(await checks(service)).toEqual(well);

    expect(await running.end()).toBe(0);
    expect(await checks(service)).toEqual(well);
    running = await registrar("--ttl", "20s", "--ttl-refresh", "1s");
    const asked = engine.asked.length;
    await eventually("it has looked", () => engine.asked.slice(asked).some((one) => one.includes("/json")), 30_000);
    // One more pass, which starts from what the first has done.
    const again = engine.asked.length;
    await eventually("it looks again", () => engine.asked.slice(again).some((one) => one.includes("/json")), 30_000);
    expect(await checks(service)).toEqual(well);
    expect(
      running
        .lines()
        .filter(({ msg }) => /regist|maintenance/.test(msg))
        .map(({ msg }) => msg),
    ).toEqual(["registrar started"]);
    expect(await consul.get(`/v1/catalog/service/other`)).toHaveLength(1);

    // Consul comes back without anything.
    const { httpPort } = consul;
    await consul.stop();
    await running.logged("Consul is not in step", 0);
    consul = await scene.consul({ httpPort });
    await becomes(service, well);
    expect((await entries(service))[0]?.Service.ID).toBe(id);
  });

  test("and with on-stop deregister nothing of ours is left", async () => {
    const service = name("leaving");
    await start("leaving", ["-p", "127.0.0.1::80", "-e", `SERVICE_NAME=${service}`]);
    const running = await registrar("--on-stop", "deregister");
    await becomes(service, [wellNode]);
    await consul.register({ Name: "other", ID: `${host}:gone:80` });
    expect(await running.end()).toBe(0);
    expect(await entries(service)).toEqual([]);
    expect(await consul.get(`/v1/catalog/service/other`)).toHaveLength(1);
  });
});

test("only these questions are asked of the engine: what a proxy before its socket has to let through", async () => {
  const service = name("asked");
  const container = await start("asked", ["-p", "127.0.0.1::80", "-e", `SERVICE_NAME=${service}`]);
  await registrar("--resync", "2s");
  await becomes(service, [wellNode]);
  await docker(["stop", container]);
  await becomes(service, undefined);
  const asked = () => engine.asked.filter((one) => one.includes("/events?")).length;
  await eventually("events are asked for again", () => asked() >= 2, 30_000);
  const allowed =
    /^GET (\/version|\/v1\.\d+\/events\?\S+|\/v1\.\d+\/containers\/json|\/v1\.\d+\/containers\/[0-9a-f]{64}\/json)$/;
  expect(engine.asked.filter((one) => !allowed.test(one))).toEqual([]);
});
