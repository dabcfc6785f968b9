import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** One client on one kept connection that asks without pause, never again for the same, and tells who answered last. */
export interface AskingClient {
  /** Resolves with the moment of the first answer of this instance from now on. */
  firstAnswerOf(name: string, timeoutMs: number): Promise<number>;
  /** The moment of the newest answer of this instance, of all time. */
  lastAnswerOf(name: string): number;
  readonly failures: string[];
  /** Goes on asking, or rests. */
  setAsking(asking: boolean): void;
  stop(): Promise<void>;
}

/** Moments are `performance.now()`. */
export function startAsking(port: number, host: string): AskingClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const last = new Map<string, number>();
  const failures: string[] = [];
  let waiting: { name: string; resolve: (at: number) => void } | undefined;
  let stopped = false;
  let asking = true;

  const ask = () =>
    new Promise<void>((resolve) => {
      const call = request({ host: "127.0.0.1", port, headers: { host }, agent }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          body += chunk;
        });
        response.on("end", () => {
          const now = performance.now();
          if (response.statusCode !== 200) failures.push(String(response.statusCode));
          last.set(body, now);
          if (waiting?.name === body) {
            waiting.resolve(now);
            waiting = undefined;
          }
          resolve();
        });
      });
      call.on("error", (error: NodeJS.ErrnoException) => {
        failures.push(error.code ?? error.message);
        resolve();
      });
      call.end();
    });
  const loop = (async () => {
    while (!stopped) {
      if (asking) await ask();
      else await sleep(5);
    }
    agent.destroy();
  })();

  return {
    firstAnswerOf: (name, timeoutMs) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${name} did not answer within ${timeoutMs} ms`)), timeoutMs);
        waiting = {
          name,
          resolve: (at) => {
            clearTimeout(timer);
            resolve(at);
          },
        };
      }),
    lastAnswerOf: (name) => last.get(name) ?? Number.NEGATIVE_INFINITY,
    failures,
    setAsking: (on) => {
      asking = on;
    },
    stop: async () => {
      stopped = true;
      await loop;
    },
  };
}
