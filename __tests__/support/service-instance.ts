import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createH2cServer, createSecureServer, type Http2ServerRequest } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { gzipSync } from "node:zlib";

export interface ServiceInstanceOptions {
  /** Default: `http`. `h2c` is HTTP/2 without TLS; `https` and `h2` need a certificate. */
  readonly protocol?: "http" | "https" | "h2" | "h2c";
  /** PEM. */
  readonly certificate?: { readonly certificate: string; readonly key: string };
  /** Whether each connection begins with a header of the PROXY protocol. */
  readonly proxyProtocol?: boolean;
  /** Default: a free one. */
  readonly port?: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string | undefined;
  readonly version: string;
  /** The name that was asked for by SNI. */
  readonly sni?: string;
}

/**
 * An instance that does what it is asked for:
 *
 *     /health          the status of `health`
 *     /headers         the headers it was sent, as JSON
 *     /slow?ms=N       its name, N ms later
 *     /page?type=T     a page of that media type, long enough to be compressed
 *     /drop            cuts the connection
 *     an upgrade       is accepted, and then nothing happens
 *     all else         its name
 */
export interface ServiceInstance {
  readonly name: string;
  readonly port: number;
  /** Status of /health. */
  health: number;
  /** All requests, HAProxy's checks among them. */
  readonly seen: readonly SeenRequest[];
  /** Headers of the PROXY protocol: text of version 1, `v2 <command>` of version 2. */
  readonly proxyHeaders: readonly string[];
  /** The most requests that were open at once. */
  mostOpen(): number;
  stop(): Promise<void>;
}

type Request = IncomingMessage | Http2ServerRequest;

export async function startServiceInstance(
  name: string,
  { protocol = "http", certificate, proxyProtocol = false, port = 0 }: ServiceInstanceOptions = {},
): Promise<ServiceInstance> {
  const seen: SeenRequest[] = [];
  const proxyHeaders: string[] = [];
  const sockets = new Set<Socket>();
  let open = 0;
  let mostOpen = 0;
  const state = { health: 200 };
  const answer = (request: Request, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://instance");
    const sni = (request.socket as TLSSocket).servername;
    seen.push({
      method: request.method ?? "",
      path: pathname,
      host: request.headers.host ?? (request.headers[":authority"] as string | undefined),
      version: request.httpVersion,
      ...(typeof sni === "string" && { sni }),
    });
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    response.on("close", () => {
      open -= 1;
    });
    request.resume();
    response.setHeader("X-Powered-By", "tests");
    if (pathname === "/health") response.writeHead(state.health).end();
    else if (pathname === "/headers") response.end(JSON.stringify(request.headers));
    else if (pathname === "/slow") setTimeout(() => response.end(name), Number(searchParams.get("ms") ?? 0));
    else if (pathname === "/drop") request.socket.destroy();
    else if (pathname === "/page") {
      response.setHeader("Content-Type", searchParams.get("type") ?? "text/html");
      const page = `${name} `.repeat(400);
      if (searchParams.get("zipped") === null) response.end(page);
      else response.setHeader("Content-Encoding", "gzip").end(gzipSync(page));
    } else response.end(name);
  };
  const server = serverOf(protocol, certificate).on("request", answer);
  server.on("upgrade", (_request, socket: Socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tests\r\n\r\n");
  });
  const listening = proxyProtocol ? behindProxyHeader(server, proxyHeaders) : server;
  listening.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    listening.once("error", reject);
    listening.listen(port, "127.0.0.1", resolve);
  });
  return Object.assign(state, {
    name,
    port: (listening.address() as AddressInfo).port,
    seen,
    proxyHeaders,
    mostOpen: () => mostOpen,
    stop: () =>
      new Promise<void>((resolve) => {
        listening.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  });
}

function serverOf(
  protocol: NonNullable<ServiceInstanceOptions["protocol"]>,
  certificate: ServiceInstanceOptions["certificate"],
): Server {
  const credentials = { cert: certificate?.certificate, key: certificate?.key };
  switch (protocol) {
    case "http":
      return createServer({ keepAliveTimeout: 60_000 });
    case "h2c":
      return createH2cServer();
    case "https":
      return createHttpsServer(credentials);
    case "h2":
      return createSecureServer(credentials);
  }
}

const signatureOfVersion2 = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

/**
 * A server that takes the PROXY protocol's header off a connection before it hands it on: `PROXY TCP4 …\r\n`, or the
 * signature of 12 bytes, version and command, family, length in two bytes, and so many bytes of addresses.
 */
function behindProxyHeader(inner: Server, headers: string[]): Server {
  return createTcpServer((socket) => {
    socket.once("data", (chunk: Buffer) => {
      socket.pause();
      let end: number;
      if (chunk.subarray(0, 12).equals(signatureOfVersion2)) {
        headers.push(`v2 ${(chunk[12] ?? 0) & 0x0f}`);
        end = 16 + chunk.readUInt16BE(14);
      } else {
        end = chunk.indexOf("\r\n") + 2;
        headers.push(chunk.subarray(0, Math.max(end - 2, 0)).toString());
      }
      if (end < chunk.length) socket.unshift(chunk.subarray(end));
      inner.emit("connection", socket);
      socket.resume();
    });
  });
}
