import { Agent } from "node:https";
import type { Readable } from "node:stream";
import axios, { type AxiosRequestConfig } from "axios";
import type { z } from "zod";
import type { Clock } from "../../support/clock.ts";
import { SluiceError } from "../../support/errors.ts";
import { containerAnswer, eventAnswer, listAnswer, versionAnswer } from "./answers.ts";
import type { DockerEndpoint } from "./endpoint.ts";
import { linesOf } from "./event-lines.ts";
import type { Container, Engine, EngineEvent, ListedContainer } from "./types.ts";

const longestRequestMs = 15_000;
/** A list of ten thousand containers is some 20 MB. */
const longestAnswer = 64_000_000;
/** That of Docker 20.10; nothing newer is needed. */
const ownVersion = "1.41";
/** The kinds of events that change what is to be registered. Checks of health alone would be several a second. */
const filters = JSON.stringify({
  type: ["container", "network"],
  event: [
    ...["start", "die", "stop", "kill", "pause", "unpause", "restart", "destroy", "rename", "update"],
    ...["health_status", "connect", "disconnect"],
  ],
});

/**
 * Asks a Docker engine, by `GET` alone and for these alone: `/version`, `/events`, `/containers/json` and
 * `/containers/<id>/json`.
 */
export class DockerClient implements Engine {
  private readonly endpoint: DockerEndpoint;
  private readonly clock: Clock;
  private readonly httpsAgent: Agent | undefined;
  /** Asked for again after whatever went wrong. */
  private version: string | undefined;

  constructor(endpoint: DockerEndpoint, clock: Clock) {
    this.endpoint = endpoint;
    this.clock = clock;
    this.httpsAgent = endpoint.tls === undefined ? undefined : new Agent(endpoint.tls);
  }

  async list(signal: AbortSignal): Promise<readonly ListedContainer[]> {
    return this.read("/containers/json", listAnswer, signal);
  }

  async inspect(id: string, signal: AbortSignal): Promise<Container | undefined> {
    try {
      return await this.read(`/containers/${encodeURIComponent(id)}/json`, containerAnswer, signal);
    } catch (thrown) {
      if (thrown instanceof SluiceError && thrown.details["status"] === 404) return undefined;
      throw thrown;
    }
  }

  async events(sinceNs: number, signal: AbortSignal): Promise<AsyncIterable<EngineEvent | "unreadable">> {
    // Events are asked for anew when the engine was away: it may be another one.
    this.version = undefined;
    const version = await this.versioned(signal);
    const query = new URLSearchParams({ since: engineTime(sinceNs), filters });
    const life = new AbortController();
    const either = AbortSignal.any([signal, life.signal]);
    // A stream has no end to wait for: its time is up only until the engine has begun to answer.
    const stopTimer = this.clock.timer(longestRequestMs, () => life.abort(new Error("no answer")));
    try {
      const stream = await this.get<Readable>(`/v${version}/events?${query}`, either, { responseType: "stream" });
      return eventsOf(stream);
    } finally {
      stopTimer();
    }
  }

  private async read<T>(path: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const version = await this.versioned(signal);
    return this.parsed(path, schema, await this.get(`/v${version}${path}`, signal, plain));
  }

  private parsed<T>(path: string, schema: z.ZodType<T>, body: unknown): T {
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    const message = `the Docker engine's answer to ${path} does not have the shape of its documentation`;
    throw new SluiceError("ERR_DOCKER_ANSWER_INVALID", message, { retryable: true, cause: parsed.error });
  }

  /** The version of the API that is spoken: ours, or the nearest that the engine has ("Versioned API and SDK"). */
  private async versioned(signal: AbortSignal): Promise<string> {
    if (this.version === undefined) {
      const answer = this.parsed("/version", versionAnswer, await this.get("/version", signal, plain));
      this.version = nearestVersion(answer.ApiVersion, answer.MinAPIVersion);
    }
    return this.version;
  }

  private async get<T>(path: string, signal: AbortSignal, config: AxiosRequestConfig): Promise<T> {
    const { baseUrl, socketPath } = this.endpoint;
    try {
      const { data } = await axios.request<T>({
        ...config,
        url: `${baseUrl}${path}`,
        ...(socketPath !== undefined && { socketPath }),
        ...(this.httpsAgent !== undefined && { httpsAgent: this.httpsAgent }),
        headers: { "user-agent": "sluice" },
        signal,
        maxRedirects: 0,
        proxy: false,
      });
      return data;
    } catch (thrown) {
      this.version = undefined;
      const bare = path.replace(/^\/v[\d.]+|\?.*$/g, "").replace(/\?.*$/, "");
      const response = axios.isAxiosError(thrown) ? thrown.response : undefined;
      // An answer that broke off has a status too, a good one.
      if (response !== undefined && response.status >= 300) {
        const { status } = response;
        // Of a stream nobody will read the rest.
        if (config.responseType === "stream") (response.data as Readable).destroy();
        const message = `the Docker engine answered ${bare} with ${status}`;
        throw new SluiceError("ERR_DOCKER_STATUS", message, { retryable: true, details: { path: bare, status } });
      }
      const code = (axios.isAxiosError(thrown) ? thrown.code : undefined) ?? "the request failed";
      const where = socketPath ?? baseUrl;
      const message = `the Docker engine at ${where} did not answer ${bare}: ${code}`;
      throw new SluiceError("ERR_DOCKER_UNREACHABLE", message, { retryable: true, details: { path: bare } });
    }
  }
}

const plain: AxiosRequestConfig = {
  timeout: longestRequestMs,
  maxContentLength: longestAnswer,
  responseType: "json",
};

async function* eventsOf(stream: Readable): AsyncGenerator<EngineEvent | "unreadable"> {
  for await (const line of linesOf(stream)) {
    const parsed = line === undefined ? undefined : eventAnswer.safeParse(json(line));
    yield parsed?.success === true ? parsed.data : "unreadable";
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `since` and `until` take seconds with nine digits behind the point. A number of ns is beyond what a double holds. */
function engineTime(ns: number): string {
  const whole = BigInt(Math.max(0, Math.floor(ns)));
  return `${whole / 1_000_000_000n}.${String(whole % 1_000_000_000n).padStart(9, "0")}`;
}

/** @param least the oldest that the engine still speaks; undefined: any */
export function nearestVersion(newest: string, least: string | undefined): string {
  if (!isVersion(newest) || isOlder(newest, ownVersion)) return isVersion(newest) ? newest : ownVersion;
  return least !== undefined && isVersion(least) && isOlder(ownVersion, least) ? least : ownVersion;
}

function isVersion(text: string): boolean {
  return /^\d{1,4}\.\d{1,4}$/.test(text);
}

function isOlder(a: string, b: string): boolean {
  const [majorA = 0, minorA = 0] = a.split(".").map(Number);
  const [majorB = 0, minorB = 0] = b.split(".").map(Number);
  return majorA < majorB || (majorA === majorB && minorA < minorB);
}
