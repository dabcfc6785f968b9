import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { consulBinary } from "./binaries.ts";
import { freePort } from "./free-port.ts";

export interface ConsulOptions {
  /** More arguments of `consul agent`. */
  readonly extraArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** `limits.http_max_conns_per_client`; Consul's default is 200. */
  readonly maxConnections?: number;
  /** ACL token of the calls below, for an agent with ACLs. */
  readonly token?: string;
  /** The HTTP port, to start a second agent in the place of a first. Default: a free one. */
  readonly httpPort?: number;
  /** Makes it a node of its own, and no server, that joins the agent with this Serf port. Default: a dev server alone. */
  readonly joins?: { readonly node: string; readonly serfPort: number };
}

/** A service definition as `PUT /v1/agent/service/register` takes it. */
export interface ServiceDefinition {
  readonly Name: string;
  readonly ID?: string;
  readonly [field: string]: unknown;
}

export interface ConsulAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface ConsulAgent {
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
  readonly httpPort: number;
  readonly pid: number;
  /** Registers with the agent. Throws when Consul refuses. */
  register(service: ServiceDefinition): Promise<void>;
  /** Deregisters by ServiceID. Throws when Consul refuses. */
  deregister(id: string): Promise<void>;
  /** PUT with a JSON body; throws on any status but 200. Gives the parsed answer, undefined where it is empty. */
  put(path: string, body?: unknown): Promise<unknown>;
  /** GET; throws on any status but 200. */
  get(path: string): Promise<unknown>;
  /** The bare answer, whatever its status. */
  fetch(method: string, path: string, body?: unknown): Promise<ConsulAnswer>;
  /** Ends the process at once. A dev agent keeps nothing: the next one comes up empty. */
  stop(): Promise<void>;
}

/**
 * Starts `consul agent -dev` on free ports of 127.0.0.1 and resolves when it has a leader and its own node is in the
 * catalog. Its log is swallowed, and shown only where it does not come up. It dies with this process at the latest.
 */
export async function startConsul(options: ConsulOptions = {}): Promise<ConsulAgent> {
  let failure: unknown;
  // A port that was free may be taken by a test that runs beside this one.
  for (let attempt = 0; attempt < 4; attempt += 1) {
    try {
      return await tryStart(options);
    } catch (thrown) {
      failure = thrown;
      if (options.httpPort !== undefined) await sleep(200);
    }
  }
  throw failure;
}

async function tryStart(options: ConsulOptions): Promise<ConsulAgent> {
  const httpPort = options.httpPort ?? (await freePort());
  const { joins } = options;
  const directory = joins === undefined ? undefined : await mkdtemp(path.join(tmpdir(), "sluice-consul-"));
  const role = directory === undefined ? ["-dev"] : ["-data-dir", directory];
  const args = ["agent", ...role, "-bind", "127.0.0.1", "-client", "127.0.0.1", "-log-level", "warn"];
  args.push("-http-port", String(httpPort), "-server-port", String(await freePort()));
  args.push("-serf-lan-port", String(await freePort()), "-serf-wan-port", "-1");
  args.push("-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1");
  args.push("-hcl", "disable_update_check = true");
  if (joins !== undefined) {
    args.push("-node", joins.node, "-retry-join", `127.0.0.1:${joins.serfPort}`);
    // As soon as a dev agent is.
    args.push(
      "-hcl",
      'gossip_lan { gossip_interval = "100ms" probe_interval = "100ms" probe_timeout = "100ms" suspicion_mult = 3 }',
    );
  }
  if (options.maxConnections !== undefined) {
    args.push("-hcl", `limits { http_max_conns_per_client = ${options.maxConnections} }`);
  }
  args.push(...(options.extraArgs ?? []));

  const child = spawn(consulBinary, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
  });
  let log = "";
  const keep = (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4_000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const killWithUs = () => child.kill("SIGKILL");
  process.once("exit", killWithUs);
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", (error) => {
      log += String(error);
      resolve();
    });
  });

  const agent = agentOn(child, httpPort, options.token, async () => {
    process.off("exit", killWithUs);
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await gone;
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  });
  const ended = gone.then(() => true);
  const deadline = Date.now() + 60_000;
  while (!(await ready(agent))) {
    const over = await Promise.race([ended, sleep(30, false)]);
    if (over || Date.now() > deadline) {
      await agent.stop();
      throw new Error(`consul agent did not come up; its last words: ${log}`);
    }
  }
  return agent;
}

async function ready(agent: ConsulAgent): Promise<boolean> {
  try {
    const nodes = await agent.get("/v1/health/service/consul");
    return Array.isArray(nodes) && nodes.length > 0;
  } catch {
    return false;
  }
}

function agentOn(
  child: ChildProcess,
  httpPort: number,
  token: string | undefined,
  stop: () => Promise<void>,
): ConsulAgent {
  const headers = token === undefined ? {} : { "x-consul-token": token };
  const fetch = (method: string, path: string, body?: unknown) => call(httpPort, method, path, headers, body);
  const good = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await fetch(method, path, body);
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.text === "" ? undefined : JSON.parse(answer.text);
  };
  return {
    address: `http://127.0.0.1:${httpPort}`,
    httpPort,
    pid: child.pid ?? -1,
    fetch,
    get: (path) => good("GET", path),
    put: (path, body) => good("PUT", path, body),
    register: async (service) => {
      await good("PUT", "/v1/agent/service/register?replace-existing-checks=true", service);
    },
    deregister: async (id) => {
      await good("PUT", `/v1/agent/service/deregister/${encodeURIComponent(id)}`);
    },
    stop,
  };
}

/** No keep-alive: the test's own connections must not count against the limit under test for longer than a call. */
async function call(
  port: number,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: unknown,
): Promise<ConsulAnswer> {
  const outgoing = request({ host: "127.0.0.1", port, method, path, headers, agent: false });
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  const [incoming] = await once(outgoing, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return { status: incoming.statusCode, headers: incoming.headers, text: Buffer.concat(chunks).toString() };
}
