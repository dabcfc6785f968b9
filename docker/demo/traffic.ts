import { get } from "node:http";
import type { Clock } from "../../src/support/clock.ts";

export interface Patience {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Requests that find out who answers. */
export interface Traffic {
  /**
   * Asks until each of `names` has answered.
   *
   * @returns those that have not within the time; empty when all have
   */
  awaitAnswers(names: readonly string[], patience: Patience): Promise<readonly string[]>;
  /** What is to be told of the requests so far, if anything is. */
  summary?(): string;
  /** Ends at once what is kept open. */
  kill?(): void;
}

/** Traffic of requests to `url`, each on a connection of its own; `name` finds the instance in an answer's body. */
export function requests(url: string, name: (body: string) => string | undefined): Traffic {
  return {
    awaitAnswers: async (names, { clock, timeoutMs, signal }) => {
      const silent = new Set(names);
      const deadline = clock.now() + timeoutMs;
      while (silent.size > 0 && clock.now() < deadline) {
        const who = await askOnce(url, name);
        // Someone answered, so the next one may be asked at once; else there is nothing to hurry for.
        if (who === undefined || !silent.delete(who)) await clock.sleep(10, signal);
        signal.throwIfAborted();
      }
      return [...silent];
    },
  };
}

/** The name of the instance that answered; undefined for any other answer. */
function askOnce(url: string, name: (body: string) => string | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 1000 }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => resolve(response.statusCode === 200 ? name(body) : undefined));
      response.on("error", () => resolve(undefined));
    });
    request.on("timeout", () => request.destroy(new Error("no answer within a second")));
    request.on("error", () => resolve(undefined));
  });
}
