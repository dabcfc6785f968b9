import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { type AgentFacts, datacenterOf, learnAgentFacts } from "../../../src/catalog/agent-facts.ts";
import { ConsulClient } from "../../../src/catalog/consul-client.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { eventually } from "../../support/eventually.ts";
import { type FakeConsul, healthEntry, startFakeConsul } from "../../support/fake-consul.ts";
import { TestClock } from "../../support/test-clock.ts";

const self = "/v1/agent/self";
const servers = "/v1/health/service/consul";
const datacenters = "/v1/catalog/datacenters";
const east = { body: [{ ...healthEntry("consul", "consul"), Node: { Node: "s1", Datacenter: "east" } }] };

let consul: FakeConsul;
let clock: TestClock;
let end: AbortController;
let client: ConsulClient;
/** Waits that were let pass. */
let woken: number;

beforeEach(async () => {
  consul = await startFakeConsul();
  clock = new TestClock();
  woken = 0;
  end = new AbortController();
});

afterEach(async () => {
  end.abort();
  client.close();
  await consul.stop();
});

function learn(more: { datacenter?: string; tokenFile?: string } = {}): {
  readonly facts: () => AgentFacts | undefined;
} {
  let facts: AgentFacts | undefined;
  client = new ConsulClient({ settings: { address: consul.address, tls: {}, ...more }, clock, logger: silentLogger });
  learnAgentFacts(client, more, clock, silentLogger, () => 0.5, end.signal).then(
    (learned) => {
      facts = learned;
    },
    () => undefined,
  );
  return { facts: () => facts };
}

/** Waits until a try has failed and the next one is slept for. */
async function sleeping(): Promise<void> {
  await eventually(() => clock.sleeps.length > woken, `wait ${woken + 1}`);
}

/** Lets so many waits between two tries pass. */
async function waits(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    await sleeping();
    clock.advance(clock.sleeps[woken] ?? 0);
    woken += 1;
  }
}

const answered = { body: { Config: { Datacenter: "west" }, DebugConfig: { HTTPMaxConnsPerClient: 300 } } };

test("the agent tells its datacenter and its limit", async () => {
  consul.answer(self, answered);
  const { facts } = learn();
  await eventually(() => facts() !== undefined);
  expect(facts()).toEqual({ datacenter: "west", connectionLimit: 300 });
});

describe("an agent that cannot tell right now", () => {
  test.each([
    ["500", { status: 500, body: "No cluster leader" }],
    ["429", { status: 429, body: "" }],
    ["an answer of another shape", { body: [] }],
  ])("is asked until it can: %s", async (_what, answer) => {
    for (const path of [self, servers, datacenters]) consul.always(path, () => answer);
    const { facts } = learn();
    await waits(12);
    await sleeping();
    expect(facts()).toBeUndefined();
    consul.always(self, () => answered);
    await waits(1);
    await eventually(() => facts() !== undefined);
    expect(facts()).toEqual({ datacenter: "west", connectionLimit: 300 });
  });

  test("is done without once the servers' own entry tells the datacenter", async () => {
    consul.always(self, () => ({ status: 500, body: "" }));
    consul.always(servers, () => east);
    const { facts } = learn();
    await waits(5);
    await eventually(() => facts() !== undefined);
    expect(facts()).toEqual({ datacenter: "east" });
    expect(consul.asked(self).length).toBe(6);
  });

  test("is waited for by nobody who knows the datacenter, but for the first tries", async () => {
    consul.always(self, () => ({ status: 500, body: "" }));
    const { facts } = learn({ datacenter: "north" });
    await waits(5);
    await eventually(() => facts() !== undefined);
    expect(facts()).toEqual({ datacenter: "north" });
    expect(consul.requests.every(({ path }) => path === self)).toBe(true);
  });

  test("nor does a token file that is not there yet settle anything", async () => {
    const directory = await mkdtemp(join(tmpdir(), "sluice-facts-"));
    try {
      consul.always(self, () => answered);
      const tokenFile = join(directory, "token");
      const { facts } = learn({ tokenFile });
      await waits(12);
      await sleeping();
      expect(facts()).toBeUndefined();
      expect(consul.requests).toEqual([]);
      await writeFile(tokenFile, "secret\n");
      await waits(1);
      await eventually(() => facts() !== undefined);
      expect(facts()?.datacenter).toBe("west");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("an agent that refuses to tell", () => {
  beforeEach(() => consul.always(self, () => ({ status: 403, body: "Permission denied" })));

  test("is taken at its servers' word", async () => {
    consul.always(servers, () => east);
    const { facts } = learn();
    await eventually(() => facts() !== undefined);
    expect(facts()).toEqual({ datacenter: "east" });
  });

  test("and whose servers cannot be seen has the nearest datacenter", async () => {
    consul.always(servers, () => ({ index: 5, body: [] }));
    consul.always(datacenters, () => ({ body: ["south", "east"] }));
    const { facts } = learn();
    await eventually(() => facts() !== undefined);
    expect(facts()).toEqual({ datacenter: "south" });
  });

  test("is asked again while the other answers fail, and is dc1 only when they are refused too", async () => {
    for (const path of [servers, datacenters]) consul.always(path, () => ({ status: 500, body: "" }));
    const { facts } = learn();
    await waits(8);
    await sleeping();
    expect(facts()).toBeUndefined();
    for (const path of [servers, datacenters]) consul.always(path, () => ({ status: 403, body: "" }));
    await waits(1);
    await eventually(() => facts() !== undefined);
    expect(facts()).toEqual({ datacenter: "dc1" });
  });

  test("makes a command fail where the other answers do, rather than guess", async () => {
    for (const path of [servers, datacenters]) consul.always(path, () => ({ status: 500, body: "" }));
    client = new ConsulClient({ settings: { address: consul.address, tls: {} }, clock, logger: silentLogger });
    await expect(datacenterOf(client, silentLogger, end.signal)).rejects.toMatchObject({ code: "ERR_CONSUL_STATUS" });
  });
});
