import { connect, createServer, type Socket } from "node:net";
import { freePort } from "./free-port.ts";

/**
 * What becomes of the bytes. `black-hole`: connections are taken, and what goes in either direction is swallowed; those
 * of that time are dead for good, as behind a firewall that forgot them. `refuse`: nobody listens, and what was open is
 * cut. `reset`: each connection is reset at once. `slow`: each chunk waits.
 */
export type TcpMode = "pass" | "black-hole" | "refuse" | "reset" | "slow";

export interface TcpProxy {
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
  readonly port: number;
  /** Takes effect on what is open too, and resolves when it has. */
  become(mode: TcpMode): Promise<void>;
  /** Connections that are open on the client's side. */
  open(): number;
  stop(): Promise<void>;
}

const slowMs = 300;

/** A path to a port of 127.0.0.1 that can be broken. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  let mode: TcpMode = "pass";
  const pairs = new Set<{ readonly client: Socket; readonly far: Socket | undefined; dead: boolean }>();

  const server = createServer({ noDelay: true }, (client) => {
    client.on("error", () => undefined);
    if (mode === "reset") {
      client.resetAndDestroy();
      return;
    }
    const hole = mode === "black-hole";
    const far = hole ? undefined : connect({ port: target, host: "127.0.0.1", noDelay: true });
    const pair = { client, far, dead: hole };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      far?.destroy();
    };
    client.on("close", end);
    if (far === undefined) {
      client.resume();
      return;
    }
    // The end of the far side is not told through a hole.
    far.on("close", () => (pair.dead ? far.destroy() : end()));
    far.on("error", () => undefined);
    const carry = (from: Socket, to: Socket) =>
      from.on("data", (chunk) => {
        if (pair.dead) return;
        if (mode === "slow") setTimeout(() => to.destroyed || to.write(chunk), slowMs);
        else to.write(chunk);
      });
    carry(client, far);
    carry(far, client);
  });

  let port = await freePort();
  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        resolve();
      });
    });
  const unlisten = () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const { client } of [...pairs]) client.resetAndDestroy();
    return closed;
  };
  await listen().catch(async () => {
    port = await freePort();
    await listen();
  });

  return {
    address: `http://127.0.0.1:${port}`,
    port,
    open: () => pairs.size,
    become: async (next) => {
      const before = mode;
      mode = next;
      if (next === "black-hole") for (const pair of pairs) pair.dead = true;
      if (next === "reset") for (const { client } of [...pairs]) client.resetAndDestroy();
      if (next === "refuse" && before !== "refuse") await unlisten();
      if (next !== "refuse" && before === "refuse") await listen();
    },
    stop: async () => {
      if (mode === "refuse") return;
      await unlisten();
    },
  };
}
