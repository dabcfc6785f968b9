import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface WebInstance {
  readonly name: string;
  readonly port: number;
  /** Requests it has answered. */
  answered(): number;
  /** Stops listening and cuts its connections. */
  stop(): Promise<void>;
}

/** A web server that answers every request with its own name, `delayMs` after it was asked. */
export async function startWebInstance(name: string, port = 0, delayMs = 0): Promise<WebInstance> {
  let answered = 0;
  const server: Server = createServer((_request, response) => {
    answered += 1;
    if (delayMs > 0) setTimeout(() => response.end(name), delayMs);
    else response.end(name);
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    name,
    port: (server.address() as AddressInfo).port,
    answered: () => answered,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A registration of an instance, with a passing check of its own that nothing has to refresh. */
export function registration(
  service: string,
  instance: { readonly name: string; readonly port: number },
  more: Readonly<Record<string, unknown>> = {},
) {
  return {
    Name: service,
    ID: instance.name,
    Address: "127.0.0.1",
    Port: instance.port,
    Tags: ["haproxy.enable=true"],
    Check: { CheckID: `check-${instance.name}`, TTL: "24h", Status: "passing" },
    ...more,
  };
}
