import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { type GrpcEcho, GrpcEchoClient, startGrpcEcho } from "../support/grpc-echo.ts";
import { eventually, runtimeCommand, type SluiceHome, workerPid } from "../support/sluice.ts";
import { countEvents, Scene, serversRunning } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(180_000);

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

/** An instance that has left the catalog goes on answering for this long. */
const drainMs = 1_000;
const rounds = 10;

async function start(name: string): Promise<GrpcEcho> {
  const instance = await startGrpcEcho(name);
  scene.defer(() => instance.stop());
  return instance;
}

function join(consul: ConsulAgent, instance: GrpcEcho, warning = 1): Promise<void> {
  const Weights = { Passing: 1, Warning: warning };
  return consul.register(registration("grpc", instance, { Tags: ["haproxy.protocol=grpc"], Weights }));
}

/** A client that calls without pause over its one connection, `lanes` calls at a time. */
class Caller {
  readonly failures: string[] = [];
  /** Answers by who gave them. */
  readonly answers = new Map<string, number>();
  private readonly client: GrpcEchoClient;
  private readonly lanes: readonly Promise<void>[];
  private over = false;

  constructor(port: number, lanes: number) {
    this.client = new GrpcEchoClient(port, "grpc.service.local");
    this.lanes = Array.from({ length: lanes }, (_, lane) => this.call(lane));
  }

  async stop(): Promise<void> {
    this.over = true;
    await Promise.all(this.lanes);
    this.client.close();
  }

  total(): number {
    return [...this.answers.values()].reduce((all, count) => all + count, 0);
  }

  private async call(lane: number): Promise<void> {
    for (let count = 0; !this.over; count += 1) {
      try {
        // One lane has streams, which last while servers come and go.
        if (lane === 0) this.answered(await this.client.count({ text: "tick", answers: 10, everyMs: 30 }), 10);
        else this.answered([await this.client.name({ text: `${lane}/${count}` })], 1);
      } catch (thrown) {
        this.failures.push(String(thrown));
        await sleep(50);
      }
    }
  }

  private answered(answers: readonly { readonly name: string }[], wanted: number): void {
    const names = new Set(answers.map(({ name }) => name));
    if (answers.length !== wanted || names.size !== 1) this.failures.push(`${answers.length} answers of ${wanted}`);
    for (const name of names) this.answers.set(name, (this.answers.get(name) ?? 0) + 1);
  }
}

/** How many connections clients have ever opened: `show stat`, read by the names in its head line (management guide 9.1). */
async function connections(home: SluiceHome): Promise<number> {
  const [head = "", ...lines] = (await runtimeCommand(home, "show stat sluice_http 1 -1")).split("\n");
  const names = head.replace(/^# /, "").split(",");
  return Number(lines[0]?.split(",")[names.indexOf("conn_tot")]);
}

test("a gRPC client with one connection sees all of five instances that change, and no call fails", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const pool: GrpcEcho[] = [];
  for (const name of ["a", "b", "c", "d", "e"]) pool.push(await start(`grpc-${name}`));
  for (const instance of pool) await join(consul, instance);
  const sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded");
  await eventually("all five are in", async () => (await serversRunning(home)).length === 5);
  const [worker, before] = [await workerPid(home), sluice.lines().length];

  const caller = new Caller(home.httpPort, 4);
  scene.defer(() => caller.stop());
  const everyone = new Set(pool.map(({ name }) => name));
  const seesAll = () => pool.every(({ name }) => caller.answers.has(name));
  await eventually("all five have answered", async () => seesAll());
  const ends: Promise<void>[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // One joins, the oldest leaves in good order, and one is drained by its check and comes back.
    const instance = await start(`grpc-${round}`);
    await join(consul, instance);
    pool.push(instance);
    everyone.add(instance.name);
    const leaving = pool.shift();
    if (leaving === undefined) throw new Error("the pool is empty");
    await consul.deregister(leaving.name);
    ends.push(sleep(drainMs).then(() => leaving.stop()));
    const drained = pool[round % pool.length];
    if (drained === undefined) throw new Error("the pool is empty");
    await join(consul, drained, 0);
    await consul.put(`/v1/agent/check/update/check-${drained.name}`, { Status: "warning" });
    await sleep(150);
    await consul.put(`/v1/agent/check/update/check-${drained.name}`, { Status: "passing" });
    await eventually("the newcomer has answered", async () => caller.answers.has(instance.name));
  }
  await Promise.all(ends);
  await eventually("HAProxy has the five that are left", async () => {
    const running = await serversRunning(home);
    return running.length === 5 && running.every((server) => server.endsWith(" weight 1"));
  });
  const counted = new Map(caller.answers);
  await eventually("each of those goes on answering", async () =>
    pool.every(({ name }) => (caller.answers.get(name) ?? 0) > (counted.get(name) ?? 0)),
  );
  await caller.stop();

  const reloads = countEvents(sluice, "reloaded", before);
  const figures = [`${caller.total()} calls`, `${caller.answers.size} instances`, `${reloads} reloads`];
  process.stdout.write(`gRPC over one connection: ${figures.join(", ")}, ${caller.failures.length} failed\n`);
  expect(caller.failures).toEqual([]);
  expect([...caller.answers.keys()].sort()).toEqual([...everyone].sort());
  expect(caller.total()).toBeGreaterThan(100);
  expect(await connections(home)).toBe(1);
  expect(reloads).toBe(0);
  expect(await workerPid(home)).toBe(worker);
});
