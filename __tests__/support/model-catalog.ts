import { setTimeout as sleep } from "node:timers/promises";
import type { ConsulAgent } from "./consul-agent.ts";
import {
  entryText,
  type HealthEntry,
  instanceText,
  type ModelInstance,
  type ModelService,
  servingNames,
} from "./model-services.ts";
import { type CatalogStep, pickOf } from "./model-steps.ts";
import { eventually } from "./sluice.ts";
import type { Scene } from "./system.ts";
import { startWebInstance, type WebInstance } from "./web-instance.ts";

/** A process that has left the catalog and still answers. */
interface Drained {
  readonly web: WebInstance;
  leftMs: number;
}

const most = { services: 5, instances: 6 };
/** A drained process answers for this long after its deregistration, not counted while no operator could notice. */
const drainMs = 1_000;
const frozenMs = 2_000;

/** The catalog as it should be, and the real Consul it is written to. */
export class ModelCatalog {
  services: ModelService[] = [];
  /** Whether Consul answers. */
  up = true;
  private readonly scene: Scene;
  private readonly drained = new Set<Drained>();
  private consul: ConsulAgent;
  private serviceCount = 0;
  private instanceCount = 0;

  constructor(scene: Scene, consul: ConsulAgent) {
    this.scene = scene;
    this.consul = consul;
  }

  /** Takes all there is out of the catalog, and makes two services of two instances. */
  async begin(): Promise<void> {
    for (const service of this.services) await this.empty(service);
    this.services = [];
    for (let count = 0; count < 2; count += 1) {
      const service = this.addService();
      await this.join(service);
      await this.join(service);
    }
  }

  async take(step: CatalogStep): Promise<void> {
    switch (step.kind) {
      case "join":
        return this.join(pickOf(this.services, step.pick) ?? this.addService());
      case "new-service":
        if (this.services.length < most.services) await this.join(this.addService());
        return;
      case "empty-service": {
        const service = pickOf(this.services, step.pick);
        if (service !== undefined) await this.empty(service);
        return;
      }
      case "leave":
        return this.onInstance(step.pick, (service, instance) => this.leave(service, instance));
      case "weight":
        return this.onInstance(step.pick, (service, instance) =>
          this.change(service, instance, { passing: step.passing, warning: step.warning }, () =>
            this.register(service, instance),
          ),
        );
      case "check":
        return this.onInstance(step.pick, (service, instance) =>
          this.change(service, instance, { status: step.status }, () =>
            this.consul.put(`/v1/agent/check/update/check-${instance.web.name}`, { Status: step.status }),
          ),
        );
      case "maintenance":
        return this.onInstance(step.pick, (service, instance) =>
          this.change(service, instance, { maintenance: step.on }, () => this.maintain(instance)),
        );
    }
  }

  /** Consul is killed and comes back with nothing; then all that there is registers again. */
  async restartConsul(): Promise<void> {
    this.up = false;
    const { httpPort } = this.consul;
    await this.consul.stop();
    this.consul = await this.scene.consul({ httpPort });
    this.up = true;
    for (const service of this.services) {
      for (const instance of service.instances.values()) {
        await this.register(service, instance);
        if (instance.maintenance) await this.maintain(instance);
      }
    }
    for (const service of this.services) await this.reflected(service);
  }

  /** Consul says nothing for a while. */
  async freezeConsul(): Promise<void> {
    this.up = false;
    process.kill(this.consul.pid, "SIGSTOP");
    await sleep(frozenMs).finally(() => process.kill(this.consul.pid, "SIGCONT"));
    this.up = true;
  }

  /**
   * So much time has gone by in which somebody could notice who left. Of those whose time is over one ends: where most of
   * what a service is held up by ends at the same moment, no number of retries would do.
   */
  async age(ms: number): Promise<void> {
    for (const one of this.drained) one.leftMs -= ms;
    const over = [...this.drained].find(({ leftMs }) => leftMs <= 0);
    if (over === undefined) return;
    this.drained.delete(over);
    await over.web.stop();
  }

  async stop(): Promise<void> {
    const instances = this.services.flatMap(({ instances }) => [...instances.values()].map(({ web }) => web));
    for (const web of [...instances, ...[...this.drained].map(({ web }) => web)]) await web.stop();
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

  private maintain({ web, maintenance }: ModelInstance): Promise<unknown> {
    return this.consul.put(`/v1/agent/service/maintenance/${web.name}?enable=${maintenance}`);
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
}
