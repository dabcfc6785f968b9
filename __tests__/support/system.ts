import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import path from "node:path";
import type { OperatorStatus } from "../../src/admin/server.ts";
import { parseConfig } from "../../src/haproxy/config/parse.ts";
import { serverLines } from "../../src/haproxy/config/servers.ts";
import type { LeavingServer } from "../../src/haproxy/plan/types.ts";
import { type ConsulAgent, type ConsulOptions, startConsul } from "./consul-agent.ts";
import { type Load, type LoadOptions, startLoad } from "./load.ts";
import {
  eventually,
  liveConfig,
  type RunningSluice,
  runSluice,
  runtimeCommand,
  type SluiceHome,
  sluiceHome,
} from "./sluice.ts";
import { registration, startWebInstance, type WebInstance } from "./web-instance.ts";

/** What one test starts, and what ends it all again: to be ended in `afterEach`, in whatever state the test left it. */
export class Scene {
  private readonly endings: (() => Promise<unknown>)[] = [];

  /** To be done at the end, before what was begun earlier is ended. */
  defer(ending: () => Promise<unknown>): void {
    this.endings.push(ending);
  }

  async consul(options?: ConsulOptions): Promise<ConsulAgent> {
    const consul = await startConsul(options);
    this.defer(() => consul.stop());
    return consul;
  }

  async home(consul: string, settings?: Readonly<Record<string, unknown>>): Promise<SluiceHome> {
    const home = await sluiceHome(consul, settings);
    this.defer(() => home.remove());
    return home;
  }

  run(home: SluiceHome, args?: readonly string[]): RunningSluice {
    const sluice = runSluice(home, args);
    this.defer(() => sluice.end());
    return sluice;
  }

  /** @param delayMs how long each of its answers takes. Default: no time */
  async instance(name: string, delayMs?: number): Promise<WebInstance> {
    const instance = await startWebInstance(name, 0, delayMs);
    this.defer(() => instance.stop());
    return instance;
  }

  /** An instance that listens and stands in the catalog. */
  async join(
    consul: ConsulAgent,
    service: string,
    name: string,
    more?: Readonly<Record<string, unknown>>,
  ): Promise<WebInstance> {
    const instance = await this.instance(name);
    await consul.register(registration(service, instance, more));
    return instance;
  }

  load(options: LoadOptions): Load {
    const load = startLoad(options);
    this.defer(() => load.stop());
    return load;
  }

  async end(): Promise<void> {
    const problems: unknown[] = [];
    for (let ending = this.endings.pop(); ending !== undefined; ending = this.endings.pop()) {
      await ending().catch((thrown) => problems.push(thrown));
    }
    if (problems.length > 0) throw problems[0];
  }
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Question {
  /** The Host header. */
  readonly host?: string;
  readonly path?: string;
  /** Default: GET. */
  readonly method?: string;
  /** Besides Host. */
  readonly headers?: Readonly<Record<string, string>>;
  /** `user:password` */
  readonly auth?: string;
  /** Default: a connection of its own. */
  readonly agent?: Agent;
}

/** One request, never tried again. Rejects when there is no answer within 5 s. */
export function ask(port: number, question: Question = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port,
        path: question.path ?? "/",
        agent: question.agent ?? new Agent({ keepAlive: false }),
        timeout: 5_000,
        ...(question.auth !== undefined && { auth: question.auth }),
        ...(question.method !== undefined && { method: question.method }),
        headers: { ...question.headers, ...(question.host !== undefined && { host: question.host }) },
      },
      (incoming) => {
        let body = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => {
          body += chunk;
        });
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body, headers: incoming.headers }));
        incoming.on("error", reject);
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer within 5 s")));
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** Waits until a host answers with 200. */
export function answers(home: SluiceHome, host: string, timeoutMs = 20_000): Promise<void> {
  return eventually(`${host} answers`, async () => (await ask(home.httpPort, { host })).status === 200, timeoutMs);
}

/** The bodies of so many requests one after the other, each distinct one once, sorted. */
export async function bodies(home: SluiceHome, host: string, requests: number): Promise<readonly string[]> {
  const found = new Set<string>();
  for (let count = 0; count < requests; count += 1) {
    const { status, body } = await ask(home.httpPort, { host });
    found.add(status === 200 ? body : String(status));
  }
  return [...found].sort();
}

/** What `sluice status --json` prints, without the start of a process. Rejects where no operator answers. */
export function statusNow(home: SluiceHome): Promise<OperatorStatus> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath: path.join(home.state, "sockets", "admin.sock"), path: "/v1/status", agent: false },
      (incoming) => {
        let body = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => {
          body += chunk;
        });
        incoming.on("end", () => resolve(JSON.parse(body) as OperatorStatus));
        incoming.on("error", reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** A server as HAProxy or its file has it, in one line: `backend/name address:port weight N[ maint]`. */
export type ServerText = string;

/** The servers the live process has, but for those in maintenance that are leaving; sorted. */
export async function serversRunning(home: SluiceHome): Promise<readonly ServerText[]> {
  const leaving = await leavingServers(home);
  return (await runningServers(home))
    .filter(({ backend, name, maintenance }) => !(maintenance && leaving.has(`${backend}/${name}`)))
    .map(serverText)
    .sort();
}

/** The servers the live file names; sorted. */
export async function serversInFile(home: SluiceHome): Promise<readonly ServerText[]> {
  return parseConfig(await liveConfig(home))
    .sections.flatMap((section) =>
      serverLines(section).map((line) => serverText({ ...line, backend: section.name ?? "" })),
    )
    .sort();
}

export function serverText(server: {
  readonly backend: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly maintenance?: boolean;
}): ServerText {
  const { backend, name, address, port, weight, maintenance } = server;
  return `${backend}/${name} ${address}:${port} weight ${weight}${maintenance === true ? " maint" : ""}`;
}

/** As `backend/server`, out of state.json. */
export async function leavingServers(home: SluiceHome): Promise<ReadonlySet<string>> {
  // It is written with the first change that has something to keep.
  const text = await readFile(path.join(home.state, "state.json"), "utf8").catch(() => '{"leaving":[]}');
  const state = JSON.parse(text) as { readonly leaving: readonly LeavingServer[] };
  return new Set(state.leaving.map(({ backend, server }) => `${backend}/${server}`));
}

/**
 * `show servers state`, read by the names in its head line (management guide 9.3):
 *
 *     1
 *     # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight …
 *     3 web 1 web-1_127.0.0.1:80 127.0.0.1 2 0 1 …
 */
async function runningServers(home: SluiceHome) {
  const lines = (await runtimeCommand(home, "show servers state")).split("\n");
  const names = lines
    .find((line) => line.startsWith("# "))
    ?.slice(2)
    .split(" ");
  if (names === undefined) throw new Error(`show servers state has no head: ${lines.join("\n")}`);
  return lines
    .filter((line) => /^\d+ \S/.test(line))
    .map((line) => {
      const words = line.split(" ");
      const word = (name: string) => words[names.indexOf(name)] ?? "";
      const admin = Number(word("srv_admin_state"));
      return {
        backend: word("be_name"),
        name: word("srv_name"),
        address: word("srv_addr"),
        port: Number(word("srv_port")),
        weight: Number(word("srv_uweight")),
        // 1: forced by the socket, 4: `disabled` in the file.
        maintenance: (admin & 0x05) !== 0,
      };
    });
}

/** The entries of a home's map as HAProxy has them, `key value`, sorted. */
export async function mapRunning(home: SluiceHome, name: string): Promise<readonly string[]> {
  const answer = await runtimeCommand(home, `show map ${path.join(home.state, "maps", name)}`);
  return answer
    .split("\n")
    .filter((line) => line.startsWith("0x"))
    .map((line) => line.slice(line.indexOf(" ") + 1))
    .sort();
}

/** The entries of a home's map file, `key value`, sorted. */
export async function mapInFile(home: SluiceHome, name: string): Promise<readonly string[]> {
  const text = await readFile(path.join(home.state, "maps", name), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .sort();
}

/** How many lines of an event the operator has logged, from an index on. */
export function countEvents(sluice: RunningSluice, event: string, from = 0): number {
  return sluice.lines().filter((line, index) => index >= from && line.event === event).length;
}
