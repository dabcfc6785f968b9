import { Agent, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";

export interface LoadOptions {
  readonly port: number;
  /** How many clients keep one connection, and how many open one for each request. */
  readonly keepAlive: number;
  readonly oneShot: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  /** Default: GET. */
  readonly method?: string;
  /** The name asked for by TLS, whoever signed the certificate; a connection of its own is a handshake of its own. Default: no TLS. */
  readonly tls?: string;
  /** A pause of each client between an answer and its next request, ms. */
  readonly pauseMs?: number;
  /** Whether an answer is as it should be. Default: any 200. */
  readonly accepts?: (answer: LoadAnswer) => boolean;
}

export interface LoadAnswer {
  readonly status: number;
  readonly body: string;
  /** When it was asked for, as performance.now() tells the time. */
  readonly sentAt: number;
}

export interface LoadReport {
  readonly sent: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** What was not as it should be, by default not a 200: the status, or the error's code. With when, ms after the start. */
  readonly failures: readonly { readonly what: string; readonly atMs: number; readonly client: string }[];
  readonly slowestMs: number;
  /** Answers by the body's text, which names the instance. */
  readonly bodies: Readonly<Record<string, number>>;
  readonly seconds: number;
}

export interface Load {
  /** What has been counted so far. */
  report(): LoadReport;
  /** Lets the requests under way finish, then reports. */
  stop(): Promise<LoadReport>;
}

const timeoutMs = 4_000;

/** Clients that ask without pause and never try again: what fails, fails. */
export function startLoad(options: LoadOptions): Load {
  const started = performance.now();
  const statuses: Record<string, number> = {};
  const bodies: Record<string, number> = {};
  const failures: { what: string; atMs: number; client: string }[] = [];
  let sent = 0;
  let slowestMs = 0;
  let stopped = false;

  const request = options.tls === undefined ? plainRequest : tlsRequest;
  const accepts = options.accepts ?? ((answer) => answer.status === 200);
  const ask = (agent: Agent | false, client: string) =>
    new Promise<void>((resolve) => {
      const at = performance.now();
      let done = false;
      const end = (what: string | undefined) => {
        if (done) return;
        done = true;
        slowestMs = Math.max(slowestMs, performance.now() - at);
        if (what !== undefined) failures.push({ what, atMs: Math.round(at - started), client });
        resolve();
      };
      sent += 1;
      const call = request(
        {
          host: "127.0.0.1",
          port: options.port,
          path: options.path ?? "/",
          method: options.method ?? "GET",
          ...(options.headers !== undefined && { headers: options.headers }),
          ...(options.tls !== undefined && { servername: options.tls, rejectUnauthorized: false }),
          agent,
          timeout: timeoutMs,
        },
        (response) => {
          let body = "";
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => {
            body += chunk;
          });
          response.on("end", () => {
            const status = String(response.statusCode);
            statuses[status] = (statuses[status] ?? 0) + 1;
            if (response.statusCode === 200) bodies[body] = (bodies[body] ?? 0) + 1;
            end(accepts({ status: Number(status), body, sentAt: at }) ? undefined : status);
          });
          response.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
          response.on("aborted", () => end("aborted"));
        },
      );
      call.on("timeout", () => {
        end("timeout");
        call.destroy();
      });
      call.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
      call.end();
    });

  const pause = () =>
    options.pauseMs === undefined ? undefined : new Promise<void>((resolve) => setTimeout(resolve, options.pauseMs));
  const clients = [...Array(options.keepAlive + options.oneShot).keys()].map(async (index) => {
    const keeps = index < options.keepAlive;
    const kept = { keepAlive: true, maxSockets: 1 };
    const agent = keeps && (options.tls === undefined ? new Agent(kept) : new TlsAgent(kept));
    while (!stopped) {
      await ask(agent, keeps ? "keep-alive" : "one-shot");
      await pause();
    }
    if (agent !== false) agent.destroy();
  });

  const report = (): LoadReport => ({
    sent,
    statuses: { ...statuses },
    failures: [...failures],
    slowestMs,
    bodies: { ...bodies },
    seconds: (performance.now() - started) / 1_000,
  });
  return {
    report,
    stop: async () => {
      stopped = true;
      await Promise.all(clients);
      return report();
    },
  };
}
