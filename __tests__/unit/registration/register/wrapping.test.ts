import { beforeEach, describe, expect, test } from "@jest/globals";
import type { Registration } from "../../../../src/registration/agent-client.ts";
import { KeptRegistration } from "../../../../src/registration/register/kept-registration.ts";
import { Wrapping, type WrappingOptions } from "../../../../src/registration/register/wrapping.ts";
import { SluiceError } from "../../../../src/support/errors.ts";
import { silentLogger } from "../../../../src/support/logger.ts";
import type { ProbeAnswer } from "../../../../src/support/tcp-probe.ts";
import { FakeAgent } from "../../../support/fake-agent.ts";
import { ManualClock, settled } from "../../../support/manual-clock.ts";

/** A process that ends when it is told to, and writes down in one list with the agent what it hears. */
class FakeProcess {
  readonly pid = 7;
  stubborn = false;
  end: (status: number) => void = () => undefined;
  readonly ended = new Promise<number>((resolve) => {
    this.end = resolve;
  });
  private readonly heard: string[];

  constructor(heard: string[]) {
    this.heard = heard;
  }

  signal(name: NodeJS.Signals): void {
    this.heard.push(name);
    if (!this.stubborn && name !== "SIGHUP") this.end(0);
  }

  kill(): void {
    this.heard.push("kill");
    this.end(137);
  }
}

let agent: FakeAgent;
let clock: ManualClock;
let process: FakeProcess;
let ready: boolean;
let port: ProbeAnswer;
let code: number | undefined;

beforeEach(() => {
  agent = new FakeAgent();
  clock = new ManualClock();
  process = new FakeProcess(agent.asked);
  ready = true;
  port = "accepts";
  code = undefined;
});

const registration: Registration = {
  id: "w",
  name: "web",
  port: 80,
  tags: [],
  meta: {},
  check: { kind: "ttl", name: "kept", ttlMs: 15_000, status: "passing" },
};

function keptWith(isReady: () => Promise<boolean>): KeptRegistration {
  return new KeptRegistration({
    agent,
    id: "w",
    registration: async () => registration,
    tries: 10,
    retryIntervalMs: 1_000,
    lookAgainMs: 5_000,
    port: async () => port,
    ready: isReady,
    clock,
    logger: silentLogger,
    random: () => 1,
  });
}

async function start(more: Partial<WrappingOptions> = {}): Promise<Wrapping> {
  const wrapping = new Wrapping({
    register: { id: "w", waitMs: 60_000, drainMs: 5_000, graceMs: 10_000 },
    process,
    kept: keptWith(async () => ready),
    ready: async () => ready,
    clock,
    logger: silentLogger,
    ...more,
  });
  void wrapping.run().then((status) => {
    code = status;
  });
  await settled();
  return wrapping;
}

/** What was asked of the agent and the process since the last time, without the looks that find nothing to do. */
function news(): readonly string[] {
  return agent.news().filter((one) => one !== "services" && one !== "ttl w passing");
}

describe("the end by a signal", () => {
  test("maintenance, the drain, deregistered, told, in this order", async () => {
    const wrapping = await start();
    expect(news()).toEqual(["register w"]);
    wrapping.stop("SIGINT");
    await clock.advance(4_999);
    expect(news()).toEqual(["maintain w on"]);
    await clock.advance(1);
    expect(news()).toEqual(["deregister w", "SIGINT"]);
    expect(code).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("a second one ends the drain, a third one is the process's", async () => {
    process.stubborn = true;
    const wrapping = await start();
    wrapping.stop("SIGTERM");
    await clock.advance(100);
    wrapping.stop("SIGTERM");
    await settled();
    expect(news()).toEqual(["register w", "maintain w on", "deregister w", "SIGTERM"]);
    wrapping.stop("SIGINT");
    wrapping.pass("SIGHUP");
    await clock.advance(9_999);
    expect(news()).toEqual(["SIGINT", "SIGHUP"]);
    await clock.advance(1);
    expect(news()).toEqual(["kill"]);
    expect(code).toBe(137);
  });

  test("another one for the process where it is asked for", async () => {
    const register = { id: "w", waitMs: 1, drainMs: 0, graceMs: 1, stopSignal: "SIGWINCH" as const };
    const wrapping = await start({ register });
    wrapping.stop("SIGTERM");
    await clock.advance(0);
    expect(news()).toEqual(["register w", "maintain w on", "deregister w", "SIGWINCH"]);
  });

  test("the load balancers' word ends the drain; their silence does not", async () => {
    let tell: (is: boolean) => void = () => undefined;
    const nothingLeft = () =>
      new Promise<boolean>((resolve) => {
        tell = resolve;
      });
    const wrapping = await start({ nothingLeft });
    wrapping.stop("SIGTERM");
    await clock.advance(1_000);
    expect(news()).toEqual(["register w", "maintain w on"]);
    tell(true);
    await settled();
    expect(news()).toEqual(["deregister w", "SIGTERM"]);
    expect(code).toBe(0);
  });

  describe("that cannot begin with maintenance", () => {
    beforeEach(() => {
      agent.maintain = () => Promise.reject(new Error("not now"));
    });

    test("deregistered first, then the drain, then told", async () => {
      const wrapping = await start();
      wrapping.stop("SIGTERM");
      await clock.advance(4_999);
      expect(news()).toEqual(["register w", "deregister w"]);
      expect(code).toBeUndefined();
      await clock.advance(1);
      expect(news()).toEqual(["SIGTERM"]);
      expect(code).toBe(0);
      expect(clock.pending).toBe(0);
    });

    test("the load balancers' word and a second signal end that drain too", async () => {
      const first = await start({ nothingLeft: async () => true });
      first.stop("SIGTERM");
      await settled();
      expect(news()).toEqual(["register w", "deregister w", "SIGTERM"]);
      process = new FakeProcess(agent.asked);
      const second = await start();
      second.stop("SIGTERM");
      await clock.advance(100);
      second.stop("SIGTERM");
      await settled();
      expect(news()).toEqual(["register w", "deregister w", "SIGTERM"]);
    });

    test("the agent that has forgotten it is as good as one that was told", async () => {
      const forgotten = new SluiceError("ERR_CONSUL_STATUS", "unknown service", { details: { status: 404 } });
      agent.deregister = () => Promise.reject(forgotten);
      const wrapping = await start();
      wrapping.stop("SIGTERM");
      await clock.advance(4_999);
      expect(news()).toEqual(["register w"]);
      await clock.advance(1);
      expect(news()).toEqual(["SIGTERM"]);
    });

    test("an agent that answers neither in time: told after 4 s, for nobody knows", async () => {
      const late = (signal: AbortSignal) =>
        new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      Object.assign(agent, {
        maintain: (_id: string, _on: boolean, _reason: string, signal: AbortSignal) => late(signal),
        deregister: (_id: string, signal: AbortSignal) => late(signal),
      });
      const wrapping = await start({ register: { id: "w", waitMs: 1, drainMs: 60_000, graceMs: 1 } });
      wrapping.stop("SIGTERM");
      await clock.advance(3_999);
      expect(news()).toEqual(["register w"]);
      await clock.advance(1);
      expect(news()).toEqual(["SIGTERM"]);
      expect(clock.pending).toBe(0);
    });

    test("nothing registers it again while it drains", async () => {
      const wrapping = await start({ register: { id: "w", waitMs: 1, drainMs: 60_000, graceMs: 1 } });
      wrapping.stop("SIGTERM");
      await clock.advance(59_999);
      expect(agent.news()).toEqual(["register w", "deregister w"]);
      process.end(0);
    });
  });

  test("an agent that is gone costs no drain and no process", async () => {
    const wrapping = await start();
    agent.broken = true;
    news();
    wrapping.stop("SIGTERM");
    await clock.advance(0);
    expect(agent.asked).toEqual(["SIGTERM"]);
    expect(code).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("before it is ready: told at once, and the agent is left alone", async () => {
    ready = false;
    const wrapping = await start();
    await clock.advance(1_000);
    wrapping.stop("SIGTERM");
    await clock.advance(0);
    expect(agent.news()).toEqual(["SIGTERM"]);
    expect(code).toBe(0);
  });

  test("the TTL is kept while it drains, and nothing is registered again", async () => {
    const register = { id: "w", waitMs: 1, drainMs: 60_000, graceMs: 1 };
    const wrapping = await start({ register });
    wrapping.stop("SIGTERM");
    await settled();
    agent.news();
    await clock.advance(5_000);
    expect(agent.news()).toEqual(["services", "ttl w passing"]);
    agent.there.clear();
    await clock.advance(5_000);
    expect(agent.news()).toEqual(["services"]);
    process.end(0);
    await settled();
    expect(news()).toEqual(["deregister w", "SIGTERM"]);
  });
});

test("the process's own end: deregistered at once, its status", async () => {
  await start();
  process.end(3);
  await settled();
  expect(news()).toEqual(["register w", "deregister w", "SIGTERM"]);
  expect(code).toBe(3);
  expect(clock.pending).toBe(0);
});

describe("what cannot be registered", () => {
  test("ten tries a second apart, then the process is ended and the status is 1", async () => {
    agent.broken = true;
    await start();
    await clock.advance(8_999);
    expect(code).toBeUndefined();
    await clock.advance(1);
    expect(agent.asked).toEqual(["SIGTERM"]);
    expect(code).toBe(1);
  });

  test("the tenth is in time", async () => {
    agent.broken = true;
    await start();
    await clock.advance(8_500);
    agent.broken = false;
    await clock.advance(500);
    expect(news()).toEqual(["register w"]);
    process.end(0);
  });

  test("what is not ready in time is ended too", async () => {
    ready = false;
    await start();
    await clock.advance(60_000);
    expect(agent.asked).toEqual(["SIGTERM"]);
    expect(code).toBe(1);
  });
});

describe("what the agent has", () => {
  test("is entered again where it was forgotten or changed", async () => {
    await start();
    agent.there.clear();
    news();
    await clock.advance(5_000);
    expect(news()).toEqual(["register w"]);
    agent.there.set("w", { ...registration, address: "10.0.0.9", tags: [] });
    await clock.advance(5_000);
    expect(news()).toEqual(["register w"]);
    await clock.advance(5_000);
    expect(news()).toEqual([]);
    process.end(0);
  });

  test("is entered again as critical where it is unwell, as passing where it is well", async () => {
    await start();
    expect(agent.registrations.get("w")?.check?.status).toBe("passing");
    ready = false;
    port = "silent";
    for (let round = 1; round <= 2; round += 1) {
      // Consul has forgotten it, for it was critical so long.
      agent.there.clear();
      await clock.advance(5_000);
      expect(agent.there.has("w")).toBe(true);
      expect(agent.registrations.get("w")?.check).toEqual({ ...registration.check, status: "critical" });
    }
    ready = true;
    agent.there.clear();
    await clock.advance(5_000);
    expect(agent.registrations.get("w")?.check?.status).toBe("passing");
    process.end(0);
  });

  test("is not entered again where it was told to stop while it was looked at", async () => {
    let look: (is: boolean) => void = () => undefined;
    let asked = false;
    const wrapping = await start({
      kept: keptWith(() => {
        asked = true;
        return new Promise((resolve) => {
          look = resolve;
        });
      }),
    });
    agent.there.clear();
    await clock.advance(5_000);
    expect(asked).toBe(true);
    news();
    wrapping.stop("SIGTERM");
    await settled();
    look(true);
    await clock.advance(1_000);
    expect(news()).toEqual(["maintain w on"]);
    process.end(0);
  });

  test("is critical when the port is closed, and not renewed when it is silent", async () => {
    await start();
    agent.news();
    port = "refuses";
    await clock.advance(5_000);
    expect(agent.news()).toEqual(["services", "ttl w critical"]);
    port = "silent";
    await clock.advance(5_000);
    expect(agent.news()).toEqual(["services"]);
    process.end(0);
  });

  test("is asked on while the agent is gone", async () => {
    await start();
    agent.broken = true;
    await clock.advance(120_000);
    agent.broken = false;
    agent.there.clear();
    news();
    await clock.advance(10_000);
    expect(news()).toEqual(["register w"]);
    process.end(0);
  });
});
