import type { Agent } from "node:https";
import axios from "axios";
import { z } from "zod";
import { SluiceError } from "../support/errors.ts";
import { isUsableId } from "./usable-id.ts";

/**
 * How the agent finds out whether a service is well (Consul: "Health Checks"). A TTL check is critical when nobody says
 * in time that it is not: `passTtl`.
 */
export type ServiceCheck = CheckedBy & {
  /** Shown in Consul's UI. */
  readonly name: string;
  /** What it is until the first result. Default: critical, as Consul has it. */
  readonly status?: CheckStatus;
  /** A service that is critical for so long is forgotten; Consul looks every 30 s and takes a minute at least. */
  readonly deregisterAfterMs?: number;
};

type CheckedBy =
  /** `host:port` that the agent connects to. */
  | { readonly kind: "tcp"; readonly address: string; readonly intervalMs: number; readonly timeoutMs: number }
  | {
      readonly kind: "http";
      readonly url: string;
      /** Default: GET. */
      readonly method?: string;
      readonly header?: Readonly<Record<string, readonly string[]>>;
      /** https: whoever signed the certificate. */
      readonly tlsSkipVerify?: boolean;
      readonly intervalMs: number;
      readonly timeoutMs: number;
    }
  /** `host:port`, or `host:port/service`, that answers gRPC's health protocol. */
  | { readonly kind: "grpc"; readonly address: string; readonly intervalMs: number; readonly timeoutMs: number }
  | { readonly kind: "ttl"; readonly ttlMs: number };

/** A service as the agent is asked to register it (Consul API: Agent, "Register Service"). */
export interface Registration {
  readonly id: string;
  readonly name: string;
  /** Left out: the agent's own. */
  readonly address?: string;
  readonly port: number;
  readonly tags?: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  /** Left out: none; then the node's health alone counts. */
  readonly check?: ServiceCheck;
}

/** A service that an agent has registered. */
export interface Registered {
  readonly id: string;
  readonly name: string;
  /** Empty: the agent's own. */
  readonly address: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}

export type CheckStatus = "passing" | "warning" | "critical";

/** A check that an agent keeps of one of its services. */
export interface RegisteredCheck {
  readonly id: string;
  readonly serviceId: string;
  /** What Consul says, {@link CheckStatus} or a word of a later version. */
  readonly status: string;
  /** Of maintenance: the reason that was given. */
  readonly notes: string;
}

/**
 * The part of a Consul agent that keeps the services of its node. All but the first two throw ERR_CONSUL_ID_INVALID,
 * before anything is asked, for the ids `.` and `..`: {@link isUsableId}.
 */
export interface ServiceAgent {
  /** @throws {SluiceError} ERR_CONSUL_UNREACHABLE, ERR_CONSUL_STATUS, ERR_CONSUL_ANSWER_INVALID; as the others */
  services(signal: AbortSignal): Promise<readonly Registered[]>;
  /** The checks of all services, maintenance among them (`_service_maintenance:<id>`). */
  checks(signal: AbortSignal): Promise<readonly RegisteredCheck[]>;
  register(registration: Registration, signal: AbortSignal): Promise<void>;
  deregister(id: string, signal: AbortSignal): Promise<void>;
  /** Puts a service in maintenance, which takes it out of the load without forgetting it, or ends that. */
  maintain(id: string, on: boolean, reason: string, signal: AbortSignal): Promise<void>;
  /** Says that the TTL check of a service (`service:<id>`) passes. */
  passTtl(id: string, output: string, signal: AbortSignal): Promise<void>;
  /** Says what the TTL check of a service (`service:<id>`) is. */
  updateTtl(id: string, status: CheckStatus, output: string, signal: AbortSignal): Promise<void>;
}

export interface AgentClientOptions {
  /** What stands before the path of every request, `/v1` included. */
  readonly baseUrl: string;
  readonly socketPath?: string;
  readonly httpsAgent?: Agent;
  readonly token: () => string | undefined;
}

const longestRequestMs = 5_000;
/** `GET /v1/agent/services`: by id. */
const answer = z.record(
  z.string(),
  z.object({
    ID: z.string(),
    Service: z.string(),
    Address: z.string().default(""),
    Port: z.number().default(0),
    Tags: z
      .array(z.string())
      .nullish()
      .transform((tags) => tags ?? []),
    Meta: z
      .record(z.string(), z.string())
      .nullish()
      .transform((meta) => meta ?? {}),
  }),
);

/** `GET /v1/agent/checks`: by id. */
const checksAnswer = z.record(
  z.string(),
  z.object({
    CheckID: z.string(),
    ServiceID: z.string().default(""),
    Status: z.string(),
    Notes: z.string().default(""),
  }),
);

/** Registers services with a Consul agent through its HTTP API. */
export class AgentClient implements ServiceAgent {
  private readonly options: AgentClientOptions;

  constructor(options: AgentClientOptions) {
    this.options = options;
  }

  async services(signal: AbortSignal): Promise<readonly Registered[]> {
    const found = await this.read("/agent/services", answer, signal);
    return Object.values(found).map(({ ID, Service, Address, Port, Tags, Meta }) => ({
      id: ID,
      name: Service,
      address: Address,
      port: Port,
      tags: Tags,
      meta: Meta,
    }));
  }

  async checks(signal: AbortSignal): Promise<readonly RegisteredCheck[]> {
    const found = await this.read("/agent/checks", checksAnswer, signal);
    return Object.values(found)
      .filter(({ ServiceID }) => ServiceID !== "")
      .map(({ CheckID, ServiceID, Status, Notes }) => ({
        id: CheckID,
        serviceId: ServiceID,
        status: Status,
        notes: Notes,
      }));
  }

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    needUsable(registration.id);
    const { id, name, address, port, tags = [], meta, check } = registration;
    // Checks of an earlier registration of this id that are not in this one go: they would stay critical for ever.
    await this.ask("PUT", "/agent/service/register?replace-existing-checks=true", signal, {
      ID: id,
      Name: name,
      ...(address !== undefined && { Address: address }),
      Port: port,
      Tags: tags,
      Meta: meta,
      ...(check !== undefined && { Check: checkBody(id, check) }),
    });
  }

  async deregister(id: string, signal: AbortSignal): Promise<void> {
    await this.ask("PUT", `/agent/service/deregister/${inPath(id)}`, signal);
  }

  async maintain(id: string, on: boolean, reason: string, signal: AbortSignal): Promise<void> {
    const query = new URLSearchParams({ enable: String(on), reason });
    await this.ask("PUT", `/agent/service/maintenance/${inPath(id)}?${query}`, signal);
  }

  passTtl(id: string, output: string, signal: AbortSignal): Promise<void> {
    return this.updateTtl(id, "passing", output, signal);
  }

  async updateTtl(id: string, status: CheckStatus, output: string, signal: AbortSignal): Promise<void> {
    needUsable(id);
    const path = `/agent/check/update/${encodeURIComponent(`service:${id}`)}`;
    await this.ask("PUT", path, signal, { Status: status, Output: output });
  }

  private async read<T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const parsed = schema.safeParse(await this.ask("GET", path, signal));
    if (parsed.success) return parsed.data;
    const message = `Consul's answer to ${path} does not have the shape of its documentation`;
    throw new SluiceError("ERR_CONSUL_ANSWER_INVALID", message, { retryable: true, cause: parsed.error });
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

function needUsable(id: string): void {
  if (isUsableId(id)) return;
  throw new SluiceError("ERR_CONSUL_ID_INVALID", `${JSON.stringify(id)} cannot be the id of a service`, {
    details: { id },
  });
}

function inPath(id: string): string {
  needUsable(id);
  return encodeURIComponent(id);
}

/** A check in the words of Consul's API. Its id is the one Consul itself gives a service's only check. */
function checkBody(id: string, check: ServiceCheck): Readonly<Record<string, unknown>> {
  return {
    CheckID: `service:${id}`,
    Name: check.name,
    ...(check.status !== undefined && { Status: check.status }),
    ...(check.deregisterAfterMs !== undefined && { DeregisterCriticalServiceAfter: `${check.deregisterAfterMs}ms` }),
    ...checkedBy(check),
  };
}

function checkedBy(check: ServiceCheck): Readonly<Record<string, unknown>> {
  switch (check.kind) {
    case "ttl":
      return { TTL: `${check.ttlMs}ms` };
    case "tcp":
      return { TCP: check.address, ...paceOf(check) };
    case "http":
      return {
        HTTP: check.url,
        ...(check.method !== undefined && { Method: check.method }),
        ...(check.header !== undefined && { Header: check.header }),
        ...(check.tlsSkipVerify === true && { TLSSkipVerify: true }),
        ...paceOf(check),
      };
    case "grpc":
      return { GRPC: check.address, ...paceOf(check) };
  }
}

function paceOf({ intervalMs, timeoutMs }: { readonly intervalMs: number; readonly timeoutMs: number }) {
  return { Interval: `${intervalMs}ms`, Timeout: `${timeoutMs}ms` };
}
