import { readFile, rename, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemErrorCode } from "../../src/support/errors.ts";
import type { ConsulAgent } from "./consul-agent.ts";
import {
  entryText,
  type HealthEntry,
  instanceText,
  type ModelInstance,
  type ModelService,
  type Step,
  serversWanted,
  servingNames,
} from "./model-services.ts";
import { eventually, type LogLine, masterPid, type RunningSluice, type SluiceHome, workerPid } from "./sluice.ts";
import { ask, mapInFile, mapRunning, type Scene, serversInFile, serversRunning, statusNow } from "./system.ts";
import { startWebInstance, type WebInstance } from "./web-instance.ts";

/** A process that has left the catalog and still answers. */
interface Drained {
  readonly web: WebInstance;
  leftMs: number;
}

export interface Failure {
  readonly service: string;
  readonly what: string;
  readonly client: string;
  readonly at: string;
}

export interface Counts {
  readonly requests: number;
  /** Requests that had to succeed. */
  readonly judged: number;
  readonly reloads: number;
}

const clients = 4;
const most = { services: 5, instances: 6 };
/** A drained process answers for this long after its deregistration, not counted while no operator could notice. */
const drainMs = 1_000;
const quietMs = 300;

/**
 * The catalog as it should be, the real Consul it is written to, and requests on all its services all the while.
 * From when on those of a service have to succeed: see `followFile`. Until when: a step takes its last serving instance
 * away, or HAProxy is killed.
 */
export class ModelWorld {
  readonly failures: Failure[] = [];
  private readonly scene: Scene;
  private readonly consul: ConsulAgent;
  private readonly home: SluiceHome;
  private readonly template: string;
  private readonly templateText: string;
  private sluice: RunningSluice;
  private services: ModelService[] = [];
  private readonly drained = new Set<Drained>();
  private readonly done: (readonly LogLine[])[] = [];
  private edition = 0;
  private serviceCount = 0;
  private instanceCount = 0;
  /** HAProxy was killed and has not been said to be back. */
  private blackout = false;
  /** The servers with a weight that the live file has. */
  private inFile = "";
  private operatorUp = true;
  private restarting: Promise<void> = Promise.resolve();
  private requests = 0;
  private judged = 0;
  private stopped = false;
  private readonly loops: Promise<void>[];

  private constructor(
    scene: Scene,
    consul: ConsulAgent,
    home: SluiceHome,
    sluice: RunningSluice,
    template: { readonly file: string; readonly text: string },
  ) {
    this.scene = scene;
    this.consul = consul;
    this.home = home;
    this.sluice = sluice;
    this.template = template.file;
    this.templateText = template.text;
    this.loops = [...Array(clients).keys()].map((index) => this.client(index));
    this.loops.push(this.drain(), this.followFile());
  }

  /** @param template the file that a `template` step edits; it must have the line `option forwardfor` */
  static async start(scene: Scene, consul: ConsulAgent, home: SluiceHome, template: string): Promise<ModelWorld> {
    const text = await readFile(template, "utf8");
    const world = new ModelWorld(scene, consul, home, scene.run(home), { file: template, text });
    scene.defer(() => world.stop());
    return world;
  }

  counts(): Counts {
    return {
      requests: this.requests,
      judged: this.judged,
      reloads: this.lines().filter(({ event }) => event === "reloaded").length,
    };
  }

  /** The log of all operators so far. */
  lines(): readonly LogLine[] {
    return [...this.done, this.sluice.lines()].flat();
  }

  /** Takes all instances of the sequence before out of the catalog, and makes two services of two instances. */
  async begin(): Promise<void> {
    for (const service of this.services) await this.empty(service);
    this.services = [];
    for (let count = 0; count < 2; count += 1) {
      const service = this.addService();
      await this.join(service);
      await this.join(service);
    }
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "join":
        await this.join(pickOf(this.services, step.pick) ?? this.addService());
        break;
      case "new-service":
        if (this.services.length < most.services) await this.join(this.addService());
        break;
      case "empty-service": {
        const service = pickOf(this.services, step.pick);
        if (service !== undefined) await this.empty(service);
        break;
      }
      case "leave":
        await this.onInstance(step.pick, (service, instance) => this.leave(service, instance));
        break;
      case "weight":
        await this.onInstance(step.pick, (service, instance) =>
          this.change(service, instance, { passing: step.passing, warning: step.warning }, () =>
            this.register(service, instance),
          ),
        );
        break;
      case "check":
        await this.onInstance(step.pick, (service, instance) =>
          this.change(service, instance, { status: step.status }, () =>
            this.consul.put(`/v1/agent/check/update/check-${instance.web.name}`, { Status: step.status }),
          ),
        );
        break;
      case "maintenance":
        await this.onInstance(step.pick, (service, instance) =>
          this.change(service, instance, { maintenance: step.on }, () =>
            this.consul.put(`/v1/agent/service/maintenance/${instance.web.name}?enable=${step.on}`),
          ),
        );
        break;
      case "template":
        await this.editTemplate();
        break;
      case "operator-kill":
        await this.killOperator();
        break;
      case "haproxy-kill":
        await this.killHaproxy(step.who);
        break;
    }
    await sleep(step.pauseMs);
  }

  /** Waits until process, file and catalog say the same. Rejects with what differs. */
  async settle(timeoutMs = 20_000): Promise<void> {
    await this.restarting;
    let differences: readonly string[] = [];
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      differences = await this.differences().catch((thrown) => [String(thrown)]);
      if (differences.length === 0) return;
      if (performance.now() > deadline)
        throw new Error(`not settled within ${timeoutMs} ms:\n${differences.join("\n")}`);
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.loops);
    const instances = this.services.flatMap(({ instances }) => [...instances.values()].map(({ web }) => web));
    for (const web of [...instances, ...[...this.drained].map(({ web }) => web)]) await web.stop();
  }

  private async differences(): Promise<readonly string[]> {
    const status = (await statusNow(this.home)).reconciler;
    const running = await serversRunning(this.home);
    const file = await serversInFile(this.home);
    const wanted = this.services.flatMap(serversWanted).sort();
    const edition = await ask(this.home.httpPort, { host: "nobody.service.local" });
    const [map, mapFile] = [await mapRunning(this.home, "hosts.map"), await mapInFile(this.home, "hosts.map")];
    const found = [
      ...differing("the process", running, "the catalog", wanted),
      ...differing("the file", file, "the catalog", wanted),
      ...differing("the loaded map", map, "the map file", mapFile),
      ...(edition.headers["x-edition"] === String(this.edition)
        ? []
        : [`template edition ${this.edition} is not in force, but ${edition.headers["x-edition"]}`]),
      ...(!status.haproxy.believed ? ["what runs has not been read back"] : []),
      ...(status.fileLagMs === undefined ? [] : ["the file is behind"]),
      ...status.joining.map((name) => `${name} is still joining`),
      ...status.holds.map((hold) => `held: ${JSON.stringify(hold)}`),
      ...(status.inputsProblem === undefined ? [] : [`inputs refused: ${status.inputsProblem}`]),
      ...(status.refused ?? []).map((problem) => `structure refused: ${problem}`),
    ];
    for (const service of this.services) {
      const host = `${service.name}.service.local`;
      // One without instances is forgotten after `services.remember`.
      if (service.instances.size > 0 && !map.includes(`${host} ${service.name}`)) found.push(`${host} has no route`);
    }
    return found.length > 0 ? found : this.misanswered();
  }

  /** Services that do not answer as the catalog says: one of the serving instances; without one 503, or 404 once forgotten. */
  private async misanswered(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const service of this.services) {
      const serving = servingNames(service);
      for (let count = 0; count < Math.max(2, serving.size); count += 1) {
        const { status, body } = await ask(this.home.httpPort, { host: `${service.name}.service.local` });
        const answer = status === 200 ? body : String(status);
        const gone = status === 503 || (status === 404 && service.instances.size === 0);
        if (serving.size === 0 ? !gone : !serving.has(answer)) {
          found.push(`${service.name} answered ${answer}, serving: ${[...serving].join(", ") || "none"}`);
        }
      }
    }
    return found;
  }

  private addService(): ModelService {
    this.serviceCount += 1;
    const service: ModelService = {
      name: `s${this.serviceCount}`,
      instances: new Map(),
      changedAt: 0,
      expectedSince: undefined,
    };
    this.services.push(service);
    return service;
  }

  private async onInstance(
    pick: number,
    action: (service: ModelService, instance: ModelInstance) => Promise<unknown>,
  ): Promise<void> {
    const all = this.services.flatMap((service) => [...service.instances.values()].map((one) => ({ service, one })));
    const found = pickOf(all, pick);
    if (found !== undefined) await action(found.service, found.one);
  }

  private async join(service: ModelService): Promise<void> {
    if (service.instances.size >= most.instances) return;
    this.instanceCount += 1;
    const web = await startWebInstance(`${service.name}-i${this.instanceCount}`);
    const instance: ModelInstance = { web, passing: 1, warning: 1, status: "passing", maintenance: false };
    service.instances.set(web.name, instance);
    this.expectAnew(service);
    await this.register(service, instance);
    await this.reflected(service);
  }

  private async leave(service: ModelService, instance: ModelInstance): Promise<void> {
    service.instances.delete(instance.web.name);
    this.expectAnew(service);
    await this.consul.deregister(instance.web.name);
    this.drained.add({ web: instance.web, leftMs: drainMs });
    await this.reflected(service);
  }

  private async empty(service: ModelService): Promise<void> {
    for (const instance of [...service.instances.values()]) await this.leave(service, instance);
  }

  private async change(
    service: ModelService,
    instance: ModelInstance,
    to: Partial<Omit<ModelInstance, "web">>,
    write: () => Promise<unknown>,
  ): Promise<void> {
    Object.assign(instance, to);
    this.expectAnew(service);
    await write();
    await this.reflected(service);
  }

  /** Not `replace-existing-checks`, which would end a maintenance. */
  private register(service: ModelService, { web, passing, warning, status }: ModelInstance): Promise<unknown> {
    return this.consul.put("/v1/agent/service/register", {
      Name: service.name,
      ID: web.name,
      Address: "127.0.0.1",
      Port: web.port,
      Tags: ["haproxy.enable=true"],
      Weights: { Passing: passing, Warning: warning },
      Check: { CheckID: `check-${web.name}`, TTL: "24h", Status: status },
    });
  }

  /** The model has changed: without a serving instance no request has to succeed until one has. */
  private expectAnew(service: ModelService): void {
    service.changedAt = performance.now();
    if (servingNames(service).size === 0) service.expectedSince = undefined;
  }

  /**
   * Waits until the catalog has what the agent was told, which it passes on in its own order: a step that takes an
   * instance away must not overtake one that brought another.
   */
  private reflected(service: ModelService): Promise<void> {
    const wanted = [...service.instances.values()].map(instanceText).sort().join();
    return eventually(`the catalog has ${wanted} for ${service.name}`, async () => {
      const entries = (await this.consul.get(`/v1/health/service/${service.name}`)) as readonly HealthEntry[];
      return entries.map(entryText).sort().join() === wanted;
    });
  }

  /** Under another name first: a template that is read half-written may be a valid one. */
  private async editTemplate(): Promise<void> {
    this.edition += 1;
    const header = `option forwardfor\n  http-after-response set-header X-Edition ${this.edition}`;
    const text = this.templateText.replace("option forwardfor", header);
    const fresh = path.join(path.dirname(this.template), ".next");
    await writeFile(fresh, text);
    await rename(fresh, this.template);
  }

  /** Kills the operator and starts the next one; the steps that follow do not wait for it. */
  private async killOperator(): Promise<void> {
    await this.restarting;
    this.operatorUp = false;
    await this.sluice.end("SIGKILL");
    this.done.push(this.sluice.lines());
    this.sluice = this.scene.run(this.home);
    this.restarting = this.sluice
      .logged(({ event }) => event === "process-up", 20_000)
      .then(() => {
        this.operatorUp = true;
      });
    // Whoever waits for it gets the error.
    this.restarting.catch(() => undefined);
  }

  private async killHaproxy(who: "master" | "worker"): Promise<void> {
    await this.restarting;
    this.blackout = true;
    for (const service of this.services) service.expectedSince = undefined;
    const killed = await eventualPid(this.home, workerPid);
    process.kill(who === "master" ? await eventualPid(this.home, masterPid) : killed, "SIGKILL");
    // Where it hits in the middle of a reload, the worker may be one on its way out, and the end come a little later.
    let upSince: number | undefined;
    await eventually(
      "HAProxy is back after it was killed",
      async () => {
        const { haproxy } = (await statusNow(this.home)).reconciler;
        const up =
          haproxy.up && haproxy.worker !== killed && haproxy.worker === (await workerPid(this.home).catch(() => 0));
        upSince = up ? (upSince ?? performance.now()) : undefined;
        return upSince !== undefined && performance.now() - upSince > 300;
      },
      20_000,
    );
    this.blackout = false;
  }

  private async drain(): Promise<void> {
    let before = performance.now();
    while (!this.stopped) {
      await sleep(50);
      const now = performance.now();
      for (const one of this.operatorUp ? this.drained : []) {
        one.leftMs -= now - before;
        if (one.leftMs > 0) continue;
        this.drained.delete(one);
        await one.web.stop();
      }
      before = now;
    }
  }

  /**
   * From when on a service has to answer: the file has one of its serving instances, and that one answered over a new
   * connection. Before that a worker may come without it (a reload was under way when it joined), which gets it some
   * milliseconds later or, where the operator is killed just then, once the next one has come up.
   */
  private async followFile(): Promise<void> {
    while (!this.stopped) {
      await sleep(50);
      if (this.services.every(({ expectedSince }) => expectedSince !== undefined)) continue;
      // Not there before the very first start.
      const servers = await serversInFile(this.home).catch(() => []);
      this.inFile = servers.filter((server) => !server.endsWith(" weight 0")).join("\n");
    }
  }

  private mustAnswerFromNow(service: ModelService, by: string): boolean {
    if (this.blackout || !servingNames(service).has(by)) return false;
    // What the operator makes of a change of a moment ago may still be to come.
    return performance.now() - service.changedAt > quietMs && this.inFile.includes(`${service.name}/${by}_`);
  }

  private async client(index: number): Promise<void> {
    const keeps = index % 2 === 0;
    const agent = keeps ? new Agent({ keepAlive: true, maxSockets: 1 }) : new Agent({ keepAlive: false });
    for (let turn = index; !this.stopped; turn += 1) {
      const service = pickOf(this.services, turn);
      if (service !== undefined) await this.askOnce(service, agent, keeps ? "keep-alive" : "one-shot");
      await sleep(2);
    }
    agent.destroy();
  }

  private async askOnce(service: ModelService, agent: Agent, client: string): Promise<void> {
    const started = performance.now();
    const answer = await answerOf(this.home.httpPort, `${service.name}.service.local`, agent);
    this.requests += 1;
    const misrouted = answer.status === 200 && !answer.text.startsWith(`${service.name}-i`);
    const due = service.expectedSince !== undefined && service.expectedSince <= started;
    if (due) this.judged += 1;
    if (misrouted || (due && answer.status !== 200)) {
      const at = `${new Date().toISOString()}, after ${Math.round(performance.now() - started)} ms`;
      this.failures.push({ service: service.name, what: answer.text, client, at });
    } else if (answer.status === 200 && service.expectedSince === undefined && client === "one-shot") {
      if (this.mustAnswerFromNow(service, answer.text)) service.expectedSince = performance.now();
    }
  }
}

function differing(one: string, ones: readonly string[], other: string, others: readonly string[]): readonly string[] {
  return [
    ...ones.filter((text) => !others.includes(text)).map((text) => `${one} has and ${other} has not: ${text}`),
    ...others.filter((text) => !ones.includes(text)).map((text) => `${other} has and ${one} has not: ${text}`),
  ];
}

function pickOf<T>(from: readonly T[], pick: number): T | undefined {
  return from.length === 0 ? undefined : from[pick % from.length];
}

/** A pid, also where HAProxy's sockets do not answer for the moment: while a reload goes on. */
async function eventualPid(home: SluiceHome, pidOf: (home: SluiceHome) => Promise<number>): Promise<number> {
  let pid = 0;
  await eventually("HAProxy tells its pid", async () => {
    pid = await pidOf(home);
    return pid > 0;
  });
  return pid;
}

/** One request, never tried again. Status 0: no answer, the text says why. */
async function answerOf(port: number, host: string, agent: Agent) {
  try {
    const { status, body } = await ask(port, { host, agent });
    return { status, text: status === 200 ? body : String(status) };
  } catch (thrown) {
    return { status: 0, text: systemErrorCode(thrown) ?? String(thrown) };
  }
}
