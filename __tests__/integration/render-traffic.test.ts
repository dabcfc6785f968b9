import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Renderer } from "../../src/render/renderer.ts";
import { loadTemplate } from "../../src/render/template-source.ts";
import { haproxyBinary } from "../support/binaries.ts";
import { freePort } from "../support/free-port.ts";
import { startLoad } from "../support/load.ts";
import { backend, loadBalancer, server, settings } from "../unit/render/fixtures.ts";

/**
 * A web server in a process of its own, to be killed. /headers gives back what it was sent; /drop is noted and gets no
 * answer; all else gets the server's name after `delay` ms.
 */
const instanceProgram = `
const [port, name, delay] = process.argv.slice(1);
require("node:http").createServer((request, response) => {
  if (request.url === "/headers") return response.end(JSON.stringify(request.headers));
  if (request.url.startsWith("/drop")) {
    request.resume();
    return request.on("end", () => process.stdout.write(request.method + " " + request.url + "\\n", () => request.socket.destroy()));
  }
  request.resume();
  setTimeout(() => response.end(name), Number(delay));
}).listen(Number(port), "127.0.0.1");
`;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const password = 'it\'s #1 \\ "p$w"';
const children = new Set<ChildProcess>();
let directory: string;
let httpPort: number;
let statsPort: number;
let first: Instance;
let second: Instance;
let haproxyOutput = "";

interface Instance {
  readonly port: number;
  readonly child: ChildProcess;
  /** Lines it wrote: the requests it dropped. */
  readonly dropped: () => readonly string[];
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

async function until(test: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await test()) return;
    await sleep(25);
  }
  throw new Error(`${what} did not come to pass; HAProxy said: ${haproxyOutput.slice(-2_000)}`);
}

function start(command: string, parameters: readonly string[]): ChildProcess {
  const child = spawn(command, parameters, { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

async function startInstance(name: string, delayMs: number, port?: number): Promise<Instance> {
  const at = port ?? (await freePort());
  const child = start(process.execPath, ["-e", instanceProgram, String(at), name, String(delayMs)]);
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await until(() => accepts(at), `instance ${name}`);
  return { port: at, child, dropped: () => output.split("\n").filter((line) => line !== "") };
}

async function ask(
  port: number,
  options: {
    readonly path?: string;
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { path = "/", method = "GET", headers = {}, body } = options;
    const call = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(body);
  });
}

const get = (host: string, headers: Record<string, string> = {}, path = "/") =>
  ask(httpPort, { path, headers: { ...headers, host } });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sluice-traffic-"));
  [httpPort, statsPort] = [await freePort(), await freePort()];
  first = await startInstance("one", 20);
  second = await startInstance("two", 20);
  const one = server(`one_127.0.0.1:${first.port}`, "127.0.0.1", first.port);
  const two = server(`two_127.0.0.1:${second.port}`, "127.0.0.1", second.port);
  const balancer = loadBalancer([
    backend("both", [one, two]),
    backend("empty", []),
    backend("one", [one]),
    backend("waiting", [{ ...two, weight: 0, joining: true }]),
  ]);
  const paths = {
    directory,
    maps: join(directory, "maps"),
    assets: join(directory, "assets"),
    runtimeSocket: join(directory, "runtime.sock"),
  };
  const given = settings({
    http: { bind: `127.0.0.1:${httpPort}` },
    stats: { bind: `127.0.0.1:${statsPort}`, password },
  });
  const { text, maps, assets } = new Renderer({ paths }).render(balancer, given, await loadTemplate());
  const config = join(directory, "haproxy.cfg");
  for (const [path, content] of [[config, text] as const, ...maps, ...assets]) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  const haproxy = start(haproxyBinary, ["-W", "-f", config]);
  for (const stream of [haproxy.stdout, haproxy.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      haproxyOutput += chunk.toString();
    });
  }
  await until(() => accepts(httpPort), "HAProxy on its HTTP port");
}, 30_000);

afterAll(async () => {
  const ends = [...children].map((child) => once(child, "exit"));
  for (const child of children) child.kill("SIGTERM");
  await Promise.all(ends);
  await rm(directory, { recursive: true, force: true });
});

test("HAProxy has nothing to say against our template", async () => {
  await until(() => haproxyOutput.includes("Loading success"), "HAProxy's word that all is well");
  expect(haproxyOutput).not.toMatch(/WARNING|ALERT/);
});

describe("routes", () => {
  test.each([
    "one.service.local",
    "ONE.Service.Local",
    "one.service.local:8080",
    "one.service.local.",
    "one.service.local.:80",
  ])("%s leads to its service", async (host) => expect(await get(host)).toMatchObject({ status: 200, body: "one" }));

  test.each([
    "nobody.service.local",
    "service.local",
    "[::1]",
    "[::1]:8080",
    "127.0.0.1",
    "one",
    "sluice_no_route",
    "",
  ])("%p leads to the 404 page", async (host) => {
    const { status, headers, body } = await get(host);
    expect({ status, type: headers["content-type"], cache: headers["cache-control"] }).toEqual({
      status: 404,
      type: "text/html; charset=utf-8",
      cache: "no-store",
    });
    expect(body).toContain("There is nothing here");
    expect(body.trimEnd()).toMatch(/<\/html>$/);
  });

  test.each(["empty", "waiting"])(
    "a service without a server that may serve (%s) gets the 503 page, not a queue",
    async (name) => {
      const { status, headers, body } = await get(`${name}.service.local`);
      expect({ status, again: headers["retry-after"] }).toEqual({ status: 503, again: "5" });
      expect(body).toContain("Not available right now");
    },
  );
});

test("a service is told who asked and how, not what a client claims", async () => {
  const claims = {
    "x-forwarded-for": "6.6.6.6",
    "x-forwarded-proto": "https",
    "x-forwarded-port": "443",
    "x-forwarded-host": "evil.example",
  };
  const told = JSON.parse((await get("one.service.local", claims, "/headers")).body) as Record<string, string>;
  expect(told).toMatchObject({
    host: "one.service.local",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-port": String(httpPort),
    "x-forwarded-host": "one.service.local",
  });
});

describe("the stats page", () => {
  const authorization = `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`;

  test("asks for the password", async () => {
    expect((await ask(statsPort, { path: "/haproxy_stats" })).status).toBe(401);
    const wrong = `Basic ${Buffer.from("admin:admin").toString("base64")}`;
    expect((await ask(statsPort, { path: "/haproxy_stats", headers: { authorization: wrong } })).status).toBe(401);
  });

  test("shows the servers, and is found from /", async () => {
    const { status, body } = await ask(statsPort, { path: "/haproxy_stats", headers: { authorization } });
    expect(status).toBe(200);
    expect(body).toContain(`one_127.0.0.1:${first.port}`);
    expect(body).not.toMatch(/HAProxy version/);
    expect(await ask(statsPort)).toMatchObject({ status: 302, headers: { location: "/haproxy_stats" } });
  });
});

describe("a request that got no answer", () => {
  test("is not sent twice when it is a POST", async () => {
    const paths = [...Array(6).keys()].map((index) => `/drop/${index}`);
    for (const path of paths) {
      const { status } = await ask(httpPort, {
        path,
        method: "POST",
        headers: { host: "both.service.local" },
        body: "x",
      });
      expect(status).toBe(502);
    }
    const noted = () => [...first.dropped(), ...second.dropped()].filter((line) => line.startsWith("POST"));
    await until(() => noted().length >= paths.length, "the last note");
    expect(noted().sort()).toEqual(paths.map((path) => `POST ${path}`));
  });

  test("is sent again when it is a GET", async () => {
    await get("both.service.local", {}, "/drop/get");
    const noted = () => [...first.dropped(), ...second.dropped()].filter((line) => line === "GET /drop/get");
    await until(() => noted().length === 6, "the first try and five more");
  });
});

test("a server that is killed costs no GET, and no POST that had not reached it", async () => {
  const host = { host: "both.service.local" };
  const load = startLoad({ port: httpPort, keepAlive: 12, oneShot: 4, headers: host });
  await until(() => (load.report().bodies["two"] ?? 0) > 40, "load on both");
  second.child.kill("SIGKILL");
  await once(second.child, "exit");
  // Refused by the dead server while HAProxy still counts on it: a connection that failed carried nothing.
  const posts = await Promise.all(
    [...Array(6).keys()].map(() => ask(httpPort, { method: "POST", headers: host, body: "x" })),
  );
  expect(posts.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  await until(() => haproxyOutput.includes(`Server both/two_127.0.0.1:${second.port} is DOWN`), "the server's end");
  const before = load.report().bodies["one"] ?? 0;
  await until(() => (load.report().bodies["one"] ?? 0) > before + 100, "load on the one that is left");
  second = await startInstance("two", 20, second.port);
  const served = load.report().bodies["two"] ?? 0;
  await until(() => (load.report().bodies["two"] ?? 0) > served + 20, "load on the one that came back");
  const report = await load.stop();
  expect(report.failures).toEqual([]);
  expect(report.statuses).toEqual({ "200": report.sent });
}, 30_000);

test("HAProxy has nothing to warn about in its configuration", async () => {
  expect(haproxyOutput.split("\n").filter((line) => /^\[(WARNING|ALERT)\].*config/.test(line))).toEqual([]);
  expect(await readFile(join(directory, "haproxy.cfg"), "utf8")).toMatch(/\n$/);
});
