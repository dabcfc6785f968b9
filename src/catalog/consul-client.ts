import { EventEmitter } from "node:events";
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, type RequestOptions } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import Consul from "consul";
import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import { SluiceError, systemErrorCode } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { refusalOf } from "./refusal.ts";
import { tlsOptions } from "./tls-options.ts";
import { TokenSource } from "./token.ts";

/** More than any service's answer (10,000 instances are about 10 MB) and far less than this process's memory. */
const defaultMaxBodyBytes = 32 * 1024 * 1024;
/** How many such answers may be under way at a time: hundreds of watches may be answered at the same moment. */
const mostLargeBodies = 2;

export interface ConsulRequest {
  /** Behind `/v1`, names percent-encoded: see `pathSegment`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** A 404 is an answer too, one without a body: there is nothing under that path (Consul API: KV). */
  readonly mayBeAbsent?: boolean;
}

export interface ConsulAnswer {
  readonly headers: IncomingMessage["headers"];
  /** Parsed JSON; undefined where there is nothing, see `mayBeAbsent`. */
  readonly body: unknown;
  /** Monotonic ms at which the last byte had arrived. */
  readonly answeredAt: number;
}

export interface RequestLimits {
  readonly signal: AbortSignal;
  /** Ms from now to the last byte. */
  readonly deadlineMs: number;
}

export interface ConsulClientOptions {
  readonly settings: Pick<Settings["consul"], "address" | "token" | "tokenFile" | "datacenter" | "tls">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of one answer; those under way together may have twice as much. Default: 32 MiB. */
  readonly maxBodyBytes?: number;
}

/** What the request layer below the `consul` package does for us; its types leave it out. */
interface RequestLayer {
  _get(request: {
    name: string;
    path: string;
    query: Record<string, string>;
    headers: Record<string, string>;
    ctx: EventEmitter;
    exts: { onRequest: (exchange: Exchange, next: () => void) => void };
  }): Promise<{ readonly body?: unknown }>;
}

interface Exchange {
  transport: { request(options: RequestOptions): ClientRequest };
}

/**
 * GET requests to Consul's HTTP API through the request layer of the `consul` package, with what that layer lacks: a
 * deadline on the injected clock, cut and huge bodies seen for what they are, a token that may change, and one error
 * class. Connections are kept alive, redirects are never followed.
 */
export class ConsulClient {
  readonly endpoint: Endpoint;
  private readonly options: ConsulClientOptions;
  private readonly token: TokenSource;
  private readonly agent: HttpAgent | HttpsAgent;
  private readonly layer: RequestLayer;
  private readonly maxBodyBytes: number;
  /** Of all answers under way. */
  private bytesUnderWay = 0;

  /** @throws SluiceError ERR_SETTINGS_INVALID, or ERR_SETTINGS_UNREADABLE for a TLS file that cannot be read */
  constructor(options: ConsulClientOptions) {
    const { settings, clock, logger } = options;
    this.options = options;
    this.maxBodyBytes = options.maxBodyBytes ?? defaultMaxBodyBytes;
    this.endpoint = parseEndpoint(settings.address);
    this.token = new TokenSource({ settings, clock, logger });
    // Every watch gives its connection back for a moment between two questions: all of them must find room.
    const pool = { keepAlive: true, maxFreeSockets: 10_000 };
    this.agent = this.endpoint.secure ? new HttpsAgent({ ...pool, ...tlsOptions(settings.tls) }) : new HttpAgent(pool);
    const consulOptions = {
      baseUrl: this.endpoint.baseUrl,
      agent: this.agent,
      ...(this.endpoint.socketPath === undefined ? {} : { socketPath: this.endpoint.socketPath }),
    };
    this.layer = new Consul(consulOptions) as unknown as RequestLayer;
  }

  /**
   * Asks once.
   *
   * @throws SluiceError ERR_CONSUL_UNREACHABLE (no or no whole answer), ERR_CONSUL_STATUS (any status but 200;
   *   `details.status`, `details.retryAfterMs`), ERR_CONSUL_ANSWER_INVALID (not JSON, or too large); the signal's
   *   reason when it aborts
   */
  get(request: ConsulRequest, limits: RequestLimits): Promise<ConsulAnswer> {
    const { signal, deadlineMs } = limits;
    const { clock } = this.options;
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const token = this.token.current();
      const ctx = new EventEmitter();
      let response: IncomingMessage | undefined;
      let answeredAt: number | undefined;
      // Kept as Node gives it: the layer may wrap it and lose its code.
      let broke: unknown;
      let bytes = 0;

      let over = false;
      const most = mostLargeBodies * this.maxBodyBytes;

      const release = () => {
        over = true;
        this.bytesUnderWay -= bytes;
        bytes = 0;
        stopTimer();
        signal.removeEventListener("abort", onAbort);
      };
      /** Ends the request under way, and the connection with it: nothing more of this answer is wanted. */
      const giveUp = (reason: unknown) => {
        release();
        reject(reason);
        ctx.emit("cancel");
      };
      const onAbort = () => giveUp(signal.reason);
      const stopTimer = clock.timer(deadlineMs, () =>
        giveUp(unreachable(request, `no answer within ${Math.round(deadlineMs)} ms`)),
      );
      signal.addEventListener("abort", onAbort, { once: true });

      const observe = (incoming: IncomingMessage) => {
        response = incoming;
        if (Number(incoming.headers["content-length"] ?? 0) > this.maxBodyBytes) {
          giveUp(tooLarge(request, this.maxBodyBytes));
          return;
        }
        incoming.on("data", (chunk: Buffer) => {
          if (over) return;
          bytes += chunk.length;
          this.bytesUnderWay += chunk.length;
          if (bytes > this.maxBodyBytes) giveUp(tooLarge(request, this.maxBodyBytes));
          else if (this.bytesUnderWay > most) giveUp(tooMuch(request, most));
        });
        incoming.once("end", () => {
          answeredAt = clock.now();
        });
        // The layer itself would wait for ever for the end of a body that was cut.
        incoming.once("close", () => {
          if (answeredAt === undefined)
            giveUp(unreachable(request, "the connection broke in the middle of the answer"));
        });
      };

      const onRequest = (exchange: Exchange, next: () => void) => {
        const { transport } = exchange;
        exchange.transport = {
          request: (options) =>
            transport
              .request(options)
              .once("response", observe)
              .once("error", (error) => {
                broke = error;
              }),
        };
        next();
      };

      this.layer
        ._get({
          name: "sluice",
          path: request.path,
          query: { ...this.datacenterQuery(), ...request.query },
          headers: { "user-agent": "sluice", ...(token === undefined ? {} : { "x-consul-token": token }) },
          ctx,
          exts: { onRequest },
        })
        .then(
          ({ body }) => {
            release();
            if (response?.statusCode !== 200 || answeredAt === undefined) {
              reject(refusalOf(request.path, response, clock.wall()));
              return;
            }
            resolve({ headers: response.headers, body, answeredAt });
          },
          (thrown: unknown) => {
            release();
            if (request.mayBeAbsent && response?.statusCode === 404 && answeredAt !== undefined) {
              resolve({ headers: response.headers, body: undefined, answeredAt });
              return;
            }
            reject(this.failure(request, response, answeredAt !== undefined, broke ?? thrown));
          },
        );
    });
  }

  /** Closes the connections that are idle, and may be dead for good without a sign: the next request makes a new one. */
  dropIdle(): void {
    for (const sockets of Object.values(this.agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  /** Closes the connections that are idle. Those under way end with the signals of their requests. */
  close(): void {
    this.agent.destroy();
  }

  private datacenterQuery(): Record<string, string> {
    const { datacenter } = this.options.settings;
    return datacenter === undefined ? {} : { dc: datacenter };
  }

  private failure(
    request: ConsulRequest,
    response: IncomingMessage | undefined,
    whole: boolean,
    thrown: unknown,
  ): SluiceError {
    if (response === undefined || !whole) {
      const code = systemErrorCode(thrown);
      return unreachable(request, code === undefined ? "the request failed" : reasonOf(code), thrown);
    }
    if (response.statusCode === 403) this.token.refused();
    if (response.statusCode !== 200) return refusalOf(request.path, response, this.options.clock.wall());
    return new SluiceError("ERR_CONSUL_ANSWER_INVALID", `Consul's answer to ${request.path} is not JSON`, {
      retryable: true,
      details: { path: request.path },
    });
  }
}

/** A name as one segment of a path. Dots too where they would be taken for a folder: `..` is a service like any other. */
export function pathSegment(name: string): string {
  const encoded = encodeURIComponent(name.toWellFormed());
  return name.split("/").some((part) => part === "." || part === "..") ? encoded.replaceAll(".", "%2E") : encoded;
}

function reasonOf(code: string): string {
  if (code === "ECONNREFUSED") return "connection refused (ECONNREFUSED): is the agent running?";
  // Consul closes a connection beyond limits.http_max_conns_per_client at once, often before its 429 can be read.
  if (code === "ECONNRESET") {
    return "connection reset (ECONNRESET): the agent went away, or limits.http_max_conns_per_client is reached";
  }
  return code;
}

function unreachable(request: ConsulRequest, what: string, cause?: unknown): SluiceError {
  return new SluiceError("ERR_CONSUL_UNREACHABLE", `Consul did not answer ${request.path}: ${what}`, {
    retryable: true,
    details: { path: request.path },
    ...(cause === undefined ? {} : { cause }),
  });
}

function tooMuch(request: ConsulRequest, limit: number): SluiceError {
  return new SluiceError(
    "ERR_CONSUL_ANSWER_INVALID",
    `Consul's answer to ${request.path} was not read to its end: too many large answers came at the same moment`,
    { retryable: true, details: { path: request.path, limit } },
  );
}

function tooLarge(request: ConsulRequest, limit: number): SluiceError {
  return new SluiceError(
    "ERR_CONSUL_ANSWER_INVALID",
    `Consul's answer to ${request.path} is larger than ${limit} bytes and was not read`,
    { retryable: true, details: { path: request.path, limit } },
  );
}
