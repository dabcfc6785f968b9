import type { ConsulAgent, ConsulOptions } from "./consul-agent.ts";
import { freePort } from "./free-port.ts";
import { type ServiceInstance, type ServiceInstanceOptions, startServiceInstance } from "./service-instance.ts";
import { eventually, type RunningSluice, runtimeCommand, type SluiceHome, workerPid } from "./sluice.ts";
import { countEvents, Scene } from "./system.ts";
import { registration } from "./web-instance.ts";

interface Registered extends ServiceInstanceOptions {
  /** Default: the service's name. */
  readonly name?: string;
  /** Of the instance's own check in Consul. Default: passing. */
  readonly status?: string;
}

/** One Consul, one operator, one HAProxy, and services whose tags say what they want. */
export class OptionsScene {
  readonly scene: Scene;
  readonly consul: ConsulAgent;
  readonly home: SluiceHome;
  private readonly instances = new Map<string, ServiceInstance>();
  private sluice: RunningSluice | undefined;

  private constructor(scene: Scene, consul: ConsulAgent, home: SluiceHome) {
    this.scene = scene;
    this.consul = consul;
    this.home = home;
  }

  /** @param settingsFor the settings, made with the home they are for */
  static async begin(
    settingsFor: (home: SluiceHome) => Promise<Record<string, unknown>>,
    consulOptions?: ConsulOptions,
  ): Promise<OptionsScene> {
    const scene = new Scene();
    try {
      const consul = await scene.consul(consulOptions);
      const home = await scene.home(consul.address);
      await home.configure(await settingsFor(home));
      return new OptionsScene(scene, consul, home);
    } catch (thrown) {
      await scene.end();
      throw thrown;
    }
  }

  /** Starts an instance and registers it with these tags. */
  readonly add = async (service: string, tags: readonly string[], options: Registered = {}): Promise<void> => {
    const { name = service, status = "passing", ...more } = options;
    const instance = await this.start(name, more);
    await this.join(service, tags, instance, status);
  };

  /** Starts an instance that nobody knows of yet. */
  async start(name: string, options: ServiceInstanceOptions = {}): Promise<ServiceInstance> {
    const instance = await startServiceInstance(name, options);
    this.scene.defer(() => instance.stop());
    this.instances.set(name, instance);
    return instance;
  }

  /** Registers what listens there already. */
  async join(
    service: string,
    tags: readonly string[],
    instance: { readonly name: string; readonly port: number },
    status = "passing",
  ): Promise<void> {
    const Check = { CheckID: `check-${instance.name}`, TTL: "24h", Status: status };
    await this.consul.register(registration(service, instance, { Tags: tags, Check }));
  }

  /** Deregisters an instance. */
  async remove(name: string): Promise<void> {
    await this.consul.deregister(name);
  }

  instance(name: string): ServiceInstance {
    const found = this.instances.get(name);
    if (found === undefined) throw new Error(`no instance ${name} was started`);
    return found;
  }

  freePort(): Promise<number> {
    return freePort();
  }

  /** Starts the operator, and waits until HAProxy has all services that are registered. */
  async run(): Promise<void> {
    this.sluice = this.scene.run(this.home);
    await this.sluice.logged((line) => line.event === "reloaded", 60_000);
  }

  /** Kills the operator, and waits until the next one has taken HAProxy over. Reloads are counted anew from there. */
  async restart(): Promise<void> {
    await this.running().end("SIGKILL");
    this.sluice = this.scene.run(this.home);
    await this.sluice.logged((line) => line.event === "process-up", 60_000);
  }

  /** How often HAProxy was reloaded so far. */
  reloads(): number {
    return countEvents(this.running(), "reloaded");
  }

  /** What was left out so far, as the events tell it. */
  excluded(): readonly { readonly [field: string]: unknown }[] {
    return this.running()
      .lines()
      .filter((line) => line.event === "excluded")
      .map((line) => ({ ...(line["data"] as object), ...line }));
  }

  /** Does something for which HAProxy needs no reload. */
  async withoutReload(task: () => Promise<void>): Promise<void> {
    const [before, worker] = [this.reloads(), await workerPid(this.home)];
    await task();
    const after = { reloads: this.reloads(), worker: await workerPid(this.home) };
    if (after.reloads !== before || after.worker !== worker) {
      const reasons = this.running()
        .lines()
        .filter((line) => line.event === "reloaded")
        .slice(before)
        .map((line) => JSON.stringify(line));
      throw new Error(`reloaded: ${reasons.join("\n")}`);
    }
  }

  /** Reloads HAProxy as a change of structure does: a service appears. */
  async reload(): Promise<void> {
    const before = this.reloads();
    await this.add(`reload-${before}`, ["haproxy.enable=true"]);
    await eventually("a reload", () => this.reloads() > before, 30_000);
  }

  end(): Promise<void> {
    return this.scene.end();
  }

  private running(): RunningSluice {
    if (this.sluice === undefined) throw new Error("the operator was not started");
    return this.sluice;
  }
}

/**
 * How HAProxy sees the one server of a backend: `show stat`, read by the names in its head line (management guide 9.1).
 * `check` is empty where it is not checked.
 */
export async function serverState(
  home: SluiceHome,
  backend: string,
): Promise<{ readonly up: boolean; readonly check: string }> {
  const lines = (await runtimeCommand(home, `show stat ${backend} 4 -1`)).split("\n");
  const names = (lines[0] ?? "").replace(/^# /, "").split(",");
  const fields = (lines[1] ?? "").split(",");
  const field = (name: string) => fields[names.indexOf(name)] ?? "";
  return { up: /^UP|^no check/.test(field("status")), check: field("check_status").replace(/^\* /, "") };
}
