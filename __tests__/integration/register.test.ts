import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { consulBinary } from "../support/binaries.ts";
import { type ConsulAgent, startConsul } from "../support/consul-agent.ts";
import { freePort } from "../support/free-port.ts";
import { startGrpcHealth } from "../support/grpc-health.ts";
import { instancesOf, isRunning, runRegister, webApp } from "../support/register-command.ts";
import { eventually } from "../support/sluice.ts";
import { ask, Scene } from "../support/system.ts";

jest.setTimeout(120_000);

let scene: Scene;
let consul: ConsulAgent;
let agent: readonly string[];
beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  agent = ["--consul-address", consul.address];
});
afterEach(() => scene.end());

const count = async () => (await instancesOf(consul, "web")).length;
const quick = ["--drain", "200ms"];

describe("what is registered", () => {
  test("the service with all that is said of it, and passing at once", async () => {
    const { port, args, command } = await webApp("one");
    const said = ["--tag", "urlprefix-/a,b", "--tags", "x, y", "--meta", "version=2"];
    const run = runRegister(scene, [...agent, ...args, ...said, ...quick, ...command]);
    await run.logged("registered");
    expect(await instancesOf(consul, "web")).toEqual([
      {
        id: `${hostname()}-web-${port}`,
        address: "",
        port,
        tags: ["urlprefix-/a,b", "x", "y"],
        meta: { version: "2" },
        checks: { [`service:${hostname()}-web-${port}`]: "passing" },
      },
    ]);
    // The log is on standard error: standard output is the app's own.
    expect(run.out()).toBe("ready\n");
  });

  test("by the names people have in the environment, with the app's HTTP health", async () => {
    const { port, command } = await webApp("one");
    const env = {
      APP_NAME: "web",
      APP_PORT: String(port),
      CONSUL_PORT: String(consul.httpPort),
      TAGS: "a,b",
      HEALTH_CHECK_TYPE: "http",
      HEALTH_CHECK_ENDPOINT: "/health",
      SLUICE_REGISTER_ID: "web-1",
      SLUICE_REGISTER_CHECK_INTERVAL: "200ms",
    };
    runRegister(scene, command, env);
    await eventually("passing", async () => (await instancesOf(consul, "web")).length === 1, 30_000);
    const [one] = await instancesOf(consul, "web");
    expect(one).toMatchObject({ id: "web-1", port, tags: ["a", "b"], checks: { "service:web-1": "passing" } });
    await ask(port, { path: "/close" });
    await eventually(
      "critical",
      async () => (await instancesOf(consul, "web"))[0]?.checks["service:web-1"] === "critical",
    );
  });

  test("with gRPC health: registered when it serves, critical when it does not", async () => {
    const health = await startGrpcHealth({ "protos.Ping": false });
    scene.defer(() => health.stop());
    const args = ["--name", "web", "--port", String(health.port), "--id", "w", "--check", "grpc"];
    const check = ["--check-path", "protos.Ping", "--check-interval", "200ms"];
    const run = runRegister(scene, [...agent, ...args, ...check, "--", "sleep", "600"]);
    await eventually("asked", () => health.asked.length > 2, 30_000);
    expect(await count()).toBe(0);
    health.set("protos.Ping", true);
    await run.logged("registered");
    await eventually("the agent has asked", async () => {
      const asked = health.asked.length;
      await eventually("once more", () => health.asked.length > asked + 1);
      return (await instancesOf(consul, "web"))[0]?.checks["service:w"] === "passing";
    });
    health.set("protos.Ping", false);
    await eventually("critical", async () => (await instancesOf(consul, "web"))[0]?.checks["service:w"] === "critical");
    expect(new Set(health.asked)).toEqual(new Set(["protos.Ping"]));
  });

  test("a TTL says that the port is closed, and that it is open again", async () => {
    const { port, args, command } = await webApp("one");
    const run = runRegister(scene, [...agent, ...args, "--id", "w", "--check-interval", "200ms", ...command]);
    await run.logged("registered");
    await ask(port, { path: "/close" });
    await eventually("critical", async () => (await instancesOf(consul, "web"))[0]?.checks["service:w"] === "critical");
  });

  test("an id that an earlier run has left in maintenance serves again", async () => {
    const { port, args, command } = await webApp("one");
    await consul.register({ Name: "web", ID: "w", Port: port });
    await consul.put("/v1/agent/service/maintenance/w?enable=true&reason=left");
    const run = runRegister(scene, [...agent, ...args, "--id", "w", ...command]);
    await run.logged("registered");
    expect((await instancesOf(consul, "web")).map(({ checks }) => checks)).toEqual([{ "service:w": "passing" }]);
  });

  test("--once: what runs elsewhere, and the command is over", async () => {
    const web = await scene.instance("web-1");
    const args = ["--once", "--name", "web", "--port", String(web.port), "--id", "w", "--check-interval", "100ms"];
    const run = runRegister(scene, [...agent, ...args]);
    expect(await run.ended).toBe(0);
    await eventually("the agent's check", async () => {
      return (await instancesOf(consul, "web"))[0]?.checks["service:w"] === "passing";
    });
  });
});

describe("the end", () => {
  test("SIGTERM: maintenance, then deregistered, and only then the process is told", async () => {
    const { port, args, command } = await webApp("one");
    const run = runRegister(scene, [...agent, ...args, "--id", "w", "--drain", "2s", ...command]);
    await run.logged("registered");
    run.signal("SIGTERM");
    await eventually("in maintenance", async () => {
      return (await instancesOf(consul, "web"))[0]?.checks["_service_maintenance:w"] === "critical";
    });
    expect((await ask(port)).body).toBe("one");
    expect(run.out()).toBe("ready\n");
    expect(await run.ended).toBe(0);
    expect(await count()).toBe(0);
    expect(run.out()).toBe("ready\nSIGTERM\n");
    expect(Number((await run.logged("drained"))["drainedMs"])).toBeGreaterThanOrEqual(1_990);
  });

  test("a second SIGTERM ends the drain", async () => {
    const { args, command } = await webApp("one");
    const run = runRegister(scene, [...agent, ...args, "--id", "w", "--drain", "10m", ...command]);
    await run.logged("registered");
    run.signal("SIGTERM");
    await eventually("in maintenance", async () => {
      return (await instancesOf(consul, "web"))[0]?.checks["_service_maintenance:w"] === "critical";
    });
    run.signal("SIGTERM");
    expect(await run.ended).toBe(0);
    expect(await count()).toBe(0);
  });

  test("what does not stop is killed after the grace, and other signals go to the process", async () => {
    const { args, command } = await webApp("one", "--stubborn");
    const run = runRegister(scene, [...agent, ...args, ...quick, "--grace", "500ms", ...command]);
    await run.logged("registered");
    run.signal("SIGHUP");
    run.signal("SIGUSR2");
    await eventually("both heard", () => run.out().includes("SIGHUP") && run.out().includes("SIGUSR2"));
    run.signal("SIGINT");
    expect(await run.ended).toBe(137);
    expect(run.out()).toContain("SIGINT");
    expect(await count()).toBe(0);
  });

  test("the process's own: deregistered at once, with its status", async () => {
    const { port, args, command } = await webApp("one");
    const run = runRegister(scene, [...agent, ...args, "--drain", "10m", ...command]);
    await run.logged("registered");
    await ask(port, { path: "/exit?code=3" }).catch(() => undefined);
    expect(await run.ended).toBe(3);
    expect(await count()).toBe(0);
  });

  test("by a signal: 128 and its number", async () => {
    const { args, command } = await webApp("one");
    const run = runRegister(scene, [...agent, ...args, "--drain", "10m", ...command]);
    const { pid } = await run.logged("waiting");
    await run.logged("registered");
    process.kill(pid as number, "SIGKILL");
    expect(await run.ended).toBe(137);
    expect(await count()).toBe(0);
  });

  test("with an agent that is gone: it is said, and the process is stopped all the same", async () => {
    const { args, command } = await webApp("one");
    const run = runRegister(scene, [...agent, ...args, "--drain", "10m", ...command]);
    await run.logged("registered");
    await consul.stop();
    run.signal("SIGTERM");
    expect(await run.ended).toBe(0);
    await run.logged("cannot be deregistered");
    expect(run.out()).toContain("SIGTERM");
  });

  test("kill -9: critical when the TTL is over, and forgotten; the process ends too where it is told so", async () => {
    const { args, command } = await webApp("one");
    const [dashes = "", ...words] = command;
    const told = [dashes, "setpriv", "--pdeathsig", "TERM", "--", ...words];
    const check = ["--check-interval", "300ms", "--deregister-after", "1m"];
    const run = runRegister(scene, [...agent, ...args, "--id", "w", ...check, ...told]);
    const { pid } = await run.logged("waiting");
    await run.logged("registered");
    run.signal("SIGKILL");
    expect(await run.ended).toBe("SIGKILL");
    await eventually("critical", async () => (await instancesOf(consul, "web"))[0]?.checks["service:w"] === "critical");
    await eventually("the process has ended", () => !isRunning(pid as number));
    // A minute, and up to half of one until Consul looks.
    await eventually("forgotten", async () => (await count()) === 0, 110_000);
  });
});

describe("the beginning", () => {
  test("an agent that comes 3 s later is waited for", async () => {
    const { args, command } = await webApp("one");
    const { httpPort } = consul;
    await consul.stop();
    const run = runRegister(scene, [...agent, ...args, "--retries", "60", ...command]);
    await run.logged("cannot be registered");
    const begun = performance.now();
    await eventually("3 s", () => performance.now() - begun > 3_000);
    consul = await startConsul({ httpPort });
    scene.defer(() => consul.stop());
    await run.logged("registered");
    await eventually("in the catalog", async () => (await count()) === 1);
  });

  test("an agent that never comes: ten tries, then the process is ended and the status is 1", async () => {
    const { args, command } = await webApp("one");
    await consul.stop();
    const run = runRegister(scene, [...agent, ...args, "--retry-interval", "50ms", ...command]);
    expect(await run.ended).toBe(1);
    expect(run.lines().filter(({ msg }) => msg.includes("trying again"))).toHaveLength(9);
    expect((await run.logged("was not registered, tried 10 times")).level).toBe("error");
    expect(run.out()).toBe("ready\nSIGTERM\n");
  });

  test("a port that never answers: nothing is registered, and the status is 1", async () => {
    const port = await freePort();
    const args = ["--name", "web", "--port", String(port), "--wait", "500ms"];
    const run = runRegister(scene, [...agent, ...args, "--", "sleep", "600"]);
    const { pid } = await run.logged("waiting");
    expect(await run.ended).toBe(1);
    await run.logged("did not answer within 500 ms");
    expect(isRunning(pid as number)).toBe(false);
    expect(await count()).toBe(0);
  });

  test.each([
    [["/nowhere/at-all"], 127],
    [["./package.json"], 126],
    [["sh", "-c", "exit 4"], 4],
  ])("%j cannot be started, or ends: %i", async (command, status) => {
    const run = runRegister(scene, [...agent, "--name", "web", "--port", "1", "--", ...command]);
    expect(await run.ended).toBe(status);
  });

  test("SIGTERM before it is ready goes to the process", async () => {
    const port = await freePort();
    const run = runRegister(scene, [...agent, "--name", "web", "--port", String(port), "--", "sleep", "600"]);
    await run.logged("waiting");
    run.signal("SIGTERM");
    expect(await run.ended).toBe(143);
    expect(await count()).toBe(0);
  });
});

test("an agent that was restarted without its data has it back", async () => {
  const { args, command } = await webApp("one");
  const run = runRegister(scene, [...agent, ...args, "--check-interval", "500ms", ...command]);
  await run.logged("registered");
  const { httpPort } = consul;
  await consul.stop();
  await run.logged("the agent cannot be asked");
  consul = await startConsul({ httpPort });
  scene.defer(() => consul.stop());
  await eventually(
    "registered again",
    async () => {
      const [one] = await instancesOf(consul, "web");
      return Object.values(one?.checks ?? {}).join() === "passing";
    },
    30_000,
  );
});

test("an unwell instance that was forgotten comes back as critical, and is passing when it is well", async () => {
  const health = await startGrpcHealth({ "protos.Ping": true });
  scene.defer(() => health.stop());
  const args = ["--name", "web", "--port", String(health.port), "--id", "w", "--check", "grpc"];
  // The agent's own check comes too late to have a say.
  const check = ["--check-path", "protos.Ping", "--check-interval", "1h"];
  const run = runRegister(scene, [...agent, ...args, ...check, ...quick, "--", "sleep", "600"]);
  await run.logged("registered");
  const status = async () => (await instancesOf(consul, "web"))[0]?.checks["service:w"];
  for (const [serving, expected] of [
    [false, "critical"],
    [true, "passing"],
  ] as const) {
    health.set("protos.Ping", serving);
    await consul.deregister("w");
    await eventually("there again", async () => (await status()) !== undefined, 30_000);
    expect(await status()).toBe(expected);
  }
});

test("the agent's file in docs/register.md is one that Consul takes", () => {
  const doc = readFileSync(new URL("../../docs/register.md", import.meta.url), "utf8");
  const [, json = ""] = /^```json\n([\s\S]*?)^```/m.exec(doc) ?? [];
  const directory = mkdtempSync(path.join(tmpdir(), "sluice-register-"));
  scene.defer(async () => rmSync(directory, { recursive: true }));
  const file = path.join(directory, "web.json");
  writeFileSync(file, JSON.stringify({ data_dir: directory, ...JSON.parse(json) }));
  expect(execFileSync(consulBinary, ["validate", file]).toString()).toContain("Configuration is valid!");
});
