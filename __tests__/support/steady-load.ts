import { request } from "node:http";

export interface SteadyLoadOptions {
  /** Of 127.0.0.1. */
  readonly port: number;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly perSecond: number;
  readonly seconds: number;
  /** How long a client waits for the whole of its answer. */
  readonly timeoutMs: number;
}

export interface SteadyLoadReport {
  readonly sent: number;
  /** Answers with status 200 that came whole. */
  readonly succeeded: number;
  /** Of those: from the connection's begin to the answer's last byte. 0 where there are none. */
  readonly averageMs: number;
  readonly slowestMs: number;
  /** What was no success, by status or by the error's code. */
  readonly failures: Readonly<Record<string, number>>;
  /** The bytes of the bodies that came. */
  readonly bytes: number;
  /** Who answered, by `name` of the options below; how often. */
  readonly answeredBy: Readonly<Record<string, number>>;
  /** How late the latest request was sent: a client that is short of processor measures itself. */
  readonly latestSendMs: number;
}

/**
 * An open loop: so many requests a second, evenly, whatever became of those before, each on a connection of its own and
 * never tried again. Resolves when the last is answered or has been given up.
 *
 * @param name finds in an answer's body who gave it
 */
export async function steadyLoad(
  options: SteadyLoadOptions,
  name: (body: string) => string | undefined,
): Promise<SteadyLoadReport> {
  const total = options.perSecond * options.seconds;
  const everyMs = 1_000 / options.perSecond;
  const failures: Record<string, number> = {};
  const answeredBy: Record<string, number> = {};
  const took: number[] = [];
  let [bytes, latestSendMs] = [0, 0];

  const one = async () => {
    const begin = performance.now();
    const answer = await ask(options);
    bytes += answer.body.length;
    if (answer.problem !== undefined) {
      failures[answer.problem] = (failures[answer.problem] ?? 0) + 1;
      return;
    }
    took.push(performance.now() - begin);
    const who = name(answer.body) ?? "nobody";
    answeredBy[who] = (answeredBy[who] ?? 0) + 1;
  };

  const all: Promise<void>[] = [];
  const started = performance.now();
  while (all.length < total) {
    const now = performance.now() - started;
    while (all.length < total && all.length * everyMs <= now) {
      latestSendMs = Math.max(latestSendMs, now - all.length * everyMs);
      all.push(one());
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, all.length * everyMs - now)));
  }
  await Promise.all(all);
  return {
    sent: all.length,
    succeeded: took.length,
    averageMs: took.length === 0 ? 0 : took.reduce((sum, ms) => sum + ms, 0) / took.length,
    slowestMs: Math.max(0, ...took),
    failures,
    bytes,
    answeredBy,
    latestSendMs,
  };
}

interface Asked {
  readonly body: string;
  /** undefined: a success */
  readonly problem?: string;
}

/** Never rejects. */
function ask({ port, path, headers, timeoutMs }: SteadyLoadOptions): Promise<Asked> {
  return new Promise((resolve) => {
    let body = "";
    const signal = AbortSignal.timeout(timeoutMs);
    const fail = (error: NodeJS.ErrnoException) =>
      resolve({ body, problem: signal.aborted ? "given up by the client" : (error.code ?? error.message) });
    const outgoing = request(
      { host: "127.0.0.1", port, path, agent: false, signal, ...(headers !== undefined && { headers }) },
      (incoming) => {
        // One byte is one character.
        incoming.setEncoding("latin1").on("data", (chunk: string) => {
          body += chunk;
        });
        // An answer that is cut short ends with an error.
        incoming.on("end", () =>
          resolve(incoming.statusCode === 200 ? { body } : { body, problem: String(incoming.statusCode) }),
        );
        incoming.on("error", fail);
      },
    );
    outgoing.on("error", fail);
    outgoing.end();
  });
}
