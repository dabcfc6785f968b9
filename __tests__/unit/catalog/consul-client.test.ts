import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ConsulClient, type ConsulClientOptions, pathSegment } from "../../../src/catalog/consul-client.ts";
import { toSluiceError } from "../../../src/support/errors.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { type FakeConsul, startFakeConsul } from "../../support/fake-consul.ts";
import { TestClock } from "../../support/test-clock.ts";

const secret = "1b6bd3b5-secret-of-the-test";

let consul: FakeConsul;
let directory: string;
let clock: TestClock;
let clients: ConsulClient[];

beforeEach(async () => {
  consul = await startFakeConsul();
  consul.always("*", () => ({ index: 5, body: ["fine"] }));
  directory = mkdtempSync(path.join(tmpdir(), "sluice-client-"));
  clock = new TestClock();
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  await consul.stop();
  rmSync(directory, { recursive: true, force: true });
});

function clientOf(settings: Partial<ConsulClientOptions["settings"]> = {}): ConsulClient {
  const client = new ConsulClient({
    settings: { address: consul.address, tls: {}, ...settings },
    clock,
    logger: silentLogger,
  });
  clients.push(client);
  return client;
}

function get(client: ConsulClient, where = "/things") {
  return client.get({ path: where }, { signal: new AbortController().signal, deadlineMs: 5_000 });
}

const tokens = () => consul.requests.map(({ headers }) => headers["x-consul-token"]);

describe("the token", () => {
  test("travels in its header only", async () => {
    await get(clientOf({ token: secret }));
    expect(tokens()).toEqual([secret]);
    expect(JSON.stringify(consul.requests.map(({ path: where, query }) => [where, query]))).not.toContain(secret);
  });

  test("stands in no error", async () => {
    consul.answer("/v1/things", { status: 403, body: "Permission denied" });
    const error = await get(clientOf({ token: secret })).catch(toSluiceError);
    expect(error).toMatchObject({ code: "ERR_CONSUL_STATUS", details: { status: 403 } });
    expect(JSON.stringify(error) + String(error) + JSON.stringify((error as Error).cause ?? "")).not.toContain(secret);
  });

  test("of a file is followed", async () => {
    const tokenFile = path.join(directory, "token");
    writeFileSync(tokenFile, "first\n");
    const client = clientOf({ tokenFile });
    await get(client);
    writeFileSync(tokenFile, "second\n");
    await get(client);
    clock.advance(1_000);
    await get(client);
    expect(tokens()).toEqual(["first", "first", "second"]);
  });

  test("of a file is read at once after Consul refused it", async () => {
    const tokenFile = path.join(directory, "token");
    writeFileSync(tokenFile, "first");
    const client = clientOf({ tokenFile });
    consul.answer("/v1/things", { status: 403, body: "ACL not found" });
    await expect(get(client)).rejects.toMatchObject({ code: "ERR_CONSUL_STATUS" });
    writeFileSync(tokenFile, "second");
    await get(client);
    expect(tokens()).toEqual(["first", "second"]);
  });

  test("of a file that is gone is the last one; of one that never was there is an error", async () => {
    const tokenFile = path.join(directory, "token");
    const client = clientOf({ tokenFile });
    await expect(get(client)).rejects.toMatchObject({ code: "ERR_SETTINGS_UNREADABLE" });
    writeFileSync(tokenFile, "first");
    await get(client);
    rmSync(tokenFile);
    clock.advance(10_000);
    await get(client);
    expect(tokens()).toEqual(["first", "first"]);
  });
});

test("the datacenter is asked for where it is set", async () => {
  await get(clientOf());
  await get(clientOf({ datacenter: "east" }));
  expect(consul.requests.map(({ query }) => query)).toEqual([{}, { dc: "east" }]);
});

test("an address needs no scheme, and a path before the API is kept", async () => {
  await get(clientOf({ address: consul.address.replace("http://", "") }));
  await get(clientOf({ address: `${consul.address}/consul/` }));
  expect(consul.requests.map((request) => request.path)).toEqual(["/v1/things", "/consul/v1/things"]);
});

test("a connection is used again", async () => {
  const client = clientOf();
  for (let round = 0; round < 5; round += 1) await get(client);
  expect(consul.connections()).toBe(1);
});

test("an abort rejects with its reason and drops the connection", async () => {
  consul.always("/v1/slow", () => undefined);
  const abort = new AbortController();
  const asking = clientOf().get({ path: "/slow" }, { signal: abort.signal, deadlineMs: 5_000 });
  const reason = new Error("enough");
  abort.abort(reason);
  await expect(asking).rejects.toBe(reason);
  expect(clock.pending()).toEqual([]);
});

test("nobody there is an error that can be tried again", async () => {
  const { address } = consul;
  await consul.stop();
  await expect(get(clientOf({ address }))).rejects.toMatchObject({
    code: "ERR_CONSUL_UNREACHABLE",
    retryable: true,
    message: expect.stringMatching(/ECONNREFUSED/),
  });
  consul = await startFakeConsul();
});

test("a Unix socket is spoken to", async () => {
  const socket = path.join(directory, "c.sock");
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end('["by socket"]');
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    expect((await get(clientOf({ address: `unix://${socket}` }))).body).toEqual(["by socket"]);
  } finally {
    await closed(server);
  }
});

test("TLS: the authority, the name and the client's certificate are heeded", async () => {
  const file = (name: string) => path.join(directory, name);
  const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  openssl(
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "2",
    "-keyout",
    "key.pem",
    "-out",
    "cert.pem",
    "-subj",
    "/CN=server.dc1.consul",
    "-addext",
    "subjectAltName=DNS:server.dc1.consul",
  );
  const pem = { key: readFileSync(file("key.pem")), cert: readFileSync(file("cert.pem")) };
  const server = createTlsServer(
    { ...pem, ca: pem.cert, requestCert: true, rejectUnauthorized: true },
    (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end('["by TLS"]');
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const all = { ca: file("cert.pem"), cert: file("cert.pem"), key: file("key.pem"), serverName: "server.dc1.consul" };
  try {
    expect((await get(clientOf({ address, tls: all }))).body).toEqual(["by TLS"]);
    const { ca: _ca, ...withoutAuthority } = all;
    await expect(get(clientOf({ address, tls: withoutAuthority }))).rejects.toMatchObject({
      code: "ERR_CONSUL_UNREACHABLE",
    });
    await expect(get(clientOf({ address, tls: { ...all, serverName: "other.example" } }))).rejects.toMatchObject({
      code: "ERR_CONSUL_UNREACHABLE",
    });
    const { cert: _cert, key: _key, ...withoutCertificate } = all;
    await expect(get(clientOf({ address, tls: withoutCertificate }))).rejects.toMatchObject({
      code: "ERR_CONSUL_UNREACHABLE",
    });
  } finally {
    await closed(server);
  }
  expect(() => clientOf({ address, tls: { ca: file("none.pem") } })).toThrow(
    expect.objectContaining({ code: "ERR_SETTINGS_UNREADABLE" }),
  );
});

test.each([["ftp://consul"], ["http://"], ["unix://relative"], ["http://user:hidden@consul"]])(
  "%s is not an address",
  (address) => {
    const thrown = (() => {
      try {
        clientOf({ address });
      } catch (error) {
        return toSluiceError(error);
      }
      return undefined;
    })();
    expect(thrown).toMatchObject({ code: "ERR_SETTINGS_INVALID" });
    expect(thrown?.message).not.toContain("hidden");
  },
);

test.each([
  ["http://127.0.0.1:8500", true],
  ["localhost:8500", true],
  ["http://[::1]:8500", true],
  ["unix:///run/consul.sock", true],
  ["https://consul.example:8501", false],
  ["http://127.example:8500", false],
])("%s is an agent on this machine: %s", (address, loopback) => {
  expect(clientOf({ address }).endpoint.loopback).toBe(loopback);
});

test.each([
  ["web", "web"],
  ["a.b", "a.b"],
  ["a/b", "a%2Fb"],
  ["..", "%2E%2E"],
  ["a/../b", "a%2F%2E%2E%2Fb"],
  ["x\ny?#%", "x%0Ay%3F%23%25"],
  ["\ud800", "%EF%BF%BD"],
])("the name %j is the segment %s", (name, segment) => {
  expect(pathSegment(name)).toBe(segment);
});

test("an idle connection is kept for the next request, until it is dropped", async () => {
  const client = clientOf();
  await get(client);
  await get(client);
  expect(consul.connections()).toBe(1);
  client.dropIdle();
  await get(client);
  expect(consul.connections()).toBe(2);
});

test("large answers that come at the same moment are bounded together, and what was read of them is let go", async () => {
  consul.always("*", () => ({
    raw: (response) => {
      response.writeHead(200, { "content-type": "application/json" });
      const more = () => response.destroyed || response.write(" ".repeat(1_000), () => setTimeout(more, 1));
      more();
    },
  }));
  const settings = { address: consul.address, tls: {} };
  const client = new ConsulClient({ settings, clock, logger: silentLogger, maxBodyBytes: 50_000 });
  clients.push(client);
  const ask = () =>
    get(client).then(
      () => "answered",
      (thrown) => toSluiceError(thrown).message,
    );
  const answers = await Promise.all(Array.from({ length: 10 }, ask));
  expect(answers.filter((text) => text.includes("too many large answers")).length).toBeGreaterThanOrEqual(5);
  expect(answers.every((text) => /too many large answers|larger than 50000 bytes/.test(text))).toBe(true);
  // None of it is counted any more: one alone may come to its own limit again.
  expect(await ask()).toMatch(/larger than 50000 bytes/);
});

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
