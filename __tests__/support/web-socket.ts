import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type RawConnection, rawConnection } from "./raw-tcp.ts";

/** RFC 6455, 1.3. */
const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** A web server whose only answer is a WebSocket that says its name and then echoes what it is sent. */
export interface WebSocketServer {
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

export async function startWebSocketServer(name: string): Promise<WebSocketServer> {
  const sockets = new Set<Socket>();
  const server = createServer((_request, response) => response.writeHead(426).end());
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (request, socket: Socket) => {
    const key = request.headers["sec-websocket-key"];
    const accept = createHash("sha1").update(`${key}${magic}`).digest("base64");
    const head = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"];
    socket.write(`${[...head, `Sec-WebSocket-Accept: ${accept}`].join("\r\n")}\r\n\r\n`);
    socket.write(textFrame(name, false));
    let bytes: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const { texts, rest } = readFrames(bytes);
      bytes = rest;
      for (const text of texts) socket.write(textFrame(text, false));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    name,
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** A WebSocket of a client. */
export interface WebSocketClient {
  /** The name of who answered. */
  readonly server: string;
  /** Sends a text and waits until it has come back. */
  echo(text: string): Promise<void>;
  close(): void;
}

export async function openWebSocket(port: number, host: string): Promise<WebSocketClient> {
  const connection = await rawConnection(port);
  const key = randomBytes(16).toString("base64");
  const head = ["GET /socket HTTP/1.1", `Host: ${host}`, "Connection: Upgrade", "Upgrade: websocket"];
  connection.write(`${[...head, "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`].join("\r\n")}\r\n\r\n`);
  const answer = await connection.until((bytes) => bytes.includes("\r\n\r\n"));
  const accept = createHash("sha1").update(`${key}${magic}`).digest("base64");
  const start = answer.indexOf("\r\n\r\n") + 4;
  const answered = answer.subarray(0, start).toString();
  if (!/^HTTP\/1\.1 101/.test(answered) || !answered.includes(accept)) throw new Error(`no WebSocket: ${answered}`);
  const texts = (bytes: Buffer) => readFrames(bytes.subarray(start)).texts;
  const server = await received(connection, texts, 0);
  let count = 0;
  return {
    server,
    echo: async (text) => {
      count += 1;
      connection.write(textFrame(text, true));
      const back = await received(connection, texts, count);
      if (back !== text) throw new Error(`${JSON.stringify(back)} came back for ${JSON.stringify(text)}`);
    },
    close: () => connection.destroy(),
  };
}

async function received(connection: RawConnection, texts: (bytes: Buffer) => readonly string[], at: number) {
  return texts(await connection.until((bytes) => texts(bytes).length > at))[at] ?? "";
}

/** One text of less than 126 bytes (RFC 6455, 5.2). Clients mask what they send. */
function textFrame(text: string, masked: boolean): Buffer {
  const payload = Buffer.from(text);
  if (payload.length > 125) throw new Error("too long for a frame of this codec");
  if (!masked) return Buffer.concat([Buffer.from([0x81, payload.length]), payload]);
  const mask = randomBytes(4);
  const hidden = payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, hidden]);
}

/** The texts of whole frames, and what is left of one that is not. */
function readFrames(bytes: Buffer): { readonly texts: readonly string[]; readonly rest: Buffer } {
  const texts: string[] = [];
  let at = 0;
  while (bytes.length - at >= 2) {
    const second = bytes[at + 1] ?? 0;
    const [length, masked] = [second & 0x7f, (second & 0x80) !== 0];
    const start = at + 2 + (masked ? 4 : 0);
    if (bytes.length < start + length) break;
    const mask = bytes.subarray(at + 2, start);
    const payload = bytes.subarray(start, start + length);
    texts.push(Buffer.from(masked ? payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)) : payload).toString());
    at = start + length;
  }
  return { texts, rest: bytes.subarray(at) };
}
