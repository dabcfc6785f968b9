import { fileURLToPath } from "node:url";
import {
  type Client,
  credentials,
  loadPackageDefinition,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceClientConstructor,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

export interface Question {
  readonly text?: string;
  readonly answers?: number;
  readonly everyMs?: number;
}

export interface EchoAnswer {
  readonly name: string;
  readonly text: string;
  readonly number: number;
}

const definition = loadSync(fileURLToPath(new URL("echo.proto", import.meta.url)), { defaults: true });
const { sluice } = loadPackageDefinition(definition) as unknown as {
  readonly sluice: { readonly tests: { readonly Echo: ServiceClientConstructor } };
};
const { Echo } = sluice.tests;

/** A gRPC instance that says its name. A question "fail" is answered with NOT_FOUND. */
export interface GrpcEcho {
  readonly name: string;
  readonly port: number;
  /** Calls that were answered. */
  answered(): number;
  /** Connections are cut at once. */
  stop(): Promise<void>;
}

export async function startGrpcEcho(name: string): Promise<GrpcEcho> {
  let answered = 0;
  const server = new Server();
  server.addService(Echo.service, {
    name: ({ request }: ServerUnaryCall<Question, EchoAnswer>, answer: sendUnaryData<EchoAnswer>) => {
      answered += 1;
      const { text = "" } = request;
      if (text === "fail") answer({ code: status.NOT_FOUND, details: "no such thing" });
      else answer(null, { name, text, number: answered });
    },
    count: (call: ServerWritableStream<Question, EchoAnswer>) => {
      const { answers = 0, everyMs = 0, text = "" } = call.request;
      let number = 0;
      const next = () => {
        if (call.cancelled) return;
        if (number === answers) {
          answered += 1;
          call.end();
          return;
        }
        number += 1;
        call.write({ name, text, number });
        setTimeout(next, everyMs);
      };
      next();
    },
    chat: (call: ServerDuplexStream<Question, EchoAnswer>) => {
      let number = 0;
      call.on("data", ({ text = "" }: Question) => {
        number += 1;
        call.write({ name, text, number });
      });
      call.on("end", () => {
        answered += 1;
        call.end();
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { name, port, answered: () => answered, stop: async () => server.forceShutdown() };
}

/** A client with one connection to a port of 127.0.0.1. Every call fails within its deadline, 10 s. */
export class GrpcEchoClient {
  private readonly client: Client & Record<string, (...all: readonly unknown[]) => unknown>;

  /** @param authority the host it asks for */
  constructor(port: number, authority: string) {
    this.client = new Echo(`127.0.0.1:${port}`, credentials.createInsecure(), {
      "grpc.default_authority": authority,
      // Its own, not one that other clients of this process use too.
      "grpc.use_local_subchannel_pool": 1,
      // A call that fails is to be seen.
      "grpc.enable_retries": 0,
    }) as unknown as typeof this.client;
  }

  name(question: Question = {}): Promise<EchoAnswer> {
    return new Promise((resolve, reject) => {
      this.client["name"]?.(question, this.deadline(), (error: ServiceError | null, answer?: EchoAnswer) => {
        if (error !== null || answer === undefined) reject(error ?? new Error("no answer"));
        else resolve(answer);
      });
    });
  }

  /** All answers, and the metadata that came before them. */
  async count(question: Question): Promise<readonly EchoAnswer[]> {
    const stream = this.client["count"]?.(question, this.deadline()) as AsyncIterable<EchoAnswer>;
    const answers: EchoAnswer[] = [];
    for await (const answer of stream) answers.push(answer);
    return answers;
  }

  /** Asks the next question when the one before is answered. */
  chat(texts: readonly string[]): Promise<readonly EchoAnswer[]> {
    return new Promise((resolve, reject) => {
      const call = this.client["chat"]?.(this.deadline()) as NodeJS.ReadWriteStream & {
        on(event: "metadata", listener: (metadata: Metadata) => void): unknown;
      };
      const answers: EchoAnswer[] = [];
      const left = [...texts];
      const ask = () => {
        const text = left.shift();
        if (text === undefined) call.end();
        else (call as unknown as { write(question: Question): void }).write({ text });
      };
      call.on("data", (answer: unknown) => {
        answers.push(answer as EchoAnswer);
        ask();
      });
      call.on("error", reject);
      call.on("end", () => resolve(answers));
      ask();
    });
  }

  close(): void {
    this.client.close();
  }

  private deadline() {
    return { deadline: Date.now() + 10_000 };
  }
}
