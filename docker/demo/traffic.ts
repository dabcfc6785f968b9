import { get } from "node:http";
import type { Clock } from "../../src/support/clock.ts";

/** One request, on a connection of its own: the name of the instance that answered; undefined for any other answer. */
function askOnce(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 1000 }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => {
        resolve(response.statusCode === 200 ? /^Hello from (\S+)/.exec(body)?.[1] : undefined);
      });
      response.on("error", () => resolve(undefined));
    });
    request.on("timeout", () => request.destroy(new Error("no answer within a second")));
    request.on("error", () => resolve(undefined));
  });
}

/**
 * Asks `url` until each of `names` has answered.
 *
 * @returns those that have not within `timeoutMs`; empty when all have
 */
export async function awaitAnswers(
  url: string,
  names: readonly string[],
  { clock, timeoutMs, signal }: { readonly clock: Clock; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const silent = new Set(names);
  const deadline = clock.now() + timeoutMs;
  while (silent.size > 0 && clock.now() < deadline) {
    const name = await askOnce(url);
    // Someone answered, so the next one may be asked at once; else there is nothing to hurry for.
    if (name === undefined || !silent.delete(name)) await clock.sleep(10, signal);
    signal.throwIfAborted();
  }
  return [...silent];
}
