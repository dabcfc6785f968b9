import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/**
 * What becomes of the answers: as they are; 500; 429; a page with 200; half of the body, then the connection breaks; a
 * body of 100 MB, announced or not.
 */
export type HttpFault = "none" | "500" | "429" | "html" | "cut" | "huge" | "huge-chunked";

export interface HttpProxy {
  readonly address: string;
  /** From now on, for what is asked and for what waits. */
  become(fault: HttpFault): void;
  /** Requests that came while the answers were wrong. */
  spoiled(): number;
  stop(): Promise<void>;
}

const hugeBytes = 100 * 1024 * 1024;
const spaces = Buffer.alloc(64 * 1024, " ");

/** Stands before an HTTP server on 127.0.0.1 and spoils its answers. */
export async function startHttpProxy(target: number): Promise<HttpProxy> {
  let fault: HttpFault = "none";
  let spoiled = 0;
  const sockets = new Set<Socket>();
  /** Requests that are held by the server behind. */
  const waiting = new Set<() => void>();

  const spoil = (response: ServerResponse) => {
    if (response.headersSent || response.destroyed) return;
    spoiled += 1;
    const headers = { "content-type": "application/json", "x-consul-index": "99999999" };
    if (fault === "500" || fault === "429") response.writeHead(Number(fault)).end("spoiled");
    else if (fault === "html") {
      response.writeHead(200, { ...headers, "content-type": "text/html" }).end("<html>log in first</html>");
    } else if (fault === "cut") {
      response.writeHead(200, { ...headers, "content-length": "1000" });
      response.write('[{"Node":{"Node":', () => response.socket?.destroy());
    } else {
      response.writeHead(200, { ...headers, ...(fault === "huge" ? { "content-length": String(hugeBytes) } : {}) });
      pour(response);
    }
  };

  const server = createServer((incoming: IncomingMessage, response) => {
    if (fault !== "none") {
      spoil(response);
      return;
    }
    const { method, url, headers } = incoming;
    const far = request({ host: "127.0.0.1", port: target, method, path: url, headers, agent: false }, (answer) => {
      waiting.delete(instead);
      if (response.destroyed || response.headersSent) return;
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    const instead = () => {
      spoil(response);
      far.destroy();
    };
    waiting.add(instead);
    far.on("error", () => {
      waiting.delete(instead);
      if (!response.headersSent) response.destroy();
    });
    response.on("close", () => {
      waiting.delete(instead);
      far.destroy();
    });
    incoming.pipe(far);
  });
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;

  return {
    address: `http://127.0.0.1:${port}`,
    become: (next) => {
      fault = next;
      if (next === "none") return;
      for (const instead of [...waiting]) instead();
      waiting.clear();
    },
    spoiled: () => spoiled,
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** At 32 MB a second, for whoever pours asks for the clients too, and must not run short of time. */
function pour(response: ServerResponse): void {
  let left = hugeBytes;
  const more = () => {
    if (response.destroyed) return;
    left -= spaces.length;
    if (left <= 0) response.end(spaces);
    else response.write(spaces, () => setTimeout(more, 2));
  };
  more();
}
