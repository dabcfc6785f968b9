import { mkdirSync } from "node:fs";
import type { Clock } from "../../src/support/clock.ts";
import { Child } from "./child.ts";

export interface ConsulOptions {
  readonly binary: string;
  readonly root: string;
  readonly log: string;
  readonly httpPort: number;
  readonly serverPort: number;
  readonly serfPort: number;
  readonly env: NodeJS.ProcessEnv;
}

/** A development agent on 127.0.0.1: one server, everything in memory, with the UI. Only the ports the demo uses are open. */
export function startConsul(options: ConsulOptions): Child {
  mkdirSync(options.root, { recursive: true });
  const flags = {
    "http-port": options.httpPort,
    "server-port": options.serverPort,
    "serf-lan-port": options.serfPort,
    "serf-wan-port": -1,
    "dns-port": -1,
    "grpc-port": -1,
    "grpc-tls-port": -1,
    node: "sluice-demo",
    "log-level": "warn",
    // It would ask a server on the Internet whether there is a newer release.
    hcl: "disable_update_check = true",
  };
  return new Child("Consul", {
    command: options.binary,
    args: ["agent", "-dev", "-ui", ...Object.entries(flags).map(([flag, value]) => `-${flag}=${value}`)],
    cwd: options.root,
    env: options.env,
    log: options.log,
  });
}

/** Resolves to true when the agent has a leader, to false when `timeoutMs` ran out or `consul` ended. */
export async function consulAnswers(
  address: string,
  consul: Child,
  { clock, timeoutMs, signal }: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const deadline = clock.now() + timeoutMs;
  while (consul.running && clock.now() < deadline) {
    if (await hasLeader(address)) return true;
    await clock.sleep(30, signal);
  }
  return false;
}

async function hasLeader(address: string): Promise<boolean> {
  try {
    const response = await fetch(`${address}/v1/status/leader`, { signal: AbortSignal.timeout(1000) });
    return response.ok && (await response.json()) !== "";
  } catch {
    return false;
  }
}
