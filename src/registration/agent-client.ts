import type { Agent } from "node:https";
import axios from "axios";
import { z } from "zod";
import { SluiceError } from "../support/errors.ts";

/** A service as the agent is asked to register it (Consul API: Agent, "Register Service"). */
export interface Registration {
  readonly id: string;
  readonly name: string;
  /** Left out: the agent's own. */
  readonly address?: string;
  readonly port: number;
  readonly meta: Readonly<Record<string, string>>;
  /** `host:port` that the agent connects to, to see whether it is well. */
  readonly check: string;
}

/** A service that an agent has registered. */
export interface Registered {
  readonly id: string;
  readonly name: string;
  /** Empty: the agent's own. */
  readonly address: string;
  readonly port: number;
  readonly meta: Readonly<Record<string, string>>;
}

/** The part of a Consul agent that keeps the services of its node. */
export interface ServiceAgent {
  /** @throws {SluiceError} ERR_CONSUL_UNREACHABLE, ERR_CONSUL_STATUS, ERR_CONSUL_ANSWER_INVALID; as the others */
  services(signal: AbortSignal): Promise<readonly Registered[]>;
  register(registration: Registration, signal: AbortSignal): Promise<void>;
  deregister(id: string, signal: AbortSignal): Promise<void>;
}

export interface AgentClientOptions {
  /** What stands before the path of every request, `/v1` included. */
  readonly baseUrl: string;
  readonly socketPath?: string;
  readonly httpsAgent?: Agent;
  readonly token: () => string | undefined;
}

const longestRequestMs = 5_000;
/** An agent that connects in vain for so long forgets the service: HAProxy is gone, and nobody is there to say so. */
const forgetAfter = "10m";

/** `GET /v1/agent/services`: by id. */
const answer = z.record(
  z.string(),
  z.object({
    ID: z.string(),
    Service: z.string(),
    Address: z.string().default(""),
    Port: z.number().default(0),
    Meta: z
      .record(z.string(), z.string())
      .nullish()
      .transform((meta) => meta ?? {}),
  }),
);

/** Registers services with a Consul agent through its HTTP API. */
export class AgentClient implements ServiceAgent {
  private readonly options: AgentClientOptions;

  constructor(options: AgentClientOptions) {
    this.options = options;
  }

  async services(signal: AbortSignal): Promise<readonly Registered[]> {
    const parsed = answer.safeParse(await this.ask("GET", "/agent/services", signal));
    if (!parsed.success) {
      const message = "Consul's answer to /agent/services does not have the shape of its documentation";
      throw new SluiceError("ERR_CONSUL_ANSWER_INVALID", message, { retryable: true, cause: parsed.error });
    }
    return Object.values(parsed.data).map(({ ID, Service, Address, Port, Meta }) => ({
      id: ID,
      name: Service,
      address: Address,
      port: Port,
      meta: Meta,
    }));
  }

  async register({ id, name, address, port, meta, check }: Registration, signal: AbortSignal): Promise<void> {
    await this.ask("PUT", "/agent/service/register", signal, {
      ID: id,
      Name: name,
      ...(address !== undefined && { Address: address }),
      Port: port,
      Meta: meta,
      Check: {
        Name: "HAProxy accepts connections",
        TCP: check,
        Interval: "5s",
        Timeout: "2s",
        Status: "passing",
        DeregisterCriticalServiceAfter: forgetAfter,
      },
    });
  }

  async deregister(id: string, signal: AbortSignal): Promise<void> {
    await this.ask("PUT", `/agent/service/deregister/${encodeURIComponent(id)}`, signal);
  }

  private async ask(method: "GET" | "PUT", path: string, signal: AbortSignal, body?: object): Promise<unknown> {
    const { baseUrl, socketPath, httpsAgent, token } = this.options;
    const secret = token();
    try {
      const { data } = await axios.request<unknown>({
        method,
        url: `${baseUrl}${path}`,
        ...(socketPath !== undefined && { socketPath }),
        ...(httpsAgent !== undefined && { httpsAgent }),
        ...(body !== undefined && { data: body }),
        headers: { "user-agent": "sluice", ...(secret !== undefined && { "x-consul-token": secret }) },
        signal,
        timeout: longestRequestMs,
        maxRedirects: 0,
        proxy: false,
      });
      return data;
    } catch (thrown) {
      signal.throwIfAborted();
      // The error of axios holds the request with its token: it is not passed on.
      const status = axios.isAxiosError(thrown) ? thrown.response?.status : undefined;
      if (status !== undefined) {
        throw new SluiceError("ERR_CONSUL_STATUS", `Consul answered ${path} with ${status}`, {
          retryable: true,
          details: { path, status },
        });
      }
      const code = axios.isAxiosError(thrown) ? (thrown.code ?? "the request failed") : "the request failed";
      throw new SluiceError("ERR_CONSUL_UNREACHABLE", `Consul did not answer ${path}: ${code}`, {
        retryable: true,
        details: { path },
      });
    }
  }
}
