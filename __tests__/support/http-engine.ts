import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

/** A container as `GET /containers/<id>/json` has it, as far as anybody reads it. */
export interface HttpContainer {
  readonly Id: string;
  readonly Name: string;
  readonly State: Readonly<Record<string, unknown>>;
  readonly Config: Readonly<Record<string, unknown>>;
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly NetworkSettings: Readonly<Record<string, unknown>>;
}

/**
 * What becomes of the answers: as they are; 500; something else with 200; half of one; one without an end; none.
 */
export type EngineFault = "none" | "500" | "garbage" | "cut" | "huge" | "silent";

export interface HttpEngine {
  readonly socketPath: string;
  readonly containers: Map<string, HttpContainer>;
  /** `GET /version…`, one for each request. */
  readonly asked: string[];
  fault: EngineFault;
  /** What the newest version of the API is called. */
  version: string;
  least: string;
  /** Streams of events that are open. */
  streams(): number;
  /** Writes to all streams of events, in pieces as they are given. */
  write(...pieces: readonly string[]): Promise<void>;
  /** One event of a container. */
  tell(action: string, id: string, attributes?: Readonly<Record<string, string>>): Promise<void>;
  /** Breaks all connections. */
  hangUp(): void;
  /** Takes the socket away, as a restart does, or puts it back. */
  become(there: boolean): Promise<void>;
  stop(): Promise<void>;
}

export function httpContainer(id: string, name: string, environment: readonly string[] = []): HttpContainer {
  return {
    Id: id,
    Name: `/${name}`,
    State: { Status: "running", Running: true, Paused: false, Restarting: false, StartedAt: "2026-01-01T00:00:00.5Z" },
    Config: { Image: "team/shop:1", Env: environment, Labels: {}, ExposedPorts: { "80/tcp": {} } },
    HostConfig: { NetworkMode: "default", PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "" }] } },
    NetworkSettings: {
      Ports: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "32768" }] },
      Networks: { bridge: { IPAddress: "172.17.0.2", GlobalIPv6Address: "" } },
    },
  };
}

const endless = Buffer.alloc(64 * 1024, 0x20);

/** A Docker engine of which only the API is there, on a Unix socket. It remembers no event. */
export async function startHttpEngine(): Promise<HttpEngine> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-engine-"));
  const socketPath = path.join(directory, "docker.sock");
  const sockets = new Set<Socket>();
  const streams = new Set<ServerResponse>();
  const engine = {
    fault: "none" as EngineFault,
    version: "1.41",
    least: "1.12",
    containers: new Map<string, HttpContainer>(),
    asked: [] as string[],
  };
  const answerTo = (url: string): unknown => {
    const { pathname } = new URL(url, "http://engine");
    const bare = pathname.replace(/^\/v\d+\.\d+/, "");
    if (bare === "/version") return { ApiVersion: engine.version, MinAPIVersion: engine.least };
    if (bare === "/containers/json") {
      return [...engine.containers.values()].map(({ Id, Name, State, NetworkSettings }) => ({
        Id,
        Names: [Name],
        State: State["Status"],
        Status: "Up 1 second",
        Ports: [],
        NetworkSettings,
      }));
    }
    return engine.containers.get(/^\/containers\/([^/]+)\/json$/.exec(bare)?.[1] ?? "");
  };
  const server = createServer((incoming, response) => {
    engine.asked.push(`${incoming.method} ${incoming.url}`);
    const head = { "content-type": "application/json" };
    if (engine.fault === "500") response.writeHead(500, head).end('{"message":"broken"}');
    else if (engine.fault === "garbage") response.writeHead(200, head).end("<html>log in first</html>");
    else if (engine.fault === "cut") {
      response.writeHead(200, { ...head, "content-length": "1000" });
      response.write('[{"Id":"', () => response.socket?.destroy());
    } else if (engine.fault === "huge") {
      const more = () => {
        if (!response.destroyed) response.write(endless, more);
      };
      response.writeHead(200, head);
      more();
    } else if (engine.fault === "none" && /^\/v[\d.]+\/events\?/.test(incoming.url ?? "")) {
      response.writeHead(200, head).flushHeaders();
      streams.add(response);
      response.on("close", () => streams.delete(response));
    } else if (engine.fault === "none") {
      const answer = answerTo(incoming.url ?? "");
      if (answer === undefined) response.writeHead(404, head).end('{"message":"no such container"}');
      else response.writeHead(200, head).end(JSON.stringify(answer));
    }
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  const listen = () => new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  const unlisten = () => {
    const closed = new Promise((resolve) => server.close(resolve));
    hangUp();
    return closed;
  };
  const write = async (...pieces: readonly string[]) => {
    for (const piece of pieces) {
      await Promise.all([...streams].map((stream) => new Promise((resolve) => stream.write(piece, resolve))));
      // Each piece is to come by itself.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await listen();
  return Object.assign(engine, {
    socketPath,
    streams: () => streams.size,
    write,
    tell: (action: string, id: string, attributes: Readonly<Record<string, string>> = {}) =>
      write(`${eventLine(action, id, attributes)}\n`),
    hangUp,
    become: async (there: boolean) => {
      if (there === server.listening) return;
      if (there) await listen();
      else await unlisten();
    },
    stop: async () => {
      if (server.listening) await unlisten();
      await rm(directory, { recursive: true, force: true });
    },
  });
}

/** One line of `GET /events`, without its end. */
export function eventLine(action: string, id: string, attributes: Readonly<Record<string, string>> = {}): string {
  const timeNano = Date.now() * 1_000_000;
  const time = Math.floor(timeNano / 1_000_000_000);
  const actor = { ID: id, Attributes: { image: "shop", ...attributes } };
  return JSON.stringify({ status: action, id, Type: "container", Action: action, Actor: actor, time, timeNano });
}
