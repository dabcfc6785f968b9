import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { DockerClient } from "../../../../src/registration/docker/client.ts";
import { Registrar } from "../../../../src/registration/registrar/registrar.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { silentLogger } from "../../../../src/support/logger.ts";
import { idOf, plainOptions } from "../../../support/containers.ts";
import { eventually } from "../../../support/eventually.ts";
import { FakeAgent } from "../../../support/fake-agent.ts";
import {
  type EngineFault,
  eventLine,
  type HttpEngine,
  httpContainer,
  startHttpEngine,
} from "../../../support/http-engine.ts";

let engine: HttpEngine;
let agent: FakeAgent;
let life: AbortController;
let running: Promise<void>;
const id = idOf("one");
const service = "h1:one:80";

beforeEach(async () => {
  engine = await startHttpEngine();
  agent = new FakeAgent();
  life = new AbortController();
  const registrar = new Registrar({
    engine: new DockerClient({ baseUrl: "http://localhost", socketPath: engine.socketPath }, systemClock),
    agent,
    clock: systemClock,
    logger: silentLogger,
    options: plainOptions,
    pace: { resyncMs: 60_000, ttlRefreshMs: 60_000, drainMs: 60_000 },
    host: "h1",
    adopt: false,
    machine: { hostname: "h1" },
    // Tries again without a wait.
    random: () => 0.001,
  });
  engine.containers.set(id, httpContainer(id, "one"));
  running = registrar.run(life.signal);
  await eventually(() => agent.there.has(service) && engine.streams() === 1, "the container is registered");
});

afterEach(async () => {
  life.abort();
  await running;
  await engine.stop();
});

/** Nothing that would be a flap was asked of the agent. */
function expectNoFlap(): void {
  expect(agent.asked.filter((asked) => asked !== "services" && asked !== "checks")).toEqual([`register ${service}`]);
}

async function looksAgain(): Promise<void> {
  const before = engine.asked.length;
  await eventually(() => engine.asked.slice(before).some((asked) => asked.includes("/containers/json")), "it looks");
}

async function followsEvents(): Promise<void> {
  await eventually(() => engine.streams() === 1, "events are followed");
  engine.containers.delete(id);
  const began = performance.now();
  await engine.tell("die", id);
  await eventually(() => !agent.there.has(service), "it is gone");
  // Not by the look that comes every five seconds.
  expect(performance.now() - began).toBeLessThan(4_000);
}

describe("events", () => {
  test("that come in pieces are put together", async () => {
    const line = `${eventLine("die", id)}\n`;
    engine.containers.delete(id);
    await engine.write(...(line.match(/.{1,7}|\n/gs) ?? []));
    await eventually(() => !agent.there.has(service), "it is gone");
  });

  test.each([
    ["not JSON", "<html>\n"],
    ["not an event", '{"x":1}\n[]\nnull\n""\n'],
    ["empty lines", "\n\n \n"],
    ["not UTF-8", "\u0000\ufffd\n"],
    ["longer than any event", `${"x".repeat(3_000_000)}\n`],
  ])("that are %s do no harm", async (_, text) => {
    await engine.write(text);
    await looksAgain();
    expectNoFlap();
    await followsEvents();
  });

  test("that break off in the middle of a line go on over another connection", async () => {
    await engine.write(eventLine("die", id).slice(0, 50));
    engine.hangUp();
    await eventually(() => engine.asked.filter((asked) => asked.includes("/events")).length >= 2, "asked again");
    expectNoFlap();
    await followsEvents();
  });

  test("go on from the last one that was told", async () => {
    await engine.tell("start", id);
    const before = Date.now() / 1_000;
    await looksAgain();
    engine.hangUp();
    await eventually(() => engine.asked.filter((asked) => asked.includes("/events")).length >= 2, "asked again");
    const last = engine.asked.filter((asked) => asked.includes("/events")).at(-1) ?? "";
    const since = Number(/since=([\d.]+)/.exec(last)?.[1]);
    expect(Math.abs(since - before)).toBeLessThan(1);
  });
});

describe("an engine", () => {
  test.each<EngineFault>(["500", "garbage", "cut", "silent"])(
    "whose answers are %s keeps what it had",
    async (fault) => {
      engine.fault = fault;
      engine.hangUp();
      const before = engine.asked.length;
      await eventually(() => engine.asked.length > before + (fault === "silent" ? 0 : 3), "it is asked");
      engine.fault = "none";
      engine.hangUp();
      await eventually(() => engine.streams() === 1, "events are followed");
      expectNoFlap();
      await followsEvents();
    },
  );

  test("whose answers have no end is not listened to for ever", async () => {
    engine.fault = "huge";
    engine.hangUp();
    const before = engine.asked.length;
    await eventually(() => engine.asked.length > before + 1, "it is asked again", 60_000);
    engine.fault = "none";
    engine.hangUp();
    await followsEvents();
  }, 90_000);

  test("that is started again, as another version, keeps what it had", async () => {
    await engine.become(false);
    engine.version = "1.52";
    engine.least = "1.44";
    await engine.become(true);
    await eventually(() => engine.streams() === 1, "events are followed");
    await looksAgain();
    expect(engine.asked.at(-1)).toContain("/v1.44/");
    expectNoFlap();
    await followsEvents();
  });
});

test("nothing but four kinds of questions is asked, and none that changes anything", async () => {
  await followsEvents();
  engine.hangUp();
  await eventually(() => engine.streams() === 1, "events are followed");
  const kinds = engine.asked.map((asked) =>
    asked
      .replace(/\?.*/, "")
      .replace(/ \/v[\d.]+/, " ")
      .replace(id, "<id>"),
  );
  expect([...new Set(kinds)].sort()).toEqual([
    "GET /containers/<id>/json",
    "GET /containers/json",
    "GET /events",
    "GET /version",
  ]);
});
