import { rename } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";

/**
 * What happens to what passes a proxy:
 *
 * - `none`: nothing
 * - `cut`: commands go through; the connection breaks in the middle of the answer to the first that has one
 * - `swallow`: commands go through, their answers do not
 * - `slow`: answers come so late that nobody waits for them any more, all of them in their order
 * - `garbage`: answers come with something else in front of them
 * - `refuse`: a connection breaks as soon as it is made
 */
export type SocketFault = "none" | "cut" | "swallow" | "slow" | "garbage" | "refuse";

/** Stands in the place of a Unix socket that a process listens on. */
export interface SocketProxy {
  /** For connections from now on, and those that are open. */
  fault: SocketFault;
  /** Connections that met a fault. */
  spoilt(): number;
  stop(): Promise<void>;
}

const slowMs = 8_000;

/** Renames the socket's file and listens in its place. Connections made before go on without it. */
export async function proxySocket(socketPath: string): Promise<SocketProxy> {
  const behind = `${socketPath}.behind`;
  await rename(socketPath, behind);
  const open = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const spoilt = new Set<Socket>();
  const proxy = { fault: "none" as SocketFault };
  const server = createServer((front) => {
    const back = connect(behind);
    for (const socket of [front, back]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        open.delete(socket);
        front.destroy();
        back.destroy();
      });
    }
    if (proxy.fault === "refuse") {
      spoilt.add(front);
      front.destroy();
      return;
    }
    let asked = 0;
    // A stream loses nothing in its middle: what has begun to go wrong on a connection goes on so.
    let begun: SocketFault = "none";
    front.on("data", (chunk) => {
      asked += 1;
      back.write(chunk);
    });
    back.on("data", (chunk: Buffer) => {
      // The answer to `prompt` is of no use to spoil: it would only be a connection that cannot be made.
      if (begun === "none" && asked > 1) begun = proxy.fault;
      const fault = begun;
      if (fault === "none") {
        front.write(chunk);
        return;
      }
      spoilt.add(front);
      if (fault === "cut") front.write(chunk.subarray(0, Math.floor(chunk.length / 2)), () => front.destroy());
      else if (fault === "garbage") front.write(Buffer.concat([Buffer.from("[3]: \u0000 what?\n> \n> "), chunk]));
      else if (fault === "slow") timers.add(setTimeout(() => front.write(chunk), slowMs));
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return Object.assign(proxy, {
    spoilt: () => spoilt.size,
    stop: async () => {
      for (const timer of timers) clearTimeout(timer);
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
