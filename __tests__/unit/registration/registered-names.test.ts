import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { RegisteredNames } from "../../../src/registration/registered-names.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { FakeAgent } from "../../support/fake-agent.ts";
import { ManualClock, settled } from "../../support/manual-clock.ts";

let agent: FakeAgent;
let clock: ManualClock;
let names: RegisteredNames;
let life: AbortController;
let running: Promise<void>;

beforeEach(() => {
  agent = new FakeAgent();
  clock = new ManualClock();
  const place = { port: 80, check: "127.0.0.1:80" };
  names = new RegisteredNames({ agent, place, host: "m1", clock, logger: silentLogger, random: () => 1 });
  life = new AbortController();
  running = names.run(life.signal);
});

afterEach(async () => {
  life.abort();
  await running;
});

async function want(...wanted: readonly string[]): Promise<void> {
  names.want(wanted);
  await settled();
}

describe("names that are wanted", () => {
  test("are registered, once, and taken away when nobody wants them any more", async () => {
    await want("a", "b");
    expect(agent.news()).toEqual(["services", "register sluice-a-m1:80", "register sluice-b-m1:80"]);
    expect(agent.there.get("sluice-a-m1:80")).toEqual({
      id: "sluice-a-m1:80",
      name: "a",
      address: "",
      tags: [],
      port: 80,
      meta: { "sluice-registered": "m1:80" },
    });
    await want("a", "b");
    expect(agent.news()).toEqual([]);
    await want("b");
    expect(agent.news()).toEqual(["services", "deregister sluice-a-m1:80"]);
  });

  test("are registered again where the agent has forgotten or changed them", async () => {
    await want("a");
    agent.there.clear();
    agent.news();
    await clock.advance(10_000);
    expect(agent.news()).toEqual(["services", "register sluice-a-m1:80"]);
    const held = agent.there.get("sluice-a-m1:80");
    if (held === undefined) throw new Error("not registered");
    agent.there.set(held.id, { ...held, port: 81 });
    await clock.advance(10_000);
    expect(agent.news()).toEqual(["services", "register sluice-a-m1:80"]);
  });

  test("what is not ours is left alone, whatever its id", async () => {
    const strange = (id: string, meta: Readonly<Record<string, string>>) =>
      agent.there.set(id, { id, name: "x", address: "", port: 1, tags: [], meta });
    strange("sluice-x-m1:80", {});
    strange("other", { "sluice-registered": "m2:80" });
    strange("left", { "sluice-registered": "m1:80" });
    await want();
    expect(agent.news()).toEqual(["services", "deregister left"]);
  });
});

test("without a name nobody is asked again and again", async () => {
  await clock.advance(60_000);
  expect(agent.news()).toEqual([]);
  await want();
  await clock.advance(60_000);
  expect(agent.news()).toEqual(["services"]);
});

test("an agent that refuses is asked on, less and less often", async () => {
  agent.broken = true;
  await want("a");
  await clock.advance(499);
  agent.broken = false;
  expect(agent.news()).toEqual([]);
  await clock.advance(1);
  expect(agent.news()).toEqual(["services", "register sluice-a-m1:80"]);
});

describe("the end", () => {
  test("leaves what is registered: HAProxy may go on alone", async () => {
    await want("a");
    agent.news();
    life.abort();
    await running;
    expect(agent.news()).toEqual([]);
  });

  test("takes all away where HAProxy ends too, and does not wait for an agent that is broken", async () => {
    await want("a", "b");
    agent.news();
    life.abort();
    await running;
    await names.release();
    expect(agent.news()).toEqual(["services", "deregister sluice-a-m1:80", "deregister sluice-b-m1:80"]);
    agent.broken = true;
    await names.release();
    expect(clock.pending).toBe(0);
  });
});
