import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { DockerClient, nearestVersion } from "../../../../src/registration/docker/client.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { idOf } from "../../../support/containers.ts";
import { eventually } from "../../../support/eventually.ts";
import { eventLine, type HttpEngine, httpContainer, startHttpEngine } from "../../../support/http-engine.ts";

let engine: HttpEngine;
let client: DockerClient;
let life: AbortController;
const id = idOf("one");

beforeEach(async () => {
  engine = await startHttpEngine();
  client = new DockerClient({ baseUrl: "http://localhost", socketPath: engine.socketPath }, systemClock);
  life = new AbortController();
});

afterEach(async () => {
  life.abort();
  await engine.stop();
});

describe("containers", () => {
  test("are listed, and asked for one by one", async () => {
    engine.containers.set(id, httpContainer(id, "one", ["A=b"]));
    expect(await client.list(life.signal)).toEqual([{ id, name: "one", look: expect.any(String) }]);
    expect(await client.inspect(id, life.signal)).toEqual({
      id,
      name: "one",
      image: "team/shop:1",
      state: "running",
      startedAtMs: Date.UTC(2026, 0, 1) + 500,
      environment: ["A=b"],
      labels: new Map(),
      ports: [{ port: 80, protocol: "tcp", bindings: [{ address: "127.0.0.1", port: 32_768 }] }],
      networkMode: "default",
      networks: new Map([["bridge", "172.17.0.2"]]),
      stopSignal: "SIGTERM",
      stopTimeoutMs: 10_000,
    });
    expect(engine.asked).toEqual(["GET /version", "GET /v1.41/containers/json", `GET /v1.41/containers/${id}/json`]);
  });

  test("of which the engine knows only the least are read", async () => {
    const bare = { Id: id, Name: "/one", State: {}, Config: {}, HostConfig: {}, NetworkSettings: {} };
    engine.containers.set(id, bare);
    expect(await client.inspect(id, life.signal)).toMatchObject({ state: "stopped", ports: [], environment: [] });
  });

  test("with whatever ports and networks are read", async () => {
    const strange = httpContainer(id, "one");
    engine.containers.set(id, {
      ...strange,
      State: { Running: true, Paused: true, StartedAt: "never", Health: { Status: "none" } },
      Config: {
        Image: "x",
        Env: null,
        Labels: null,
        ExposedPorts: { "0/tcp": {}, "99999/tcp": {}, "x/y": {}, "7": {} },
      },
      NetworkSettings: {
        Ports: { "53/udp": [{ HostIp: "", HostPort: "x" }], "8/sctp": null },
        Networks: { a: null, b: { IPAddress: "junk" }, c: { IPAddress: "", GlobalIPv6Address: "FD00::1" } },
      },
    });
    expect(await client.inspect(id, life.signal)).toMatchObject({
      state: "paused",
      startedAtMs: 0,
      ports: [
        { port: 7, protocol: "tcp", bindings: [] },
        { port: 8, protocol: "sctp", bindings: [] },
        { port: 53, protocol: "udp", bindings: [] },
        { port: 80, protocol: "tcp", bindings: [] },
      ],
      networks: new Map([["c", "fd00::1"]]),
    });
  });

  test("that are gone are undefined", async () => {
    expect(await client.inspect("nobody/../x", life.signal)).toBeUndefined();
    expect(engine.asked.at(-1)).toBe("GET /v1.41/containers/nobody%2F..%2Fx/json");
  });
});

describe("what goes wrong", () => {
  test("is told with its code, and nothing of the answer", async () => {
    engine.fault = "500";
    await expect(client.list(life.signal)).rejects.toMatchObject({
      code: "ERR_DOCKER_STATUS",
      details: { path: "/version", status: 500 },
    });
    engine.fault = "garbage";
    await expect(client.list(life.signal)).rejects.toMatchObject({ code: "ERR_DOCKER_ANSWER_INVALID" });
    engine.fault = "cut";
    await expect(client.list(life.signal)).rejects.toMatchObject({ code: "ERR_DOCKER_UNREACHABLE" });
    engine.fault = "500";
    await expect(client.events(0, life.signal)).rejects.toMatchObject({ code: "ERR_DOCKER_STATUS" });
    await engine.become(false);
    await expect(client.list(life.signal)).rejects.toMatchObject({ code: "ERR_DOCKER_UNREACHABLE" });
  });
});

describe("events", () => {
  test("are asked for from a moment on, and end with the signal", async () => {
    const events = await client.events(1_795_271_348.163_759 * 1e9, life.signal);
    expect(decodeURIComponent(engine.asked.at(-1) ?? "")).toMatch(
      /^GET \/v1\.41\/events\?since=1795271348\.16375\d{4}&filters=\{"type":\["container","network"\],/,
    );
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const event of events) seen.push(event);
    })();
    await engine.tell("kill", id, { signal: "15" });
    await engine.write("{\n");
    const network = { Type: "network", Action: "connect", Actor: { ID: "n", Attributes: { container: id } } };
    await engine.write(`${JSON.stringify({ ...network, timeNano: 5 })}\n`);
    await eventually(() => seen.length === 3, "three events");
    expect(seen).toEqual([
      { action: "kill", container: id, signal: "15", timeNs: expect.any(Number) },
      "unreadable",
      { action: "connect", container: id, timeNs: 5 },
    ]);
    life.abort();
    await expect(reading).rejects.toThrow();
  });

  test("that end throw, or end, and do not give half a line", async () => {
    const events = await client.events(0, life.signal);
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const event of events) seen.push(event);
    })();
    await engine.write(eventLine("start", id));
    engine.hangUp();
    await expect(reading).rejects.toThrow();
    expect(seen).toEqual([]);
  });
});

describe("the version that is spoken", () => {
  test.each([
    ["1.41", "1.12", "1.41"],
    ["1.52", "1.44", "1.44"],
    ["1.52", undefined, "1.41"],
    ["1.40", "1.12", "1.40"],
    ["2.1", "1.30", "1.41"],
    ["nonsense", "x", "1.41"],
    ["1.50", "nonsense", "1.41"],
  ])("of an engine that has %s down to %s is %s", (newest, least, version) => {
    expect(nearestVersion(newest, least)).toBe(version);
  });
});
