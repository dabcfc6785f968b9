import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { systemErrorCode } from "../../src/support/errors.ts";
import { type ModelService, servingNames } from "./model-services.ts";
import { pickOf } from "./model-steps.ts";
import type { SluiceHome } from "./sluice.ts";
import { ask, mapInFile, serversInFile } from "./system.ts";

export interface Failure {
  readonly service: string;
  readonly what: string;
  readonly client: string;
  readonly at: string;
}

const clients = 4;
const quietMs = 300;

/**
 * Requests on all services all the while, one client with a connection it keeps beside one without. From when on those of
 * a service have to succeed: see `followFiles`. Until when: a step takes its last serving instance away, or HAProxy is
 * killed.
 */
export class ModelClients {
  readonly failures: Failure[] = [];
  requests = 0;
  /** Requests that had to succeed. */
  judged = 0;
  /** HAProxy was killed and has not been said to be back. */
  blackout = false;
  private readonly home: SluiceHome;
  private readonly services: () => readonly ModelService[];
  private readonly loops: Promise<void>[];
  /** The servers with a weight that the live file has, and the routes of the map file. */
  private inFiles = "";
  private stopped = false;

  constructor(home: SluiceHome, services: () => readonly ModelService[]) {
    this.home = home;
    this.services = services;
    this.loops = [...Array(clients).keys()].map((index) => this.client(index));
    this.loops.push(this.followFiles());
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.loops);
  }

  /**
   * From when on a service has to answer: the files have its route and one of its serving instances, and that one answered
   * over a new connection. Before that a worker may come without it (whoever reloads gets what the files say, which are
   * behind for some hundred milliseconds), which gets it once the operator has noticed, be it the next one.
   */
  private async followFiles(): Promise<void> {
    while (!this.stopped) {
      await sleep(50);
      if (this.services().every(({ expectedSince }) => expectedSince !== undefined)) continue;
      // Not there before the very first start.
      const servers = await serversInFile(this.home).catch(() => []);
      const routes = await mapInFile(this.home, "routes.map").catch(() => []);
      this.inFiles = [...servers.filter((server) => !server.endsWith(" weight 0")), ...routes].join("\n");
    }
  }

  private mustAnswerFromNow(service: ModelService, by: string): boolean {
    if (this.blackout || !servingNames(service).has(by)) return false;
    const { name, changedAt } = service;
    // What the operator makes of a change of a moment ago may still be to come.
    const quiet = performance.now() - changedAt > quietMs;
    return quiet && this.inFiles.includes(`${name}/${by}_`) && this.inFiles.includes(`${name}.service.local/ ${name}`);
  }

  private async client(index: number): Promise<void> {
    const keeps = index % 2 === 0;
    const agent = keeps ? new Agent({ keepAlive: true, maxSockets: 1 }) : new Agent({ keepAlive: false });
    for (let turn = index; !this.stopped; turn += 1) {
      const service = pickOf(this.services(), turn);
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

/** One request, never tried again. Status 0: no answer, the text says why. */
async function answerOf(port: number, host: string, agent: Agent) {
  try {
    const { status, body } = await ask(port, { host, agent });
    return { status, text: status === 200 ? body : String(status) };
  } catch (thrown) {
    return { status: 0, text: systemErrorCode(thrown) ?? String(thrown) };
  }
}
