import { execFile } from "node:child_process";
import { readdir, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { haproxyBinary } from "./binaries.ts";
import type { KillOrder } from "./kill-points.ts";
import type { Load } from "./load.ts";
import { OutsideNode } from "./outside-node.ts";
import { eventually, type RunningSluice, runProgram, type SluiceHome } from "./sluice.ts";
import { type SmallDisk, smallDisk } from "./small-disk.ts";
import { answers, ask, mapInFile, mapRunning, type Scene, serversInFile, serversRunning, statusNow } from "./system.ts";
import type { WebInstance } from "./web-instance.ts";

const program = fileURLToPath(new URL("./faulty-main.ts", import.meta.url));
const host = "web.service.local";

/**
 * An operator that can be told when to break, the catalog it follows, and clients that ask one of its services all the
 * while. The catalog begins with `web` of four instances, which is asked, and with `other` of six, which nobody asks.
 */
export class FaultWorld {
  readonly scene: Scene;
  readonly home: SluiceHome;
  readonly node: OutsideNode;
  /** Instances of `web`. */
  readonly web: readonly WebInstance[];
  /** Services without an instance that are still to have a route. */
  readonly remembered = new Set<string>();
  sluice: RunningSluice;

  private constructor(scene: Scene, home: SluiceHome, node: OutsideNode, web: readonly WebInstance[]) {
    this.scene = scene;
    this.home = home;
    this.node = node;
    this.web = web;
    this.sluice = this.start();
  }

  /** @param settings more than the defaults of a test, as in the settings file */
  static async begin(scene: Scene, settings: Readonly<Record<string, unknown>> = {}): Promise<FaultWorld> {
    const consul = await scene.consul();
    const home = await scene.home(consul.address, settings);
    return FaultWorld.beginIn(scene, home, new OutsideNode(consul));
  }

  /** The same in a home that is there already. */
  static async beginIn(scene: Scene, home: SluiceHome, node: OutsideNode): Promise<FaultWorld> {
    const web: WebInstance[] = [];
    for (const name of ["web-1", "web-2", "web-3", "web-4"]) web.push(await scene.instance(name));
    const others: WebInstance[] = [];
    for (const count of [1, 2, 3, 4, 5, 6]) others.push(await scene.instance(`other-${count}`));
    await node.change({
      join: [...web.map((one) => ["web", one] as const), ...others.map((one) => ["other", one] as const)],
    });
    await writeFile(wallFile(home), "0");
    const world = new FaultWorld(scene, home, node, web);
    await world.settled();
    return world;
  }

  /** The same with the state directory on a small disk of its own. */
  static async beginOnSmallDisk(scene: Scene): Promise<{ readonly disk: SmallDisk; readonly world: FaultWorld }> {
    const consul = await scene.consul();
    const home = await scene.home(consul.address, { reload: { minInterval: "100ms" } });
    const disk = smallDisk(scene, home.state);
    return { disk, world: await FaultWorld.beginIn(scene, home, new OutsideNode(consul)) };
  }

  /** Starts an operator, the first or the next. */
  start(): RunningSluice {
    this.sluice = runProgram(program, this.home, { KILL_ORDER: orderFile(this.home), WALL_CLOCK: wallFile(this.home) });
    const started = this.sluice;
    this.scene.defer(() => started.end());
    return started;
  }

  /**
   * A server of another service, `slow`, leaves while a request is under way on it, which takes 3 s.
   *
   * @returns what answered that request and its like, once all are answered
   */
  async busyOneLeaves(): Promise<() => Promise<readonly string[]>> {
    const slow: WebInstance[] = [];
    for (const name of ["slow-1", "slow-2"]) slow.push(await this.scene.instance(name, 3_000));
    await this.node.change({ join: slow.map((one) => ["slow", one] as const) });
    await eventually("the service has its route", async () =>
      (await mapRunning(this.home, "routes.map")).includes("slow.service.local/ slow"),
    );
    // Several for each, so that some are under way at the one that leaves.
    const asked = [1, 2, 3, 4].map(() => ask(this.home.httpPort, { host: "slow.service.local" }));
    const bodies = Promise.all(asked).then((found) => found.map(({ body }) => body));
    // Whoever waits for it gets the error.
    bodies.catch(() => undefined);
    await eventually("each has been asked", () => slow.every((one) => one.answered() > 0));
    await this.node.change({ leave: slow.slice(0, 1) });
    return () => bodies;
  }

  /** From now on: what reaches the point first carries it out. */
  order(order: KillOrder): Promise<void> {
    return writeFile(orderFile(this.home), JSON.stringify(order));
  }

  /** Waits until the order has been carried out; when that was, wall-clock ms. */
  async killedAt(): Promise<number> {
    const done = `${orderFile(this.home)}.done`;
    await eventually("the order is carried out", async () => (await stat(done)).isFile(), 30_000);
    return (await stat(done)).ctimeMs;
  }

  /** Moves the operator's wall clock to so many ms ahead of the true one (or behind it, below 0). */
  async moveWallClock(aheadMs: number): Promise<void> {
    await writeFile(wallFile(this.home), String(aheadMs));
    process.kill(this.sluice.pid, "SIGUSR2");
  }

  /** Sixteen clients that never try again. */
  load(): Load {
    return this.scene.load({ port: this.home.httpPort, keepAlive: 8, oneShot: 8, headers: { host } });
  }

  /** Waits until process, file, maps and catalog say the same, and all services answer. Rejects with what differs. */
  async settled(timeoutMs = 30_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = await this.differences().catch((thrown) => [String(thrown)]);
      if (found.length === 0) break;
      if (performance.now() > deadline)
        throw new Error(`not settled within ${timeoutMs} ms:\n${found.join("\n")}\n${this.lastWords()}`);
      await sleep(50);
    }
    for (const service of this.node.services()) await answers(this.home, `${service}.service.local`);
  }

  /** What HAProxy would say of the file if it were started on it now; empty when it takes it. */
  async invalid(): Promise<string> {
    const config = path.join(this.home.state, "haproxy.cfg");
    return promisify(execFile)(haproxyBinary, ["-c", "-f", config], { cwd: this.home.state }).then(
      () => "",
      (thrown: { readonly stderr?: string }) => thrown.stderr ?? String(thrown),
    );
  }

  /** What the operator logged last, for a test that fails. */
  lastWords(): string {
    const lines = this.sluice.lines().slice(-25);
    return `${lines.map(({ time, level, msg }) => `${time} ${level} ${msg}`).join("\n")}\n${this.sluice.errors()}`;
  }

  private async differences(): Promise<readonly string[]> {
    const { reconciler } = await statusNow(this.home);
    const wanted = this.node.servers();
    const files = await readdir(this.home.state, { recursive: true });
    const routes = [...new Set([...this.node.services(), ...this.remembered])].map(
      (name) => `${name}.service.local/ ${name}`,
    );
    return [
      ...differing("the process", await serversRunning(this.home), wanted),
      ...differing("the file", await serversInFile(this.home), wanted),
      ...differing("the loaded map", await mapRunning(this.home, "routes.map"), routes),
      ...differing("the map file", await mapInFile(this.home, "routes.map"), routes),
      ...(reconciler.haproxy.believed ? [] : ["what runs has not been read back"]),
      ...(reconciler.fileLagMs === undefined ? [] : ["the file is behind"]),
      ...files.filter((name) => name.includes("sluice-tmp")).map((name) => `left behind: ${name}`),
      ...(reconciler.refused ?? []).map((problem) => `structure refused: ${problem}`),
      ...(reconciler.fileRefused ?? []).map((problem) => `file refused: ${problem}`),
    ];
  }
}

function orderFile(home: SluiceHome): string {
  return path.join(home.directory, "kill-order.json");
}

function wallFile(home: SluiceHome): string {
  return path.join(home.directory, "wall-clock");
}

function differing(who: string, found: readonly string[], wanted: readonly string[]): readonly string[] {
  return [
    ...found.filter((text) => !wanted.includes(text)).map((text) => `${who} has, and is not to have: ${text}`),
    ...wanted.filter((text) => !found.includes(text)).map((text) => `${who} has not: ${text}`),
  ];
}
