import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CatalogSummary } from "../../src/admin/server.ts";
import { refillReason } from "../../src/catalog/belief.ts";
import type { ConsulAgent } from "./consul-agent.ts";
import { ModelCatalog } from "./model-catalog.ts";
import { type Failure, ModelClients } from "./model-clients.ts";
import { ModelFaults } from "./model-faults.ts";
import { serversWanted, servingNames } from "./model-services.ts";
import type { Step } from "./model-steps.ts";
import { lastOfFrontend } from "./own-template.ts";
import { eventually, type LogLine, type SluiceHome } from "./sluice.ts";
import {
  ask,
  mapInFile,
  mapRunning,
  type Scene,
  type ServerText,
  serversInFile,
  serversRunning,
  statusNow,
} from "./system.ts";

export interface Counts {
  readonly requests: number;
  /** Requests that had to succeed. */
  readonly judged: number;
  readonly reloads: number;
}

/** The catalog as it should be, the operator that follows it, its HAProxy, and clients that ask all the while. */
export class ModelWorld {
  private readonly home: SluiceHome;
  private readonly template: { readonly file: string; readonly text: string };
  private readonly catalog: ModelCatalog;
  private readonly clients: ModelClients;
  private readonly faults: ModelFaults;
  private readonly aging: Promise<void>;
  private edition = 0;
  private stopped = false;

  private constructor(scene: Scene, consul: ConsulAgent, home: SluiceHome, template: ModelWorld["template"]) {
    this.home = home;
    this.template = template;
    this.catalog = new ModelCatalog(scene, consul);
    this.clients = new ModelClients(home, () => this.catalog.services);
    this.faults = new ModelFaults(
      scene,
      home,
      () => this.wanted(),
      (dark) => {
        this.clients.blackout = dark;
        for (const service of dark ? this.catalog.services : []) service.expectedSince = undefined;
      },
    );
    this.aging = this.age();
  }

  /** @param template the file that a `template` step edits; a copy of `frontend-http.njk` */
  static async start(scene: Scene, consul: ConsulAgent, home: SluiceHome, template: string): Promise<ModelWorld> {
    const text = await readFile(template, "utf8");
    const world = new ModelWorld(scene, consul, home, { file: template, text });
    scene.defer(() => world.stop());
    return world;
  }

  get failures(): readonly Failure[] {
    return this.clients.failures;
  }

  counts(): Counts {
    const { requests, judged } = this.clients;
    return { requests, judged, reloads: this.lines().filter(({ event }) => event === "reloaded").length };
  }

  /** The log of all operators so far. */
  lines(): readonly LogLine[] {
    return this.faults.lines();
  }

  /** Takes all instances of the sequence before out of the catalog, and makes two services of two instances. */
  begin(): Promise<void> {
    return this.catalog.begin();
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "template":
        await this.editTemplate();
        break;
      case "consul-restart":
        await this.restartConsul();
        break;
      case "consul-freeze":
        await this.catalog.freezeConsul();
        break;
      case "operator-kill":
      case "haproxy-kill":
      case "haproxy-freeze":
      case "foreign-reload":
      case "drift":
      case "socket-away":
        await this.faults.take(step);
        break;
      default:
        await this.catalog.take(step);
    }
    await sleep(step.pauseMs);
  }

  /** What the operators logged last, for a test that fails. */
  lastWords(): string {
    const tail = this.lines().slice(-100);
    return tail.map(({ time, level, msg }) => `${time} ${level} ${msg}`).join("\n");
  }

  /** Waits until process, file and catalog say the same. Rejects with what differs. */
  async settle(timeoutMs = 20_000): Promise<void> {
    await this.faults.restarted();
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

  private async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all([this.clients.stop(), this.aging]);
    await this.catalog.stop();
  }

  private async differences(): Promise<readonly string[]> {
    const { services } = this.catalog;
    const { reconciler: status, catalog } = await statusNow(this.home);
    const believed = refilling(catalog);
    const running = this.judgeable(await serversRunning(this.home), believed);
    const file = this.judgeable(await serversInFile(this.home), believed);
    const wanted = this.wanted();
    const edition = await ask(this.home.httpPort, { host: "nobody.service.local" });
    const [map, mapFile] = [await mapRunning(this.home, "routes.map"), await mapInFile(this.home, "routes.map")];
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
      ...status.quarantined.map(({ service, reason }) => `${service} is in quarantine: ${reason}`),
      ...catalog.stale
        .filter(({ name }) => !believed.has(name))
        .map(({ name, since, reason }) => `${name} is stale since ${since}: ${reason}`),
      ...(status.inputsProblem === undefined ? [] : [`inputs refused: ${status.inputsProblem}`]),
      ...(status.refused ?? []).map((problem) => `structure refused: ${problem}`),
    ];
    for (const service of services) {
      const host = `${service.name}.service.local`;
      // One without instances is forgotten after `services.remember`.
      if (service.instances.size > 0 && !map.includes(`${host}/ ${service.name}`)) found.push(`${host} has no route`);
    }
    return found.length > 0 ? found : this.misanswered();
  }

  /** Services that do not answer as the catalog says: one of the serving instances; without one 503, or 404 once forgotten. */
  private async misanswered(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const service of this.catalog.services) {
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

  /**
   * What it has not seen leave before, or come again afterwards, the operator believes in for minutes: it cannot know that
   * nobody will register it again. So both are waited for.
   */
  private async restartConsul(): Promise<void> {
    await this.faults.restarted();
    let before: ReadonlySet<string> = new Set();
    await eventually(
      "the operator has seen who left",
      async () => {
        before = refilling((await statusNow(this.home)).catalog);
        return this.judgeable(await serversRunning(this.home), before).every((server) =>
          this.wanted().includes(server),
        );
      },
      20_000,
    );
    await this.catalog.restartConsul();
    await eventually(
      "the operator has seen who came again",
      async () => (await statusNow(this.home)).catalog.stale.every(({ name }) => before.has(name)),
      20_000,
    );
  }

  private wanted(): readonly ServerText[] {
    return this.catalog.services.flatMap(serversWanted).sort();
  }

  /** Without those that may be too many: of services that lost somebody soon after Consul came back with nothing. */
  private judgeable(found: readonly ServerText[], believed: ReadonlySet<string>): readonly ServerText[] {
    const wanted = this.wanted();
    return found.filter((server) => wanted.includes(server) || !believed.has(backendOf(server)));
  }

  /** Under another name first: a template that is read half-written may be a valid one. */
  private async editTemplate(): Promise<void> {
    this.edition += 1;
    const { file, text } = this.template;
    const header = `${lastOfFrontend}\n  http-after-response set-header X-Edition ${this.edition}`;
    const fresh = path.join(path.dirname(file), ".next");
    await writeFile(fresh, text.replace(lastOfFrontend, header));
    await rename(fresh, file);
  }

  /** Who has left the catalog goes on answering for a while, in which the operator could notice it. */
  private async age(): Promise<void> {
    let before = performance.now();
    while (!this.stopped) {
      await sleep(50);
      const now = performance.now();
      if (this.faults.able && this.catalog.up) await this.catalog.age(now - before);
      before = now;
    }
  }
}

/** Services in which the operator believes more than Consul lists, within minutes after that came back with nothing. */
function refilling({ stale }: CatalogSummary): ReadonlySet<string> {
  return new Set(stale.filter(({ reason }) => reason === refillReason).map(({ name }) => name));
}

function backendOf(server: ServerText): string {
  return server.slice(0, server.indexOf("/"));
}

function differing(one: string, ones: readonly string[], other: string, others: readonly string[]): readonly string[] {
  return [
    ...ones.filter((text) => !others.includes(text)).map((text) => `${one} has and ${other} has not: ${text}`),
    ...others.filter((text) => !ones.includes(text)).map((text) => `${other} has and ${one} has not: ${text}`),
  ];
}
