import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { OptionsScene } from "../support/options-scene.ts";
import { exchange, rawConnection } from "../support/raw-tcp.ts";
import { eventually } from "../support/sluice.ts";
import { type Answer, ask, type Question } from "../support/system.ts";

/**
 * Each option of a route as its tags have it, with real requests; what is taken, and what is not. The clients' addresses
 * and TLS are told by X-Forwarded-For and -Proto, which HAProxy believes here.
 */

jest.setTimeout(120_000);

const own = "service.local";
let scene: OptionsScene;

beforeAll(async () => {
  scene = await OptionsScene.begin(async (home) => {
    const users = path.join(home.directory, "users");
    const { stdout } = await promisify(execFile)("openssl", ["passwd", "-6", "secret"]);
    await writeFile(users, `ann:${stdout.trim()}\n`);
    return { http: { trustedProxies: "127.0.0.0/8" }, auth: { staff: { file: users, realm: "Staff only" } } };
  });
  await register();
  await scene.run();
  await eventually("the routes are there", async () => (await get({ host: `last.${own}` })).status === 200, 30_000);
});
afterAll(() => scene.end());

async function register(): Promise<void> {
  const { add } = scene;
  await add("hosts", ["haproxy.host=shop.example.com,*.wild.example.com,port.example.com:8443"]);
  await add("inner", ["haproxy.host=in.wild.example.com", "haproxy.path=/only"]);
  await add("narrow", ["haproxy.host=*.narrow.wild.example.com", "haproxy.path=/narrow"]);
  await add("paths", ["haproxy.host=paths.example.com", "haproxy.path=/api,=/exact,/both"]);
  await add("exact", ["haproxy.host=paths.example.com", "haproxy.path==/both,/api/deep"]);
  await add("anywhere", ["haproxy.path=/anywhere"]);
  await add("reading", ["haproxy.host=methods.example.com", "haproxy.method=GET,HEAD"]);
  await add("writing", ["haproxy.host=methods.example.com", "haproxy.method=POST"]);
  for (const [name, condition] of [
    ["there", "X-There"],
    ["equal", "X-Version: 2 (b|c)"],
    ["like", "X-Agent ~ ^Tester/\\d+( beta)?$"],
  ] as const) {
    await add(`header-${name}`, ["haproxy.host=headers.example.com", `haproxy.header=${condition}`]);
  }
  await add("header-none", ["haproxy.host=headers.example.com"]);
  await add("header-deep", ["haproxy.host=headers.example.com", "haproxy.path=/deep", "haproxy.header=X-Deep"]);
  await add("hosts-guarded", [
    "haproxy.host=outer.example.com",
    "haproxy.route.inner.host=inner.example.com",
    "haproxy.route.inner.auth=staff",
  ]);
  await add("low", ["haproxy.host=priority.example.com", "haproxy.auth=staff"]);
  await add("high", ["haproxy.host=priority.example.com", "haproxy.priority=5"]);
  await add("stripped", ["haproxy.host=strip.example.com", "haproxy.strip=/a.c"]);
  await add("prepended", ["haproxy.host=prepend.example.com", "haproxy.strip=/old", "haproxy.prepend=/v2"]);
  await add("rewritten", ["haproxy.host=rewrite.example.com", "haproxy.rewrite=^/old/([a-z]+)/(.*)$ /new/\\2/\\1"]);
  await add("named", ["haproxy.host=named.example.com", "haproxy.host-header=internal.example.com"]);
  for (const name of ["dst-1", "dst-2"]) {
    await add("dst", ["haproxy.host=dst.example.com", "haproxy.host-header=dst"], { name });
  }
  await add("redirect", ["haproxy.host=redirect.example.com", "haproxy.redirect=301,https://www.example.com/$path"]);
  await add("redirect-host", [
    "haproxy.host=redirect2.example.com",
    "haproxy.redirect=307,https://$host/fixed?a=%[src]",
  ]);
  await add("redirect-path", ["haproxy.host=redirect3.example.com", "haproxy.path=/", "haproxy.redirect=302,/$path"]);
  await add("to-https", ["haproxy.https-redirect=308"]);
  await add("strict", ["haproxy.hsts=31536000;includeSubDomains"]);
  await add("guarded", ["haproxy.auth=staff", "haproxy.host=guarded.example.com"]);
  await add("unguarded", ["haproxy.auth=nobody"]);
  await add("part-guarded", ["haproxy.host=parts.example.com"]);
  await add("part-secret", ["haproxy.host=parts.example.com", "haproxy.path=/secret", "haproxy.auth=staff"]);
  await add("allowing", ["haproxy.allow=10.0.0.0/8,fe80::/10,192.0.2.128/25"]);
  await add("denying", ["haproxy.deny=10.9.0.0/16"]);
  await add("both", ["haproxy.allow=10.0.0.0/8", "haproxy.deny=10.9.0.0/16"]);
  await add("rated", ["haproxy.rate=3/10s"]);
  await add("cors", [
    "haproxy.cors.origin=https://app.example.com,https://b.example.com",
    "haproxy.cors.methods=GET,PATCH",
    "haproxy.cors.headers=X-One,X-Two",
    "haproxy.cors.credentials=true",
    "haproxy.cors.max-age=10m",
  ]);
  await add("open-cors", ["haproxy.cors.origin=*"]);
  for (const n of [1, 2, 3]) await add("canary", ["haproxy.host=canary.example.com"], { name: `stable-${n}` });
  const canary = [
    "haproxy.host=canary.example.com",
    "haproxy.canary.weight=10",
    "haproxy.canary.header=X-Canary: always",
    "haproxy.canary.cookie=canary=always",
  ];
  await add("canary", canary, { name: "canary-1" });
  await add("sticky", ["haproxy.host=sticky.example.com", "haproxy.canary.sticky=true"], { name: "sticky-old" });
  await add("sticky", ["haproxy.host=sticky.example.com", "haproxy.canary.weight=50", "haproxy.canary.sticky=true"], {
    name: "sticky-new",
  });
  for (const n of [1, 2, 3]) await add("share-a", ["haproxy.host=shared.example.com"], { name: `share-a-${n}` });
  await add("share-b", ["haproxy.host=shared.example.com"]);
  await add("empty", ["haproxy.host=empty.example.com"], { status: "critical" });
  await add("beside-empty", ["haproxy.host=empty.example.com", "haproxy.path=/else"]);
  for (const bad of [
    "strip=api",
    "rewrite=^/(a+)+$ /x",
    "rate=many",
    "redirect=200,/x",
    "header=X-A ~ (?<=a+)b",
    "allow=10.0.0.0/99",
    "host=a b.example.com",
  ]) {
    await add(`bad-${bad.split("=")[0]}`, ["haproxy.enable=true", `haproxy.${bad}`]);
  }
  await add("last", ["haproxy.enable=true"]);
}

function get(question: Question): Promise<Answer> {
  return ask(scene.home.httpPort, question);
}

async function body(question: Question): Promise<string> {
  const answer = await get(question);
  return answer.status === 200 ? answer.body : String(answer.status);
}

/** From a client of this address. */
function from(client: string, question: Question): Question {
  return { ...question, headers: { ...question.headers, "x-forwarded-for": client } };
}

/** Path and Host header as the instance that answered got them. */
async function seenBy(name: string, question: Question) {
  expect(await body(question)).toBe(name);
  const { path: seen, host } = scene.instance(name).seen.at(-1) ?? {};
  return { path: seen, host };
}

/** How often each body came, in so many requests. */
async function counted(question: Question, requests: number): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (let count = 0; count < requests; count += 1) {
    const one = await body(question);
    counts[one] = (counts[one] ?? 0) + 1;
  }
  return counts;
}

function refused(service: string): string {
  const found = scene.excluded().filter((one) => one["service"] === service);
  return found.map((one) => JSON.stringify(one)).join("\n");
}

describe("which requests", () => {
  test("haproxy.host", async () => {
    expect(await body({ host: "shop.example.com" })).toBe("hosts");
    expect(await body({ host: "SHOP.example.com.:8080" })).toBe("hosts");
    expect(await body({ host: "a.b.wild.example.com" })).toBe("hosts");
    expect(await body({ host: "port.example.com:8443" })).toBe("hosts");
    expect(await body({ host: "port.example.com" })).toBe("404");
    expect(await body({ host: "wild.example.com" })).toBe("404");
    expect(await body({ host: `hosts.${own}` })).toBe("hosts");
    // The exact host goes before the pattern, a narrower pattern before a wider one; what neither has goes on.
    expect(await body({ host: "in.wild.example.com", path: "/only" })).toBe("inner");
    expect(await body({ host: "in.wild.example.com", path: "/other" })).toBe("hosts");
    expect(await body({ host: "x.narrow.wild.example.com", path: "/narrow" })).toBe("narrow");
    expect(await body({ host: "x.narrow.wild.example.com", path: "/other" })).toBe("hosts");
    expect(refused("bad-host")).toContain("is not a host name");
    expect(await body({ host: `bad-host.${own}` })).toBe("bad-host");
  });

  test("haproxy.path", async () => {
    const at = (asked: string) => body({ host: "paths.example.com", path: asked });
    expect(await at("/api")).toBe("paths");
    expect(await at("/api/")).toBe("paths");
    expect(await at("/api/x?y=/exact")).toBe("paths");
    expect(await at("/apix")).toBe("404");
    expect(await at("/exact")).toBe("paths");
    expect(await at("/exact/x")).toBe("404");
    expect(await at("/api/deep/x")).toBe("exact");
    expect(await at("/both")).toBe("exact");
    expect(await at("/both/x")).toBe("paths");
    expect(await at("/")).toBe("404");
    expect(await body({ host: "nobody.example.com", path: "/anywhere/x" })).toBe("anywhere");
  });

  test("haproxy.method", async () => {
    const host = "methods.example.com";
    expect(await body({ host })).toBe("reading");
    expect(await body({ host, method: "POST" })).toBe("writing");
    expect(await body({ host, method: "DELETE" })).toBe("404");
  });

  test("haproxy.header", async () => {
    const host = "headers.example.com";
    const sent = (headers: Record<string, string>, asked = "/") => body({ host, headers, path: asked });
    expect(await sent({})).toBe("header-none");
    expect(await sent({ "x-there": "" })).toBe("header-there");
    expect(await sent({ "x-long": "x".repeat(13_500), "x-there": "1" })).toBe("header-there");
    expect(await sent({ "X-Version": "2 (b|c)" })).toBe("header-equal");
    expect(await sent({ "X-Version": "2 b" })).toBe("header-none");
    expect(await sent({ "X-Version": "2 (b|c)x" })).toBe("header-none");
    expect(await sent({ "X-Agent": "Tester/17 beta" })).toBe("header-like");
    expect(await sent({ "X-Agent": "a Tester/17" })).toBe("header-none");
    expect(await sent({ "X-Agent": "x", "X-Other": "Tester/17" })).toBe("header-none");
    // Where the longer path's condition is not met, the shorter path has it.
    expect(await sent({ "X-Deep": "1" }, "/deep")).toBe("header-deep");
    expect(await sent({ "X-There": "1" }, "/deep")).toBe("header-there");
    expect(await sent({}, "/deep")).toBe("header-none");
    expect(refused("bad-header")).toContain("(?");
    expect(await body({ host: `bad-header.${own}` })).toBe("404");
  });

  test("haproxy.priority", async () => {
    expect(await body({ host: "priority.example.com" })).toBe("high");
    expect(refused("low")).toContain("route-conflict");
    expect(refused("low")).toContain('\\"high\\"');
  });
});

describe("what is done on the way", () => {
  test("haproxy.strip", async () => {
    const host = "strip.example.com";
    expect(await seenBy("stripped", { host, path: "/a.c/x?y=1" })).toMatchObject({ path: "/x" });
    expect(await seenBy("stripped", { host, path: "/a.c" })).toMatchObject({ path: "/" });
    expect(await seenBy("stripped", { host, path: "/abc/x" })).toMatchObject({ path: "/abc/x" });
    expect(refused("bad-strip")).toContain("is not a path");
  });

  test("haproxy.prepend", async () => {
    const host = "prepend.example.com";
    expect(await seenBy("prepended", { host, path: "/x" })).toMatchObject({ path: "/v2/x" });
    expect(await seenBy("prepended", { host, path: "/old/x" })).toMatchObject({ path: "/v2/x" });
  });

  test("haproxy.rewrite", async () => {
    const host = "rewrite.example.com";
    expect(await seenBy("rewritten", { host, path: "/old/abc/d/e?q=1" })).toMatchObject({ path: "/new/d/e/abc" });
    expect(await seenBy("rewritten", { host, path: "/x/old/abc/d" })).toMatchObject({ path: "/x/old/abc/d" });
    expect(refused("bad-rewrite")).toContain("repeats what has a repetition in it");
    expect(await body({ host: `bad-rewrite.${own}`, path: "/aaa" })).toBe("bad-rewrite");
  });

  test("haproxy.host-header", async () => {
    expect(await seenBy("named", { host: "named.example.com" })).toMatchObject({ host: "internal.example.com" });
    const counts = await counted({ host: "dst.example.com" }, 40);
    expect(Object.keys(counts).sort()).toEqual(["dst-1", "dst-2"]);
    for (const name of ["dst-1", "dst-2"]) {
      const { port, seen } = scene.instance(name);
      expect(seen.every(({ host }) => host === `127.0.0.1:${port}`)).toBe(true);
    }
  });

  test("haproxy.redirect", async () => {
    const answer = await get({ host: "redirect.example.com", path: "/a/b?c=d" });
    expect([answer.status, answer.headers["location"]]).toEqual([301, "https://www.example.com/a/b?c=d"]);
    const other = await get({ host: "redirect2.example.com:81", path: "/a/b?c=d" });
    expect([other.status, other.headers["location"]]).toEqual([307, "https://redirect2.example.com:81/fixed?a=%[src]"]);
    const bare = await get({ host: "redirect3.example.com", path: "//evil.example.com/" });
    expect([bare.status, bare.headers["location"]]).toEqual([302, "/evil.example.com/"]);
    expect(refused("bad-redirect")).toContain("is not a redirect");
  });

  test("haproxy.https-redirect", async () => {
    const host = `to-https.${own}`;
    const answer = await get({ host, path: "/a?b=c" });
    expect([answer.status, answer.headers["location"]]).toEqual([308, `https://${host}/a?b=c`]);
    expect(await body({ host, headers: { "x-forwarded-proto": "https" } })).toBe("to-https");
  });

  test("haproxy.hsts", async () => {
    const host = `strict.${own}`;
    const { headers } = await get({ host, headers: { "x-forwarded-proto": "https" } });
    expect(headers["strict-transport-security"]).toBe("max-age=31536000; includeSubDomains");
    expect((await get({ host })).headers["strict-transport-security"]).toBeUndefined();
  });
});

describe("who may", () => {
  test("haproxy.auth", async () => {
    for (const host of ["guarded.example.com", `guarded.${own}`]) {
      const { status, headers } = await get({ host });
      expect([status, headers["www-authenticate"]]).toEqual([401, 'Basic realm="Staff only"']);
      expect(await body({ host, auth: "ann:secret" })).toBe("guarded");
      expect(await body({ host, auth: "ann:wrong" })).toBe("401");
    }
    expect(await body({ host: `unguarded.${own}`, auth: "ann:secret" })).toBe("403");
  });

  test("no other way to write a path leads past what guards it", async () => {
    const host = "parts.example.com";
    expect(await body({ host, path: "/open" })).toBe("part-guarded");
    for (const asked of ["/secret", "/secret/x", "/%73ecret", "//secret", "/./secret", "/secret;a=b", "/.//secret/"]) {
      expect([asked, await body({ host, path: asked })]).toEqual([asked, "401"]);
    }
    for (const asked of [
      "/open/../secret",
      "/open/%2e%2e/secret",
      "/open/..%2fsecret",
      "/open/..;/secret",
      "/a%00/secret",
    ]) {
      expect([asked, await body({ host, path: asked })]).toEqual([asked, "400"]);
    }
    const absolute = await exchange(
      scene.home.httpPort,
      `GET http://${host}/secret HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
    expect(absolute).toMatch(/^HTTP\/1.1 401 /);
    for (const odd of ["@8081!parts.example.com", "parts.example.com/secret", "a b", "a,parts.example.com", "x|y"]) {
      expect(
        await exchange(scene.home.httpPort, `GET / HTTP/1.1\r\nHost: ${odd}\r\nConnection: close\r\n\r\n`),
      ).toMatch(/^HTTP\/1.1 400 /);
    }
    // HTTP/1.0 knows no Host: the routes of any host are left.
    expect(await exchange(scene.home.httpPort, "GET /anywhere HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1.1 200 /);
    expect(await exchange(scene.home.httpPort, "GET / HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1.1 404 /);
    const long = `/secret/${"x".repeat(7_000)}`;
    expect(await body({ host, path: long })).toBe("401");
  });

  test("no header leads past what guards a route", async () => {
    const named = { host: "inner.example.com", path: "/headers" };
    expect(await body(named)).toBe("401");
    // Who is found by one host is not sent on with another's name.
    const headers = { "content-type": "application/grpc", dsthost: "outer.example.com" };
    const seen = JSON.parse(await body({ ...named, headers })) as Record<string, string>;
    expect([seen["host"], seen["x-forwarded-host"]]).toEqual(["outer.example.com", "outer.example.com"]);
    expect(await body({ host: "outer.example.com", headers: { ...headers, dsthost: "inner.example.com" } })).toBe(
      "401",
    );
  });

  test("no upgrade makes a tunnel in which requests are asked for unseen", async () => {
    const asked = (protocol: string) =>
      `GET /headers HTTP/1.1\r\nHost: parts.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`;
    for (const [protocol, status] of [
      ["h2c", "200"],
      ["H2C", "200"],
      ["tests", "101"],
    ] as const) {
      const connection = await rawConnection(scene.home.httpPort);
      connection.write(asked(protocol));
      const answer = (await connection.until((received) => received.includes("\r\n\r\n"))).toString();
      connection.destroy();
      expect([protocol, answer.slice(9, 12)]).toEqual([protocol, status]);
    }
  });

  test("haproxy.allow", async () => {
    const host = `allowing.${own}`;
    for (const client of ["10.1.2.3", "fe80::1", "192.0.2.200", "::ffff:10.1.2.3"]) {
      expect([client, await body(from(client, { host }))]).toEqual([client, "allowing"]);
    }
    for (const client of ["11.1.2.3", "fec0::1", "192.0.2.100", "a00::1"]) {
      expect([client, await body(from(client, { host }))]).toEqual([client, "403"]);
    }
    expect(refused("bad-allow")).toContain("is not an address or network");
  });

  test("haproxy.deny", async () => {
    const denying = `denying.${own}`;
    expect(await body(from("10.9.2.3", { host: denying }))).toBe("403");
    expect(await body(from("10.8.2.3", { host: denying }))).toBe("denying");
    expect(await body(from("a09::1", { host: denying }))).toBe("denying");
    const both = `both.${own}`;
    expect(await body(from("10.9.2.3", { host: both }))).toBe("403");
    expect(await body(from("10.8.2.3", { host: both }))).toBe("both");
    expect(await body(from("11.8.2.3", { host: both }))).toBe("403");
  });

  test("haproxy.rate", async () => {
    const host = `rated.${own}`;
    const answers: string[] = [];
    for (let count = 0; count < 6; count += 1) answers.push(await body(from("10.0.0.1", { host })));
    expect(answers).toEqual(["rated", "rated", "rated", "429", "429", "429"]);
    expect(await body(from("10.0.0.2", { host }))).toBe("rated");
    expect(refused("bad-rate")).toContain("is not a rate");
  });
});

describe("other origins", () => {
  const host = `cors.${own}`;
  const preflight = (origin: string, more: Record<string, string> = {}) =>
    get({
      host,
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "X-Asked",
        ...more,
      },
    });

  test("haproxy.cors.origin", async () => {
    const { headers, body: answered } = await get({ host, headers: { origin: "https://b.example.com" } });
    expect(answered).toBe("cors");
    expect(headers["access-control-allow-origin"]).toBe("https://b.example.com");
    expect(headers["vary"]).toBe("Origin");
    const other = await get({ host, headers: { origin: "https://evil.example.com" } });
    expect(other.headers["access-control-allow-origin"]).toBeUndefined();
    expect((await preflight("https://evil.example.com")).status).toBe(403);
    expect((await preflight("https://b.example.com")).status).toBe(204);
    const open = await get({ host: `open-cors.${own}`, headers: { origin: "https://evil.example.com" } });
    expect(open.headers["access-control-allow-origin"]).toBe("*");
    expect(open.headers["access-control-allow-credentials"]).toBeUndefined();
    // OPTIONS without that question is the service's.
    expect(await body({ host, method: "OPTIONS" })).toBe("cors");
  });

  test("haproxy.cors.methods", async () => {
    expect((await preflight("https://b.example.com")).headers["access-control-allow-methods"]).toBe("GET, PATCH");
  });

  test("haproxy.cors.headers", async () => {
    expect((await preflight("https://b.example.com")).headers["access-control-allow-headers"]).toBe("X-One, X-Two");
    const open = await get({
      host: `open-cors.${own}`,
      method: "OPTIONS",
      headers: {
        origin: "https://b.example.com",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "X-Asked",
      },
    });
    expect(open.headers["access-control-allow-headers"]).toBe("X-Asked");
    expect(open.headers["access-control-max-age"]).toBeUndefined();
  });

  test("haproxy.cors.credentials", async () => {
    const { headers } = await get({ host, headers: { origin: "https://app.example.com" } });
    expect(headers["access-control-allow-credentials"]).toBe("true");
  });

  test("haproxy.cors.max-age", async () => {
    expect((await preflight("https://b.example.com")).headers["access-control-max-age"]).toBe("600");
  });
});

describe("shares", () => {
  const host = "canary.example.com";

  test("haproxy.canary.weight", async () => {
    const { "canary-1": canary = 0, ...stable } = await counted({ host }, 600);
    expect(canary).toBeGreaterThan(30);
    expect(canary).toBeLessThan(100);
    expect(Object.keys(stable).sort()).toEqual(["stable-1", "stable-2", "stable-3"]);
  });

  test("haproxy.canary.header", async () => {
    expect(await counted({ host, headers: { "x-canary": "always" } }, 20)).toEqual({ "canary-1": 20 });
    expect((await counted({ host, headers: { "x-canary": "never" } }, 20))["canary-1"] ?? 0).toBeLessThan(15);
  });

  test("haproxy.canary.cookie", async () => {
    expect(await counted({ host, headers: { cookie: "a=b; canary=always; c=d" } }, 20)).toEqual({ "canary-1": 20 });
    expect((await counted({ host, headers: { cookie: "xcanary=always" } }, 20))["canary-1"] ?? 0).toBeLessThan(15);
  });

  test("haproxy.canary.sticky", async () => {
    const sides = new Set<string>();
    for (let client = 0; client < 12; client += 1) {
      const first = await get({ host: "sticky.example.com" });
      const [cookie = ""] = [first.headers["set-cookie"]].flat();
      expect(cookie).toMatch(/^sluice_side=[0-9a-f]{8}; Path=\/; HttpOnly; SameSite=Lax$/);
      sides.add(first.body);
      const kept = { host: "sticky.example.com", headers: { cookie: cookie.split(";")[0] ?? "" } };
      expect(await counted(kept, 6)).toEqual({ [first.body]: 6 });
      expect((await get(kept)).headers["set-cookie"]).toBeUndefined();
    }
    expect([...sides].sort()).toEqual(["sticky-new", "sticky-old"]);
    expect(await body({ host: "sticky.example.com", headers: { cookie: "sluice_side=00000000/1" } })).toMatch(
      /^sticky-/,
    );
  });

  test("services that want the same route share it by their instances", async () => {
    const { "share-b": other = 0, ...rest } = await counted({ host: "shared.example.com" }, 400);
    expect(Object.keys(rest).sort()).toEqual(["share-a-1", "share-a-2", "share-a-3"]);
    expect(other).toBeGreaterThan(60);
    expect(other).toBeLessThan(150);
  });
});

describe("nobody there", () => {
  test("a service without instances answers 503, and nobody else for it; what no route matches is 404", async () => {
    const { status, body: page } = await get({ host: "empty.example.com", path: "/x" });
    expect(status).toBe(503);
    expect(page).not.toContain("beside-empty");
    expect(await body({ host: "empty.example.com", path: "/else" })).toBe("beside-empty");
    expect(await body({ host: "nobody.example.com" })).toBe("404");
  });

  test("routes and options change, and a service comes and goes, without a reload", async () => {
    const host = "coming.example.com";
    await scene.reload();
    await scene.withoutReload(async () => {
      await scene.add("last", ["haproxy.enable=true", `haproxy.host=${host}`], { name: "last" });
      await eventually("the new host answers", async () => (await body({ host })) === "last", 20_000);
      await scene.add("last", [`haproxy.host=${host}`, "haproxy.auth=staff", "haproxy.path=/in"], { name: "last" });
      await eventually("it is guarded", async () => (await body({ host, path: "/in" })) === "401", 20_000);
      await eventually("the other path is gone", async () => (await body({ host })) === "404", 20_000);
      // What left while it still accepts connections would be held.
      await scene.instance("last").stop();
      await scene.remove("last");
      await eventually(
        "nobody is there",
        async () => (await body({ host, path: "/in", auth: "ann:secret" })) === "503",
        60_000,
      );
      await scene.add("last", [`haproxy.host=${host}`, "haproxy.auth=staff"], { name: "last" });
      await eventually("it is back", async () => (await body({ host, auth: "ann:secret" })) === "last", 20_000);
    });
  });
});
