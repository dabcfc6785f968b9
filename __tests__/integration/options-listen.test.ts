import { createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { makeCertificate, shownTo } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { OptionsScene } from "../support/options-scene.ts";
import { accepts, exchange, type RawServer, rawConnection, rawServer } from "../support/raw-tcp.ts";
import { eventually } from "../support/sluice.ts";
import { ask, serversRunning } from "../support/system.ts";

/** `listen` and `mode`: ports of services' own, with HTTP, with bytes passed on, and shared by the names TLS clients ask for. */

jest.setTimeout(120_000);

let world: OptionsScene;
const uses = [
  "http",
  "guarded",
  "both",
  "bytes",
  "allowed",
  "denied",
  "sni",
  "fabio",
  "takenOver",
  "mixed",
  "busy",
  "refused",
] as const;
/** A process of somebody else's. */
const blocker = createServer();
const bytes = new Map<string, RawServer>();
/** A port for each. */
const port = {} as Record<(typeof uses)[number], number>;

beforeAll(async () => {
  for (const use of uses) port[use] = await freePort();
  world = await OptionsScene.begin(async () => ({
    tcp: { bind: "127.0.0.1,127.0.0.7", ports: `10000-${port.refused - 1},${port.refused + 1}-32767` },
  }));
  // On one of the two addresses alone.
  blocker.listen(port.busy, "127.0.0.7");
  world.scene.defer(async () => {
    blocker.close();
  });
  await register();
  await world.run();
});
afterAll(() => world?.end());

async function register(): Promise<void> {
  const { add } = world;
  await add("web", ["haproxy.enable=true", `haproxy.listen=${port.http}`]);
  await add("admin", ["haproxy.host=admin.example", "haproxy.path=/admin", `haproxy.listen=${port.http}`]);
  await add("guarded", ["haproxy.deny=127.0.0.5", `haproxy.listen=${port.guarded}`]);
  await add("stats-port", ["haproxy.enable=true", `haproxy.listen=${world.home.statsPort}`]);
  await add("outside", ["haproxy.enable=true", `haproxy.listen=${port.refused}`]);
  await add("unlucky", ["haproxy.enable=true", `haproxy.listen=${port.busy}`]);
  await addBytes("bytes", [...tcp(port.bytes), "haproxy.path=/nothing"]);
  await addBytes("allowed", tcp(port.allowed, "haproxy.allow=127.0.0.4/31"));
  await addBytes("denied", tcp(port.denied, "haproxy.deny=127.0.0.4"));
  await addBytes("old", tcp(port.takenOver));
  await addBytes("new", tcp(port.takenOver));
  await addBytes("mixed-tcp", tcp(port.mixed, "haproxy.priority=1"));
  await add("mixed-http", ["haproxy.enable=true", `haproxy.listen=${port.mixed}`]);
  await addTls("tls-a", "a.example", tcp(port.sni, "haproxy.host=a.example"));
  await addTls("tls-wild", "*.wild.example", tcp(port.sni, "haproxy.host=*.wild.example"));
  await addTls("tls-deep", "x.deep.wild.example", tcp(port.sni, "haproxy.host=*.deep.wild.example"));
  await addTls("tls-rest", "rest.example", tcp(port.sni));
  for (const name of ["fabio-1", "fabio-2"]) await addBytes(name, [`urlprefix-:${port.fabio} proto=tcp`]);
  await addBytes("fabio-2", [`urlprefix-:${port.fabio} proto=tcp`], "fabio-2b");
}

function tcp(listen: number, ...more: readonly string[]): readonly string[] {
  return ["haproxy.enable=true", "haproxy.mode=tcp", `haproxy.listen=${listen}`, ...more];
}

/** A server that says its name before it is asked, and then gives back what it gets. */
async function addBytes(service: string, tags: readonly string[], name = service): Promise<void> {
  const server = await rawServer((socket) => {
    socket.write(`${name}:`);
    socket.pipe(socket);
  });
  world.scene.defer(() => server.close());
  bytes.set(name, server);
  await world.join(service, tags, { name, port: server.port });
}

/** A server with a certificate for this name. */
async function addTls(service: string, name: string, tags: readonly string[]): Promise<void> {
  const { certificate, key } = await makeCertificate({ names: [name] });
  const server = createTlsServer({ cert: certificate, key }, (socket) => socket.end(service));
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  world.scene.defer(async () => {
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on no port");
  await world.join(service, tags, { name: service, port: address.port });
}

/** What a server says first and then gives back; what came, where the connection is closed before. */
async function talk(at: number, from?: string): Promise<string> {
  const connection = await rawConnection(at, from);
  try {
    await Promise.race([connection.until((bytes) => bytes.includes(":")), connection.closed]);
    connection.write("hello");
    return (await connection.until((bytes) => bytes.includes(":hello"))).toString();
  } catch {
    return connection.received().toString();
  } finally {
    connection.destroy();
  }
}

/** Common name of the certificate that is shown to who asks for this name. */
const named = async (name?: string) => (await shownTo(port.sni, name)).commonName;

const web = (host: string, path = "/", at = port.http) => ask(at, { host, path });
const reasonsOf = (service: string) =>
  world
    .excluded()
    .filter((one) => one["service"] === service)
    .map((one) => String(one["reason"]));

describe("haproxy.listen", () => {
  test("opens a port where the service answers whatever host is asked for", async () => {
    expect(await web("anything.example")).toMatchObject({ status: 200, body: "web" });
    expect((await ask(world.home.httpPort, { host: "anything.example" })).status).toBe(404);
    expect(await ask(world.home.httpPort, { host: "web.service.local" })).toMatchObject({ body: "web" });
  });

  test("HTTP services share a port by their routes", async () => {
    expect(await web("admin.example", "/admin/x")).toMatchObject({ body: "admin" });
    expect(await web("admin.example", "/other")).toMatchObject({ body: "web" });
  });

  test("who asks is known there as everywhere", async () => {
    expect(await exchange(port.guarded, "GET / HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.[01] 200.*guarded$/s);
    expect(await exchange(port.guarded, "GET / HTTP/1.0\r\n\r\n", "127.0.0.5")).toMatch(/^HTTP\/1\.[01] 403/);
    const headers = JSON.parse((await web("x.example", "/headers")).body) as Record<string, string>;
    expect(headers).toMatchObject({ "x-forwarded-port": String(port.http), "x-real-ip": "127.0.0.1" });
  });

  test("refuses a port of HAProxy's own, and one that tcp.ports does not have", async () => {
    expect(reasonsOf("stats-port").join()).toContain("HAProxy's own (setting stats.bind)");
    expect(reasonsOf("outside").join()).toContain("not among those that services may have");
    expect(await accepts(port.refused)).toBe(false);
    for (const name of ["stats-port", "outside"]) {
      expect(await ask(world.home.httpPort, { host: `${name}.service.local` })).toMatchObject({ body: name });
    }
  });

  test("a port that another process holds costs nothing else, and is opened once it is free", async () => {
    expect(reasonsOf("unlucky").join()).toMatch(/cannot be opened: .*127\.0\.0\.7:\d+ is in use by another process/);
    expect(await ask(world.home.httpPort, { host: "unlucky.service.local" })).toMatchObject({ body: "unlucky" });
    await world.add("later", ["haproxy.enable=true", `haproxy.listen=${port.http}`, "haproxy.host=later.example"]);
    await eventually("later", async () => (await web("later.example")).body === "later", 30_000);
    expect(await accepts(port.busy)).toBe(false);
    blocker.close();
    await eventually("open", async () => (await web("x.example", "/", port.busy)).body === "unlucky", 60_000);
  });

  test("is on every address of tcp.bind", async () => {
    expect(await exchange(port.http, "GET / HTTP/1.0\r\n\r\n", undefined, "127.0.0.7")).toMatch(/web$/);
  });
});

describe("haproxy.mode", () => {
  test("tcp passes bytes on as they are, whoever speaks first", async () => {
    expect(await talk(port.bytes)).toBe("bytes:hello");
    expect((await ask(world.home.httpPort, { host: "bytes.service.local" })).status).toBe(404);
    expect(reasonsOf("bytes").join()).toContain("means nothing with mode=tcp");
  });

  test("tcp and http do not go together on one port", async () => {
    expect(await talk(port.mixed)).toBe("mixed-tcp:hello");
    expect(reasonsOf("mixed-http").join()).toContain('the service "mixed-tcp" has it for tcp');
  });

  test("allow and deny hold for connections", async () => {
    expect(await talk(port.allowed, "127.0.0.5")).toBe("allowed:hello");
    expect(await talk(port.allowed, "127.0.0.6")).toBe("");
    expect(await talk(port.denied, "127.0.0.5")).toBe("denied:hello");
    expect(await talk(port.denied, "127.0.0.4")).toBe("");
  });

  test("services share a port by the names TLS clients ask for, each with its own certificate", async () => {
    expect(await named("a.example")).toBe("a.example");
    expect(await named("A.Example")).toBe("a.example");
    expect(await named("one.wild.example")).toBe("*.wild.example");
    expect(await named("a.b.c.wild.example")).toBe("*.wild.example");
    expect(await named("x.deep.wild.example")).toBe("x.deep.wild.example");
    expect(await named("wild.example")).toBe("rest.example");
    expect(await named()).toBe("rest.example");
  });

  test("a port of Fabio's tags is shared by instances", async () => {
    const counts = new Map<string, number>();
    for (let count = 0; count < 120; count += 1) {
      const name = (await talk(port.fabio)).replace(/-(\d).*$/, "-$1");
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(["fabio-1", "fabio-2"]);
    // A third and two thirds; further off than this once in a million times.
    expect(counts.get("fabio-1")).toBeGreaterThan(14);
    expect(counts.get("fabio-1")).toBeLessThan(66);
  });

  test("another service takes a port over without a reload, and nobody's connection is closed", async () => {
    expect(await talk(port.takenOver)).toBe("old:hello");
    const open = await rawConnection(port.takenOver);
    await open.until((bytes) => bytes.includes("old:"));
    await world.withoutReload(async () => {
      await addBytes("new", tcp(port.takenOver, "haproxy.priority=7"));
      await eventually("the new one", async () => (await talk(port.takenOver)) === "new:hello", 30_000);
    });
    open.write("still");
    expect((await open.until((bytes) => bytes.includes("still"))).toString()).toBe("old:still");
    open.destroy();
  });

  test("where no instance is left the connection is closed", async () => {
    await world.withoutReload(async () => {
      await bytes.get("bytes")?.close();
      await world.remove("bytes");
      const gone = async () => !(await serversRunning(world.home)).some((server) => server.startsWith("bytes/"));
      await eventually("nobody", gone, 60_000);
      expect(await talk(port.bytes)).toBe("");
      expect(await accepts(port.bytes)).toBe(true);
    });
  });
});
