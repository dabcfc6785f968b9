import { mkdir, writeFile } from "node:fs/promises";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import path from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { makeCertificate } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { GrpcEchoClient, startGrpcEcho } from "../support/grpc-echo.ts";
import { OptionsScene } from "../support/options-scene.ts";
import { type PostgresSession, postgresSession, startPostgres } from "../support/postgres.ts";
import { exchange } from "../support/raw-tcp.ts";
import { eventually, workerPid } from "../support/sluice.ts";
import { ask } from "../support/system.ts";
import { openWebSocket, startWebSocketServer } from "../support/web-socket.ts";

/** What clients and services may speak, each with real traffic: one operator, one HAProxy. */

jest.setTimeout(120_000);

let world: OptionsScene;
let httpsPort: number;
let postgresPort: number;

beforeAll(async () => {
  [httpsPort, postgresPort] = [await freePort(), await freePort()];
  world = await OptionsScene.begin(async ({ directory }) => {
    const certificates = path.join(directory, "certificates");
    await mkdir(certificates);
    await writeFile(path.join(certificates, "all.pem"), (await makeCertificate({ names: ["*.service.local"] })).pem);
    return {
      http: { acceptProxy: "127.0.0.3" },
      https: { bind: `127.0.0.1:${httpsPort}`, certificates },
      tcp: { bind: "127.0.0.1" },
    };
  });
  const { add, scene } = world;
  await add("web", ["haproxy.enable=true"]);
  await add("h2c", ["haproxy.protocol=h2c"], { protocol: "h2c" });
  for (const name of ["grpc-1", "grpc-2"]) await addGrpc(name);
  for (const name of ["socket-1", "socket-2"]) await addWebSocket(name);
  const postgres = await startPostgres("sluice-test");
  scene.defer(() => postgres.stop());
  await world.join("postgres", ["haproxy.mode=tcp", `haproxy.listen=${postgresPort}`], postgres);
  await world.run();
});
afterAll(() => world?.end());

async function addGrpc(name: string): Promise<void> {
  const instance = await startGrpcEcho(name);
  world.scene.defer(() => instance.stop());
  await world.join("grpc", ["haproxy.protocol=grpc"], instance);
}

async function addWebSocket(name: string): Promise<void> {
  const instance = await startWebSocketServer(name);
  world.scene.defer(() => instance.stop());
  await world.join("socket", ["haproxy.enable=true"], instance);
}

function grpc(): GrpcEchoClient {
  const client = new GrpcEchoClient(world.home.httpPort, "grpc.service.local");
  world.scene.defer(async () => client.close());
  return client;
}

async function postgres(): Promise<PostgresSession> {
  const session = postgresSession(postgresPort);
  world.scene.defer(() => session.end());
  return session;
}

/** One request over HTTP/2. */
function askHttp2(
  session: ClientHttp2Session,
  host: string,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": "/", ":authority": host });
    let [code, body] = [0, ""];
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    stream.on("response", (headers) => {
      code = headers[":status"] ?? 0;
    });
    stream.setTimeout(10_000, () => stream.destroy(new Error("no answer within 10 s")));
    stream.on("end", () => resolve({ status: code, body })).on("error", reject);
    stream.end();
  });
}

async function http2Session(url: string): Promise<ClientHttp2Session> {
  const session = connectHttp2(url, { rejectUnauthorized: false, servername: "web.service.local" });
  world.scene.defer(async () => session.destroy());
  await new Promise<void>((resolve, reject) => {
    session.once("connect", () => resolve()).once("error", reject);
  });
  return session;
}

describe("HTTP", () => {
  test("1.1, and 1.0", async () => {
    expect(await ask(world.home.httpPort, { host: "web.service.local" })).toMatchObject({ status: 200, body: "web" });
    const answer = await exchange(world.home.httpPort, "GET / HTTP/1.0\r\nHost: web.service.local\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.[01] 200 .*\r\n\r\nweb$/s);
  });

  test.each(["without TLS, known beforehand (h2c)", "over TLS"])(
    "2 %s: many requests over one connection",
    async (how) => {
      const { home } = world;
      const url = how === "over TLS" ? `https://127.0.0.1:${httpsPort}` : `http://127.0.0.1:${home.httpPort}`;
      const session = await http2Session(url);
      const hosts = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? "web" : "h2c"));
      const answers = await Promise.all(hosts.map((name) => askHttp2(session, `${name}.service.local`)));
      expect(answers).toEqual(hosts.map((body) => ({ status: 200, body })));
      expect(session.alpnProtocol).toBe(how === "over TLS" ? "h2" : "h2c");
      // The service gets the version that it speaks.
      expect(world.instance("web").seen.at(-1)?.version).toBe("1.1");
      expect(world.instance("h2c").seen.at(-1)?.version).toBe("2.0");
    },
  );

  test("a client's version is not the service's", async () => {
    expect(await ask(world.home.httpPort, { host: "h2c.service.local" })).toMatchObject({ body: "h2c" });
    expect(world.instance("h2c").seen.at(-1)?.version).toBe("2.0");
  });

  test("behind a load balancer that speaks the PROXY protocol", async () => {
    const asked = "GET /headers HTTP/1.0\r\nHost: web.service.local\r\n\r\n";
    const header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n";
    expect(await exchange(world.home.httpPort, `${header}${asked}`, "127.0.0.3")).toContain('"x-real-ip":"192.0.2.7"');
    expect(await exchange(world.home.httpPort, asked, "127.0.0.3")).toBe("");
  });
});

describe("gRPC", () => {
  test("unary calls of one connection reach every instance", async () => {
    const client = grpc();
    const names = new Set<string>();
    for (let count = 0; count < 20; count += 1) names.add((await client.name({ text: "hello" })).name);
    expect([...names].sort()).toEqual(["grpc-1", "grpc-2"]);
  });

  test("an error comes with its code and its words", async () => {
    await expect(grpc().name({ text: "fail" })).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: "no such thing",
    });
  });

  test("a server's stream comes as it is sent, and a reload does not end it", async () => {
    const [client, worker] = [grpc(), await workerPid(world.home)];
    const stream = client.count({ text: "tick", answers: 60, everyMs: 50 });
    await world.reload();
    expect(await workerPid(world.home)).not.toBe(worker);
    const answers = await stream;
    expect(answers.map(({ number }) => number)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    expect(new Set(answers.map(({ name }) => name)).size).toBe(1);
  });

  test("both sides of a stream talk in turn", async () => {
    const texts = Array.from({ length: 50 }, (_, index) => `word ${index}`);
    expect((await grpc().chat(texts)).map(({ text }) => text)).toEqual(texts);
  });
});

test("a WebSocket lasts while other instances come and go", async () => {
  const sockets = await Promise.all(
    Array.from({ length: 4 }, () => openWebSocket(world.home.httpPort, "socket.service.local")),
  );
  for (const socket of sockets) world.scene.defer(async () => socket.close());
  expect([...new Set(sockets.map(({ server }) => server))].sort()).toEqual(["socket-1", "socket-2"]);
  const echo = (text: string) => Promise.all(sockets.map((socket) => socket.echo(text)));
  await echo("hello");
  await world.withoutReload(async () => {
    await addWebSocket("socket-3");
    let count = 0;
    await eventually("the new one", async () => {
      count += 1;
      await echo(`meanwhile ${count}`);
      const other = await openWebSocket(world.home.httpPort, "socket.service.local");
      other.close();
      return other.server === "socket-3";
    });
    await world.remove("socket-3");
    await echo("behind that");
  });
});

describe("PostgreSQL, the real server", () => {
  test("is reached through a port of its own", async () => {
    const session = await postgres();
    expect(await session.query("select current_setting('cluster_name'), 6 * 7")).toBe("sluice-test|42");
    expect(await session.query("select length(repeat('x', 5000000))")).toBe("5000000");
    const rows = await session.query("select string_agg(n::text, ',') from generate_series(1, 100000) n");
    expect(rows.length).toBeGreaterThan(500_000);
  });

  test("keeps its session, and the transaction in it, over a reload", async () => {
    const session = await postgres();
    await session.query("create temp table kept (n int)");
    await session.query("begin");
    await session.query("insert into kept values (1)");
    await world.reload();
    await session.query("insert into kept values (2)");
    await session.query("commit");
    expect(await session.query("select count(*) from kept")).toBe("2");
  });
});
