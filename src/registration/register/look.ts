import { request } from "node:http";
import { connect } from "node:http2";
import { networkInterfaces } from "node:os";
import type { Clock } from "../../support/clock.ts";
import { hostAndPort } from "../../support/ip.ts";
import { type ProbeAnswer, probeTcp } from "../../support/tcp-probe.ts";
import type { Register } from "./read-options.ts";

/** How the wrapped process is doing, seen from its own host. */
export interface Look {
  /** Whether anything accepts connections where it listens. */
  port(): Promise<ProbeAnswer>;
  /** Whether it is ready: the port answers, and with it what the check asks for, when the check asks for something. */
  ready(): Promise<boolean>;
  /** Where it was found to listen; before that 127.0.0.1. */
  host(): string;
}

/** Looks at the place of `--listen`: without a host at 127.0.0.1 and then at each address of this host. */
export function lookAt({ listen, address, check }: Pick<Register, "listen" | "address" | "check">, clock: Clock): Look {
  let found = listen.host;
  const port = async () => {
    const hosts = found === undefined ? candidates(address) : [found];
    let silent = false;
    for (const host of hosts) {
      const answer = await probeTcp(host, listen.port, check.timeoutMs);
      if (answer === "accepts") found = host;
      if (answer === "accepts") return answer;
      if (answer === "silent") silent = true;
    }
    return silent ? "silent" : "refuses";
  };
  const host = () => found ?? "127.0.0.1";
  return {
    port,
    host,
    ready: async () => {
      if ((await port()) !== "accepts") return false;
      if (check.kind !== "http" && check.kind !== "grpc") return true;
      const deadline = new AbortController();
      const stopTimer = clock.timer(check.timeoutMs, () => deadline.abort());
      const place = { host: host(), port: listen.port, path: check.path, signal: deadline.signal };
      try {
        return await (check.kind === "http" ? answersHttp(place) : servesGrpc(place));
      } finally {
        stopTimer();
      }
    },
  };
}

interface Place {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Aborts when the answer is too late. */
  readonly signal: AbortSignal;
}

/** The addresses a process of this host may listen on. */
function candidates(address: string | undefined): readonly string[] {
  const own = Object.values(networkInterfaces()).flatMap((all = []) =>
    all.filter(({ internal, scopeid }) => !internal && !scopeid).map((one) => one.address),
  );
  return [...new Set(["127.0.0.1", ...own.filter((one) => one === address), ...own])];
}

/** Whether a GET is answered with 2xx, which is what Consul takes for passing (Consul: "Health Checks", HTTP). */
function answersHttp({ host, port, path, signal }: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ host, port, path, agent: false, signal }, (response) => {
      const { statusCode = 0 } = response;
      response.destroy();
      resolve(statusCode >= 200 && statusCode < 300);
    });
    call.on("error", () => resolve(false));
    call.end();
  });
}

const serving = 1;

/**
 * Whether `grpc.health.v1.Health/Check` answers SERVING for a service (gRPC: "GRPC Health Checking Protocol"), in the
 * framing of gRPC over HTTP/2: one byte 0 (not compressed), four of length, then the message:
 *
 *     HealthCheckRequest  { string service = 1 }   0a <length> <name>
 *     HealthCheckResponse { Status status = 1 }    08 <status>
 */
function servesGrpc({ host, port, path: service, signal }: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const session = connect(`http://${hostAndPort(host, port)}`);
    const end = (is: boolean) => {
      session.destroy();
      resolve(is);
    };
    signal.addEventListener("abort", () => end(false), { once: true });
    session.on("error", () => end(false));
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => end(false));
    stream.on("end", () => {
      const message = Buffer.concat(chunks).subarray(5);
      end(message[0] === 0x08 && message[1] === serving);
    });
    stream.end(framed(service));
  });
}

function framed(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function varint(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
