import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import type { LoadBalancer } from "../../src/routing/types.ts";
import { freePort } from "../support/free-port.ts";
import { exchange, rawConnection, rawServer } from "../support/raw-tcp.ts";
import { type RenderedHaproxy, startRendered } from "../support/rendered-haproxy.ts";
import { noMaps } from "../support/routes.ts";
import { startServiceInstance } from "../support/service-instance.ts";
import { eventually } from "../support/sluice.ts";
import { answers, ask, countEvents, Scene } from "../support/system.ts";
import { backend, loadBalancer, server } from "../unit/render/fixtures.ts";

jest.setTimeout(120_000);

const host = "web.service.local";
const document = readFileSync(new URL("../../docs/access-log.md", import.meta.url), "utf8");
/** The examples of the document, in their order: a request and a connection, each as json and as common. */
const examples = [...document.matchAll(/^```(?:json|text)\n([^`]+)\n```/gm)].map(([, text = ""]) => text);
/** The documented fields of json: the rows of the table, without its head. */
const documented = [...document.matchAll(/^\| `(\w+)` \| [^|]*\| /gm)].map(([, field = ""]) => field).slice(1);
let scene = new Scene();
afterEach(async () => {
  const ended = scene;
  scene = new Scene();
  await ended.end();
});

async function started(balancer: LoadBalancer, more: Readonly<Record<string, object>>): Promise<RenderedHaproxy> {
  const haproxy = await startRendered(balancer, more);
  scene.defer(() => haproxy.stop());
  return haproxy;
}

/** HAProxy with one service, and the name of its one server. */
async function start(accessLog: object, more: Readonly<Record<string, object>> = {}) {
  const web = await startServiceInstance("web");
  scene.defer(() => web.stop());
  const name = `web_127.0.0.1:${web.port}`;
  const balancer = loadBalancer([backend("web", [server(name, "127.0.0.1", web.port)])]);
  return { name, haproxy: await started(balancer, { ...more, accessLog }) };
}

const asked = (line: string, headers = "") =>
  `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${headers}\r\n`;
const isObject = (line: string) => line.startsWith("{");
const parsed = (line: string) => JSON.parse(Buffer.from(line, "latin1").toString()) as Record<string, unknown>;

/** What a line of common consists of: its words with their values taken out. */
function form(line: string): string {
  return line
    .replace(/^\S+ - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "(\w+) [^"]*" (-|\d+) \d+ /, "$1 ")
    .replace(/=("(\\.|[^"\\])*"|\S*)/g, "=");
}

describe("json", () => {
  test("says service, instance, what was asked, and how it went", async () => {
    const { haproxy, name } = await start({ format: "json" });
    const headers = "User-Agent: test/1 (x)\r\nCookie: session=secret\r\nAuthorization: Basic c2VjcmV0\r\n";
    const answer = await exchange(haproxy.httpPort, asked("GET /slow?ms=50&q=a%20b", headers));
    const line = await haproxy.line(isObject);
    const { time, clientPort, id, sent, received, responseMs, totalMs, ...rest } = parsed(line);
    expect(rest).toEqual({
      client: "127.0.0.1",
      frontend: "sluice_http",
      service: "web",
      instance: name,
      route: host,
      method: "GET",
      host,
      path: "/slow",
      query: "ms=50&q=a%20b",
      http: "1.1",
      agent: "test/1 (x)",
      status: 200,
      requestMs: expect.any(Number),
      queueMs: expect.any(Number),
      connectMs: expect.any(Number),
      state: "----",
      retries: "0",
      tls: "-",
      sni: "-",
    });
    expect(Math.abs(Date.now() - Date.parse(String(time)))).toBeLessThan(20_000);
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(clientPort).toBeGreaterThan(0);
    expect(answer.toLowerCase()).toContain(`x-request-id: ${id}`);
    // As the server gave it: the client gets headers more.
    expect(sent).toBeGreaterThan(80);
    expect(sent).toBeLessThan(answer.length);
    expect(received).toBeGreaterThan(100);
    expect(responseMs).toBeGreaterThanOrEqual(45);
    expect(totalMs).toBeGreaterThanOrEqual(Number(responseMs));
    expect(line).not.toMatch(/secret|c2VjcmV0/);
    // docs/access-log.md has just these fields, in this order, in its table and in its example.
    expect(Object.keys(parsed(line))).toEqual(documented.filter((field) => field in parsed(line)));
    expect(Object.keys(parsed(examples[0] ?? ""))).toEqual(Object.keys(parsed(line)));
    expect(documented.length).toBe(Object.keys(parsed(line)).length);
  });

  test("the path is what was asked for, whatever is done to it on the way", async () => {
    const { haproxy } = await start({ format: "json" });
    await exchange(haproxy.httpPort, asked("GET /a%2Fb/%22c%22/%E2%82%AC"));
    expect(parsed(await haproxy.line(isObject))).toMatchObject({ path: "/a%2Fb/%22c%22/%E2%82%AC", query: "-" });
  });

  test("each line is one object, whatever clients write", async () => {
    const { haproxy } = await start({ format: "json" });
    const bytes = (...codes: readonly number[]) => Buffer.from(codes).toString("latin1");
    const odd = ['"', "\\", '\\"', "'", "{", "}", "%22", "%0a", "%00", "|", "#", "$(x)", "%[env(HOME)]", "\\u0000"];
    const nonAscii = [
      bytes(0xff),
      bytes(0xc3),
      bytes(0xc3, 0xa9),
      bytes(0xe2, 0x82, 0xac),
      bytes(0xf0, 0x9f, 0x98, 0x80),
    ];
    const controls = [bytes(0x01), bytes(0x09), bytes(0x0b), bytes(0x1b), bytes(0x7f)];
    const requests: string[] = [];
    for (const one of [...odd, ...nonAscii, ...controls]) {
      requests.push(asked(`GET /x${one}y?q=${one}z`));
      requests.push(asked("GET /agent", `User-Agent: a${one}b\r\nReferer: ${one}\r\nX-Forwarded-For: ${one}\r\n`));
      requests.push(asked("GET /id", `X-Request-Id: ${one}\r\n`));
      requests.push(`GET /host HTTP/1.1\r\nHost: a${one}b\r\nConnection: close\r\n\r\n`);
      requests.push(asked(`G${one}T /method`));
    }
    const bodies: string[] = [];
    for (const request of requests) {
      bodies.push(await exchange(haproxy.httpPort, Buffer.from(request, "latin1")));
    }
    // Behind all of them, so that their lines are there.
    await exchange(haproxy.httpPort, asked("GET /last"));
    await haproxy.line((line) => line.includes('\\/last"'));
    const lines = haproxy.lines().filter((line) => !/^Proxy |^\[/.test(line));
    expect(lines).toHaveLength(requests.length + 1);
    for (const line of lines) expect(parsed(line)).toMatchObject({ client: "127.0.0.1", frontend: "sluice_http" });
    const agents = new Set(lines.map((line) => parsed(line)["agent"]));
    for (const one of odd) expect(agents).toContain(`a${one}b`);
    expect(agents).toContain("aéb");
    expect(agents).toContain("a€b");
    expect(bodies.filter((body) => body.startsWith("HTTP/1.1 200")).length).toBeGreaterThan(odd.length * 2);
  });

  test("what is very long is cut, and the line is whole", async () => {
    const { haproxy } = await start({ format: "json" });
    const long = '"'.repeat(2_000);
    await exchange(haproxy.httpPort, asked(`GET /${long}?${long}`, `User-Agent: ${long}\r\n`));
    expect(parsed(await haproxy.line(isObject))).toMatchObject({
      path: `/${'"'.repeat(1_023)}`,
      query: '"'.repeat(1_024),
      agent: '"'.repeat(256),
    });
  });

  test("HAProxy's own answers, and what came to no request, are there too", async () => {
    const { haproxy } = await start({ format: "json" }, { http: { acceptProxy: "127.0.0.3" } });
    await exchange(haproxy.httpPort, "GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n");
    expect(parsed(await haproxy.line((line) => line.includes("nobody")))).toMatchObject({
      service: "sluice_no_route",
      instance: "<NOSRV>",
      status: 404,
    });
    await exchange(haproxy.httpPort, asked("GET /"), "127.0.0.3");
    const { error, client } = parsed(await haproxy.line((line) => line.includes('"error"')));
    expect(client).toBe("127.0.0.3");
    expect(error).toMatch(/PROXY protocol/);
  });
});

test("common: begins as the Common Log Format does", async () => {
  const { haproxy, name } = await start({ format: "common" });
  await exchange(haproxy.httpPort, asked('GET /a"b?q="c"'));
  const line = await haproxy.line((one) => one.includes("service="));
  expect(form(line)).toBe(form(examples[1] ?? ""));
  const [, head = "", tail = ""] = /^(.*?) (service=.*)$/.exec(line) ?? [];
  expect(head).toMatch(
    /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/a#22b\?q=#22c#22 HTTP\/1\.1" 200 \d+$/,
  );
  expect(tail).toMatch(
    new RegExp(
      `^service=web instance=${name.replaceAll(".", "\\.")} host="web\\.service\\.local" route="web\\.service\\.local" ` +
        'id=[0-9a-f-]{36} queue=\\d+ connect=\\d+ response=\\d+ total=\\d+ state=---- retries=0 tls=- sni="?-?"?$',
    ),
  );
});

test("off: no request is logged", async () => {
  const { haproxy } = await start({ format: "off" });
  await exchange(haproxy.httpPort, asked("GET /"));
  await exchange(haproxy.httpPort, "GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n");
  expect(haproxy.lines().filter((line) => /web|GET/.test(line))).toEqual([]);
});

test("a connection of a port in mode tcp has a line, too", async () => {
  const echo = await rawServer((socket) => socket.pipe(socket));
  scene.defer(() => echo.close());
  const port = await freePort();
  const name = `db_127.0.0.1:${echo.port}`;
  const db = backend("db", [server(name, "127.0.0.1", echo.port)], { mode: "tcp" });
  const balancer = {
    ...loadBalancer([db], { routes: [] }),
    listeners: [{ port, mode: "tcp" as const, sni: false }],
    maps: { ...noMaps, listeners: [{ key: `${port}=`, value: "db" }] },
  };
  for (const format of ["json", "common"]) {
    const haproxy = await started(balancer, { accessLog: { format } });
    const connection = await rawConnection(port);
    connection.write("hello");
    await connection.until((bytes) => bytes.length === 5);
    connection.socket.end();
    await connection.closed;
    const line = await haproxy.line((one) => one.includes(name));
    if (format === "common") {
      expect(form(line)).toBe(form(examples[3] ?? ""));
      expect(line).toMatch(
        /^127\.0\.0\.1 - - \[[^\]]+ \+0000\] "TCP sluice_tcp_\d+" - 5 service=db instance=\S+ received=5 queue=\d+ connect=\d+ total=\d+ state=-- retries=0 sni="?-?"?$/,
      );
    } else {
      expect(Object.keys(parsed(line))).toEqual(Object.keys(parsed(examples[2] ?? "")));
      expect(parsed(line)).toMatchObject({
        frontend: `sluice_tcp_${port}`,
        service: "db",
        instance: name,
        sent: 5,
        received: 5,
        state: "--",
      });
    }
    await haproxy.stop();
  }
});

test("goes to a syslog server", async () => {
  const syslog = createSocket("udp4");
  syslog.bind(0, "127.0.0.1");
  await once(syslog, "listening");
  scene.defer(async () => {
    syslog.close();
  });
  const received = once(syslog, "message") as Promise<[Buffer]>;
  const { haproxy } = await start({ format: "json", target: `127.0.0.1:${syslog.address().port}` });
  await exchange(haproxy.httpPort, asked("GET /over/there"));
  const [message] = await received;
  // RFC 3164: `<134>Nov 21 10:58:03 haproxy[123]: `, facility local0, severity info.
  const [, head = "", body = ""] = /^(<134>.*?: )(\{.*\})\n?$/s.exec(message.toString()) ?? [];
  expect(head).toMatch(/ haproxy[\w-]*\[\d+\]: $/);
  expect(parsed(body)).toMatchObject({ path: "/over/there", status: 200 });
  expect(haproxy.lines().some((line) => line.includes("there"))).toBe(false);
});

test("an operator turns it on with one reload; it is in haproxy.log then", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  await scene.join(consul, "web", "web-1");
  const sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded", 60_000);
  await answers(home, host);
  const file = path.join(home.state, "haproxy.log");
  expect(readFileSync(file, "utf8")).not.toContain('"client"');
  const before = sluice.lines().length;
  await home.configure({ accessLog: { format: "json" } });
  await sluice.logged((line) => line.event === "reloaded", 60_000, before);
  await eventually("a line", async () => {
    await ask(home.httpPort, { host, path: "/seen" });
    return readFileSync(file, "utf8").includes('"path":"\\/seen"');
  });
  expect(countEvents(sluice, "reloaded", before)).toBe(1);
});
