import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { consulBinary } from "./binaries.ts";
import type { ConsulAgent, ServiceDefinition } from "./consul-agent.ts";

import { freePort } from "./free-port.ts";
import { eventually } from "./sluice.ts";

/** An agent of its own node that has joined a server: what stands on it is as well as the node is. */
export interface ClientAgent {
  /** The node's name. */
  readonly node: string;
  register(service: ServiceDefinition): Promise<void>;
  /** Stops it where it is: for the others its node fails. */
  freeze(): void;
  thaw(): void;
  /** Ends the process at once, in whatever state it is. */
  stop(): Promise<void>;
}

/** Starts an agent that is no server and joins `server`; resolves when the catalog has its node. */
export async function startClientAgent(server: ConsulAgent, node: string): Promise<ClientAgent> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-consul-"));
  const httpPort = await freePort();
  const self = (await server.get("/v1/agent/self")) as { readonly Member: { readonly Port: number } };
  const args = ["agent", "-data-dir", directory, "-node", node, "-bind", "127.0.0.1", "-client", "127.0.0.1"];
  args.push("-log-level", "warn", "-http-port", String(httpPort), "-dns-port", "-1", "-grpc-port", "-1");
  args.push("-serf-lan-port", String(await freePort()), "-retry-join", `127.0.0.1:${self.Member.Port}`);
  args.push("-hcl", "disable_update_check = true");
  const child = spawn(consulBinary, args, { stdio: "ignore" });
  const killWithUs = () => child.kill("SIGKILL");
  process.once("exit", killWithUs);
  const ended = once(child, "close");
  const stop = async () => {
    process.off("exit", killWithUs);
    child.kill("SIGKILL");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const healthy = `/v1/health/node/${node}`;
    await eventually(
      `${node} has joined`,
      async () => JSON.stringify(await server.get(healthy)).includes('"Status":"passing"'),
      60_000,
    );
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return {
    node,
    register: (service) => register(httpPort, service),
    freeze: () => signal(child, "SIGSTOP"),
    thaw: () => signal(child, "SIGCONT"),
    stop,
  };
}

async function register(httpPort: number, service: ServiceDefinition): Promise<void> {
  const url = `http://127.0.0.1:${httpPort}/v1/agent/service/register?replace-existing-checks=true`;
  const answer = await fetch(url, { method: "PUT", body: JSON.stringify(service) });
  if (!answer.ok) throw new Error(`register: ${answer.status} ${await answer.text()}`);
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.exitCode === null) child.kill(name);
}
