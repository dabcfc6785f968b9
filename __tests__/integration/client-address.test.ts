import { Agent, request } from "node:http";
import { afterEach, describe, expect, test } from "@jest/globals";
import { accepts, exchange, rawConnection } from "../support/raw-tcp.ts";
import { type RenderedHaproxy, startRendered } from "../support/rendered-haproxy.ts";
import { startServiceInstance } from "../support/service-instance.ts";
import { Scene } from "../support/system.ts";
import { backend, loadBalancer, server } from "../unit/render/fixtures.ts";

const host = "web.service.local";
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
let scene = new Scene();
afterEach(async () => {
  const ended = scene;
  scene = new Scene();
  await ended.end();
});

/** HAProxy with one service that tells which headers it was sent. */
async function start(http: object): Promise<RenderedHaproxy> {
  const web = await startServiceInstance("web");
  scene.defer(() => web.stop());
  const servers = [server(`web_127.0.0.1:${web.port}`, "127.0.0.1", web.port)];
  const haproxy = await startRendered(loadBalancer([backend("web", servers)]), { http });
  scene.defer(() => haproxy.stop());
  return haproxy;
}

type Headers = Readonly<Record<string, string | readonly string[]>>;

/** What the service was told, and what the client was answered. */
function ask(
  { httpPort }: RenderedHaproxy,
  headers: Headers,
  from = "127.0.0.1",
  agent = new Agent(),
): Promise<{ readonly told: Readonly<Record<string, string>>; readonly answered: Readonly<Record<string, unknown>> }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: "127.0.0.1", port: httpPort, path: "/headers", localAddress: from, agent, headers: { host, ...headers } },
      (incoming) => {
        let body = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => {
          body += chunk;
        });
        incoming.on("end", () => resolve({ told: JSON.parse(body), answered: incoming.headers }));
      },
    );
    outgoing.on("error", reject);
    outgoing.end();
  });
}

const claims = {
  "x-forwarded-for": "6.6.6.6",
  "x-forwarded-proto": "https",
  "x-forwarded-port": "443",
  "x-forwarded-host": "evil.example",
  "x-real-ip": "6.6.6.6",
  forwarded: "for=6.6.6.6",
  "x-request-id": "mine",
};

const ourWords = (haproxy: RenderedHaproxy, client: string) => ({
  host,
  "x-forwarded-for": client,
  "x-forwarded-proto": "http",
  "x-forwarded-port": String(haproxy.httpPort),
  "x-forwarded-host": host,
  "x-real-ip": client,
});

test("nobody is believed: the service is told who asked and how, not what a client claims", async () => {
  const haproxy = await start({});
  const { told, answered } = await ask(haproxy, claims);
  expect(told).toMatchObject(ourWords(haproxy, "127.0.0.1"));
  expect(told).not.toHaveProperty("forwarded");
  expect(told["x-request-id"]).toMatch(uuid);
  expect(answered["x-request-id"]).toBe(told["x-request-id"]);
});

test("each request has an id of its own, and HAProxy's own answers have one too", async () => {
  const haproxy = await start({});
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  scene.defer(async () => agent.destroy());
  const ids = [await ask(haproxy, {}, "127.0.0.1", agent), await ask(haproxy, {}, "127.0.0.1", agent)];
  expect(new Set(ids.map(({ told }) => told["x-request-id"])).size).toBe(2);
  const answer = await exchange(
    haproxy.httpPort,
    "GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n",
  );
  expect(answer).toMatch(/^HTTP\/1.1 404/);
  expect(/\r\nx-request-id: (.*)\r\n/i.exec(answer)?.[1]).toMatch(uuid);
});

describe("trusted proxies", () => {
  const proxy = "127.0.0.2";
  const http = { trustedProxies: `${proxy},127.0.0.8/31,2001:db8:ffff::/48` };

  test("are believed: who the client is, how it came, and its request's id", async () => {
    const haproxy = await start(http);
    const { told, answered } = await ask(haproxy, { ...claims, "x-forwarded-for": "6.6.6.6, 192.0.2.7" }, proxy);
    expect(told).toMatchObject({
      ...claims,
      "x-forwarded-for": "6.6.6.6, 192.0.2.7, 127.0.0.2",
      "x-real-ip": "192.0.2.7",
    });
    expect(answered["x-request-id"]).toBe("mine");
  });

  test("what they leave out is filled in", async () => {
    const haproxy = await start(http);
    const { told } = await ask(haproxy, {}, proxy);
    expect(told).toMatchObject(ourWords(haproxy, proxy));
    expect(told["x-request-id"]).toMatch(uuid);
  });

  test("an id that is none is replaced", async () => {
    const haproxy = await start(http);
    for (const id of ["a b", "a,b", "x".repeat(129), 'a"b']) {
      const { told } = await ask(haproxy, { "x-request-id": id }, proxy);
      expect(told["x-request-id"]).toMatch(uuid);
    }
  });

  test("anybody else is not believed, beside them", async () => {
    const haproxy = await start(http);
    const { told } = await ask(haproxy, claims);
    expect(told).toMatchObject(ourWords(haproxy, "127.0.0.1"));
    expect(told).not.toHaveProperty("forwarded");
    expect(told["x-request-id"]).toMatch(uuid);
  });

  test.each<readonly [string | readonly string[], string]>([
    ["192.0.2.7", "192.0.2.7"],
    ["6.6.6.6,192.0.2.7,127.0.0.8", "192.0.2.7"],
    ["6.6.6.6, 192.0.2.7, 127.0.0.9, 2001:db8:ffff::1, 127.0.0.8", "192.0.2.7"],
    [["6.6.6.6", "192.0.2.7", "127.0.0.8"], "192.0.2.7"],
    ["192.0.2.7:4711", "192.0.2.7"],
    ["2001:db8::5", "2001:db8::5"],
    ["[2001:db8::5]:4711", "2001:db8::5"],
    ["[2001:db8::5]", "2001:db8::5"],
    ["127.0.0.9, 127.0.0.8", "127.0.0.9"],
    // Who cannot be told is nobody: what stands before it was said by others.
    ["6.6.6.6, unknown", proxy],
    ["6.6.6.6, unknown, 127.0.0.8", proxy],
    ["6.6.6.6, ", proxy],
    // More proxies one behind the other than are looked at.
    [`6.6.6.6, ${Array.from({ length: 12 }, () => "127.0.0.8").join(", ")}`, "127.0.0.8"],
  ])("X-Forwarded-For: %s is the client %s", async (forwarded, client) => {
    const haproxy = await start(http);
    const { told } = await ask(haproxy, { "x-forwarded-for": forwarded }, proxy);
    expect(told["x-real-ip"]).toBe(client);
  });

  test("say it anew with each request of a connection", async () => {
    const haproxy = await start(http);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    scene.defer(async () => agent.destroy());
    const seen: (string | undefined)[] = [];
    for (const headers of [{ "x-forwarded-for": "192.0.2.7" }, {}, { "x-forwarded-for": "192.0.2.8" }]) {
      seen.push((await ask(haproxy, headers, proxy, agent)).told["x-real-ip"]);
    }
    expect(seen).toEqual(["192.0.2.7", proxy, "192.0.2.8"]);
  });
});

describe("the PROXY protocol", () => {
  const balancer = "127.0.0.3";
  const asked = `GET /headers HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  /** The signature, version 2 with the command PROXY, TCP over IPv4, 12 bytes: two addresses and two ports. */
  const version2 = Buffer.from("0d0a0d0a000d0a515549540a" + "2111000c" + "c0000207" + "c0000201" + "12670050", "hex");

  test.each([
    ["1", Buffer.from("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n")],
    ["2", version2],
  ])("version %s tells who the client is", async (_version, header) => {
    const haproxy = await start({ acceptProxy: balancer });
    const answer = await exchange(haproxy.httpPort, Buffer.concat([header, Buffer.from(asked)]), balancer);
    expect(answer).toMatch(/^HTTP\/1.1 200/);
    expect(answer).toContain('"x-real-ip":"192.0.2.7"');
  });

  test("is expected of those networks, and of nobody else", async () => {
    const haproxy = await start({ acceptProxy: `10.0.0.0/8,${balancer}` });
    expect(await exchange(haproxy.httpPort, asked, balancer)).toBe("");
    expect(await exchange(haproxy.httpPort, asked)).toContain('"x-real-ip":"127.0.0.1"');
    const lied = await rawConnection(haproxy.httpPort);
    lied.write(Buffer.concat([version2, Buffer.from(asked)]));
    expect((await lied.closed).toString()).not.toContain("192.0.2.7");
    expect(await accepts(haproxy.httpPort)).toBe(true);
  });

  test("and then X-Forwarded-For, where that client is a trusted proxy", async () => {
    const haproxy = await start({ acceptProxy: balancer, trustedProxies: "192.0.2.0/24" });
    const behind = asked.replace("\r\n\r\n", "\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n");
    const answer = await exchange(haproxy.httpPort, Buffer.concat([version2, Buffer.from(behind)]), balancer);
    expect(answer).toContain('"x-real-ip":"198.51.100.9"');
  });
});
