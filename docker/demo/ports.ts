import { createServer } from "node:net";
import { systemErrorCode } from "../../src/support/errors.ts";

export interface FoundPort {
  readonly port: number;
  /** Why it is not the one that was wanted; absent when it is. */
  readonly note?: string;
}

/**
 * The first port that can be bound on all addresses, from `wanted` upwards. Where `wanted` is a privileged port that
 * cannot be had, the search goes on at `8000 + wanted` (80 → 8080).
 *
 * @param taken ports that are given away already; the found one is added
 * @throws Error when none of two hundred can be bound
 */
export async function findPort(what: string, wanted: number, taken: Set<number>): Promise<FoundPort> {
  let reason: string | undefined;
  let candidate = wanted;
  for (let attempt = 0; attempt < 200 && candidate <= 65535; attempt += 1) {
    const state = taken.has(candidate) ? "in use" : await tryPort(candidate);
    if (state === "free") {
      taken.add(candidate);
      if (reason === undefined) return { port: candidate };
      return { port: candidate, note: `Port ${wanted} ${reason}; ${what} takes ${candidate}.` };
    }
    reason ??= state === "in use" ? "is in use" : "needs more rights than this user has";
    candidate = candidate < 1024 ? 8000 + candidate : candidate + 1;
  }
  throw new Error(`no free port for ${what} from ${wanted} upwards; end what holds them, or choose another port`);
}

/** A port nobody uses, wherever the system has one. */
export async function anyPort(taken: Set<number>): Promise<number> {
  for (;;) {
    const port = await listenOnce(0, "127.0.0.1");
    if (!taken.has(port)) {
      taken.add(port);
      return port;
    }
  }
}

async function tryPort(port: number): Promise<"free" | "in use" | "forbidden"> {
  try {
    // The wildcard of both families: it clashes with a listener on any address.
    await listenOnce(port, "::").catch((error) => {
      const code = systemErrorCode(error);
      if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") throw error;
      return listenOnce(port, "0.0.0.0");
    });
    return "free";
  } catch (thrown) {
    const code = systemErrorCode(thrown);
    if (code === "EADDRINUSE") return "in use";
    if (code === "EACCES" || code === "EPERM") return "forbidden";
    throw thrown;
  }
}

function listenOnce(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : port));
    });
  });
}
