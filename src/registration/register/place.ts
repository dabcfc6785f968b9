import { createSocket } from "node:dgram";
import { once } from "node:events";
import { canonicalIp, hostAndPort } from "../../support/ip.ts";
import type { Registration, ServiceCheck } from "../agent-client.ts";
import type { Register } from "./read-options.ts";

/** Where the agent answers. */
export interface AgentPlace {
  /** On this host, by loopback or a socket: what is registered without an address has the agent's own. */
  readonly local: boolean;
  readonly host: string;
  readonly port: number;
}

/** The place of an agent, from what stands before the path of its requests. */
export function agentPlace(endpoint: { readonly baseUrl: string; readonly loopback: boolean }): AgentPlace {
  const url = new URL(endpoint.baseUrl);
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  return { local: endpoint.loopback, host: url.hostname.replace(/^\[|\]$/g, ""), port };
}

/**
 * The address others reach this host at: undefined, which is the agent's own, where the agent is on this host, by name
 * too; else the address this host has towards the agent. Connecting a datagram socket asks the routing table and sends nothing
 * (connect(2)).
 *
 * Rejects where the agent's name has no address (yet).
 */
export async function addressTowards({ local, host, port }: AgentPlace): Promise<string | undefined> {
  if (local) return undefined;
  let failure: unknown;
  // A name tells no family: asked for both, as it resolves.
  for (const type of host.includes(":") ? (["udp6"] as const) : (["udp4", "udp6"] as const)) {
    const socket = createSocket(type);
    try {
      socket.connect(port, host);
      await once(socket, "connect");
      const { address } = socket.address();
      return /^(127\.|::1$)/.test(address) ? undefined : canonicalIp(address);
    } catch (thrown) {
      failure = thrown;
    } finally {
      socket.close();
    }
  }
  throw failure;
}

/**
 * What is registered.
 *
 * @param address the one it is registered with; undefined: the agent's own
 * @param seen where the process was found to listen, seen from its own host
 */
export function registrationOf(
  register: Register,
  agent: AgentPlace,
  address: string | undefined,
  seen: string,
): Registration {
  const { id, name, port, tags, meta } = register;
  const check = checkOf(register, checkedAt(register, agent, address, seen));
  return {
    id,
    name,
    ...(address !== undefined && { address }),
    port,
    tags,
    meta,
    ...(check !== undefined && { check }),
  };
}

/** Where the agent is to look: an agent on this host at the process itself, another where everybody else does. */
function checkedAt({ port, listen }: Register, agent: AgentPlace, address: string | undefined, seen: string): string {
  return agent.local || address === undefined ? hostAndPort(seen, listen.port) : hostAndPort(address, port);
}

function checkOf({ check, once }: Register, at: string): ServiceCheck | undefined {
  const { kind, path, intervalMs, timeoutMs, deregisterAfterMs } = check;
  const rest = {
    // What is wrapped was seen to be ready; of what runs elsewhere nothing is known until the agent has looked.
    ...(!once && { status: "passing" as const }),
    ...(deregisterAfterMs !== undefined && { deregisterAfterMs }),
  };
  const pace = { intervalMs, timeoutMs };
  switch (kind) {
    case "none":
      return undefined;
    case "ttl":
      return { kind, name: "kept by sluice register", ttlMs: 3 * intervalMs, ...rest };
    case "tcp":
      return { kind, name: `${at} accepts connections`, address: at, ...pace, ...rest };
    case "http":
      return { kind, name: `GET ${path}`, url: `http://${at}${path}`, ...pace, ...rest };
    case "grpc":
      return { kind, name: "gRPC health", address: path === "" ? at : `${at}/${path}`, ...pace, ...rest };
  }
}
