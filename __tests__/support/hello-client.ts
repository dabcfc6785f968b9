import { fileURLToPath } from "node:url";
import {
  type Client,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const file = fileURLToPath(new URL("../../docker/hello/hello.proto", import.meta.url));
const { protos } = loadPackageDefinition(loadSync(file, { defaults: true })) as unknown as {
  readonly protos: { readonly Ping: ServiceClientConstructor };
};

interface Reply {
  readonly message: string;
}

const callLimitMs = 30_000;

/** A client of world D with one connection to a port of 127.0.0.1. No call is tried again; each fails within 30 s. */
export class HelloClient {
  private readonly client: Client & Record<string, (...all: readonly unknown[]) => unknown>;

  constructor(port: number) {
    this.client = new protos.Ping(`127.0.0.1:${port}`, credentials.createInsecure(), {
      // Its own, not one that other clients of this process use too.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      // Before HAProxy is up it cannot connect, and would try ever less often, every two minutes in the end.
      "grpc.max_reconnect_backoff_ms": 1_000,
    }) as unknown as typeof this.client;
  }

  sayHello(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.client["SayHello"]?.({}, deadline(), (error: ServiceError | null, reply?: Reply) => {
        if (error !== null || reply === undefined) reject(error ?? new Error("no answer"));
        else resolve(reply.message);
      });
    });
  }

  /** What a stream said, so many times, so far apart. Rejects where it ends too early with an error. */
  async keepSayingHello(times: number, everyMs: number): Promise<readonly string[]> {
    const stream = this.client["KeepSayingHello"]?.({ times, everyMs }, deadline()) as AsyncIterable<Reply>;
    const messages: string[] = [];
    for await (const { message } of stream) messages.push(message);
    return messages;
  }

  close(): void {
    this.client.close();
  }
}

function deadline() {
  return { deadline: Date.now() + callLimitMs };
}

/** Calls without pause over one connection, in several lanes at a time; the first has streams that last for seconds. */
export class HelloCaller {
  readonly failures: string[] = [];
  /** Answers by who gave them. */
  readonly answers = new Map<string, number>();
  streams = 0;
  private readonly client: HelloClient;
  private readonly lanes: readonly Promise<void>[];
  private over = false;

  constructor(port: number, lanes: number, streamLanes: number) {
    this.client = new HelloClient(port);
    this.lanes = Array.from({ length: lanes }, (_, lane) => this.run(lane < streamLanes));
  }

  /** Lets the calls under way finish. */
  async stop(): Promise<void> {
    this.over = true;
    await Promise.all(this.lanes);
    this.client.close();
  }

  total(): number {
    return [...this.answers.values()].reduce((all, count) => all + count, 0);
  }

  private async run(streaming: boolean): Promise<void> {
    while (!this.over) {
      try {
        if (streaming) this.answered(await this.client.keepSayingHello(streamTimes, streamEveryMs), streamTimes);
        else this.answered([await this.client.sayHello()], 1);
        if (streaming) this.streams += 1;
      } catch (thrown) {
        this.failures.push(`${streaming ? "stream" : "call"}: ${thrown}`);
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  private answered(messages: readonly string[], wanted: number): void {
    const [first = "", ...others] = new Set(messages);
    if (messages.length !== wanted || others.length > 0) {
      this.failures.push(`stream: ${messages.length} answers of ${wanted}, of ${others.length + 1} servers`);
    }
    const who = /^Hello from (\S+)\.$/.exec(first)?.[1] ?? `unknown: ${first}`;
    this.answers.set(who, (this.answers.get(who) ?? 0) + 1);
  }
}

/** A stream lasts two seconds. */
const streamTimes = 40;
const streamEveryMs = 50;
/** Between two calls of a lane. */
const pauseMs = 5;
