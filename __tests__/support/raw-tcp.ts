import { connect, createServer, type Server, type Socket } from "node:net";

/** A connection of 127.0.0.1 whose bytes a test writes and reads by itself. */
export interface RawConnection {
  readonly socket: Socket;
  write(bytes: string | Buffer): void;
  /** All that came so far. */
  received(): Buffer;
  /** Resolves with all that came, as soon as that satisfies the test; rejects after 10 s, or at the end without it. */
  until(test: (received: Buffer) => boolean): Promise<Buffer>;
  /** Resolves with all that came once the other side has closed. */
  readonly closed: Promise<Buffer>;
  destroy(): void;
}

/**
 * @param from the address it comes from. Default: 127.0.0.1
 * @param to the address it goes to. Default: 127.0.0.1
 */
export async function rawConnection(port: number, from = "127.0.0.1", to = "127.0.0.1"): Promise<RawConnection> {
  const socket = connect({ host: to, port, localAddress: from });
  let received = Buffer.alloc(0);
  let over = false;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const one of [...waiting]) one();
  };
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  // A reset is an end like any other here; what came before it counts.
  socket.on("error", () => undefined);
  const closed = new Promise<Buffer>((resolve) => {
    socket.on("close", () => {
      over = true;
      wake();
      resolve(received);
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return {
    socket,
    write: (bytes) => {
      socket.write(bytes);
    },
    received: () => received,
    until: (test) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          clearTimeout(timer);
          waiting.delete(look);
          settle();
        };
        const so = () => `, so far: ${JSON.stringify(received.toString("latin1").slice(-500))}`;
        const look = () => {
          if (test(received)) end(() => resolve(received));
          else if (over) end(() => reject(new Error(`the connection ended before that${so()}`)));
        };
        const timer = setTimeout(() => end(() => reject(new Error(`not within 10 s${so()}`))), 10_000);
        waiting.add(look);
        look();
      }),
    closed,
    destroy: () => socket.destroy(),
  };
}

/** Sends these bytes and gives back all that comes until the other side closes. */
export async function exchange(port: number, bytes: string | Buffer, from?: string, to?: string): Promise<string> {
  const connection = await rawConnection(port, from, to);
  connection.write(bytes);
  return (await connection.closed).toString("latin1");
}

/** Whether somebody accepts connections at this port of 127.0.0.1. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** A server of bytes on a free port of 127.0.0.1. */
export interface RawServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function rawServer(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on no port");
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
