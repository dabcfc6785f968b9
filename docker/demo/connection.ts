import { join } from "node:path";
import { Child } from "./child.ts";
import type { Traffic } from "./traffic.ts";

export interface ConnectionOptions {
  /** `127.0.0.1:5000` */
  readonly address: string;
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: string;
}

/** Between two calls of the client, ms. */
const everyMs = 50;

/** Traffic of the gRPC client of `docker/hello`: one HTTP/2 connection, one call after the other, each answered by whose turn it is. */
export function openConnection({ address, root, env, log }: ConnectionOptions): Traffic {
  const client = new Child("The client", {
    command: process.execPath,
    args: [join(root, "docker/hello/client.js"), address],
    cwd: root,
    env: { ...env, EVERY_MS: String(everyMs) },
    log,
  });
  const answers = new Map<string, number>();
  let failed = 0;
  // What fails before there is anybody to answer is no failure of the traffic.
  client.onLine((line) => {
    const name = /^Hello from (\S+)\.$/.exec(line)?.[1];
    if (name !== undefined) answers.set(name, (answers.get(name) ?? 0) + 1);
    else if (answers.size > 0 && line.startsWith("failed")) failed += 1;
  });
  return {
    awaitAnswers: async (names, { clock, timeoutMs, signal }) => {
      const before = new Map(answers);
      const silent = () => names.filter((name) => (answers.get(name) ?? 0) === (before.get(name) ?? 0));
      const deadline = clock.now() + timeoutMs;
      while (silent().length > 0 && clock.now() < deadline) await clock.sleep(10, signal);
      return silent();
    },
    summary: () => {
      const counted = [...answers].map(([name, count]) => `${name} ${count}`).sort();
      return `Answers on the one connection: ${counted.join(", ") || "none"}; failed calls: ${failed}.`;
    },
    kill: () => client.kill(),
  };
}
