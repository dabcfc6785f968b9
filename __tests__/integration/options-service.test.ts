import { once } from "node:events";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { request } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { startGrpcHealth } from "../support/grpc-health.ts";
import { startInstanceProcess } from "../support/instance-process.ts";
import { OptionsScene, serverState } from "../support/options-scene.ts";
import { eventually, liveConfig } from "../support/sluice.ts";
import { answers, ask, bodies, statusNow } from "../support/system.ts";

/**
 * Each option of a service as its tags have it, in a backend that runs: what it changes for a request. All services are
 * there from the start; a test that lets servers come and go says so.
 */

jest.setTimeout(120_000);

const shipped = fileURLToPath(new URL("../../haproxy/", import.meta.url));
const shopPage = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nthe shop is closed";

let scene: OptionsScene;

beforeAll(async () => {
  scene = await OptionsScene.begin(async (home) => {
    const template = path.join(home.directory, "template");
    await mkdir(path.join(template, "errors"), { recursive: true });
    await copyFile(path.join(shipped, "haproxy.cfg.njk"), path.join(template, "haproxy.cfg.njk"));
    await writeFile(path.join(template, "errors", "shop.http"), shopPage);
    await writeFile(path.join(template, "errors", "broken.http"), "no page at all");
    return { template: path.join(template, "haproxy.cfg.njk") };
  });
  await register();
  await scene.run();
});
afterAll(() => scene.end());

async function register(): Promise<void> {
  const { add } = scene;
  await add("enabled", ["haproxy.enable=true"]);
  await add("plain", ["v1"]);
  await add("hidden", ["haproxy.enable=false", "haproxy.host=hidden.example.com"]);
  for (const name of ["hash-1", "hash-2", "hash-3"]) await add("hash", ["haproxy.balance=uri"], { name });
  await add("retrying", ["haproxy.retries=2"]);
  await add("trying-once", ["haproxy.retries=0"]);
  await add("impatient", ["haproxy.timeout.server=300ms"]);
  for (const queue of ["300ms", "20s"]) {
    await add(`queue-${queue}`, [`haproxy.timeout.queue=${queue}`, "haproxy.maxconn=1"]);
  }
  await add("tunnel", ["haproxy.timeout.tunnel=500ms"]);
  await add("checked", ["haproxy.check=http", "haproxy.check.interval=200ms"]);
  await add("unchecked", ["haproxy.check=off", "haproxy.check.interval=200ms"]);
  await add("checked-path", ["haproxy.check=http", "haproxy.check.path=/health", "haproxy.check.interval=200ms"]);
  await add("checked-method", ["haproxy.check=http", "haproxy.check.method=HEAD", "haproxy.check.interval=200ms"]);
  await add("checked-status", [
    "haproxy.check=http",
    "haproxy.check.path=/health",
    "haproxy.check.status=200,418",
    "haproxy.check.interval=200ms",
  ]);
  await add("checked-host", ["haproxy.check=http", "haproxy.check.host=asked.example.com"]);
  await add("fast-checks", ["haproxy.check=http", "haproxy.check.path=/health", "haproxy.check.interval=200ms"]);
  await add("slow-checks", ["haproxy.check=http", "haproxy.check.path=/health", "haproxy.check.interval=1m"]);
  for (const name of ["sticky-1", "sticky-2"]) await add("sticky", ["haproxy.sticky=SERVED_BY"], { name });
  await add("partly", ["haproxy.sticky=AT"], { name: "partly-1" });
  await add("partly", ["haproxy.sticky=AT", "haproxy.host=part.example.com"], { name: "partly-2" });
  await add("compressed", ["haproxy.compression=text/html,application/json"]);
  await add("headers", [
    "haproxy.request-header.set=X-Env: prod %[env(HOME)] 100%",
    "haproxy.request-header.add=X-Via: sluice",
    'haproxy.request-header.add=X-Quoted: "a" #b \\ $HOME',
    "haproxy.request-header.del=X-Debug,X-Trace",
    "haproxy.response-header.set=X-Frame-Options: DENY",
    "haproxy.response-header.add=X-Powered-By: sluice",
  ]);
  await add("bare-headers", ["haproxy.response-header.del=X-Powered-By"]);
  await add("shop", ["haproxy.error-page=shop"], { status: "critical" });
  await add("no-page", ["haproxy.error-page=nowhere"], { status: "critical" });
  await add("panic", ["haproxy.panic=serve"], { status: "critical" });
  await add("calm", ["haproxy.enable=true"], { status: "critical" });
  await add("admitted", ["haproxy.admit=after-check"], { name: "admitted-1" });
}

const get = (service: string, path_ = "/", headers: Record<string, string> = {}) =>
  ask(scene.home.httpPort, { host: `${service}.service.local`, path: path_, headers });

describe("whether and how it is reached", () => {
  test("haproxy.enable", async () => {
    expect(await get("enabled")).toMatchObject({ status: 200, body: "enabled" });
    expect((await get("plain")).status).toBe(404);
    expect((await get("hidden")).status).toBe(404);
    expect((await ask(scene.home.httpPort, { host: "hidden.example.com" })).status).toBe(404);
  });

  test("haproxy.balance: each path has its server, also when another one joins at run time", async () => {
    const place = async (path_: string) => {
      const found = new Set<string>();
      for (let count = 0; count < 4; count += 1) found.add((await get("hash", path_)).body);
      expect(found.size).toBe(1);
      return [...found][0];
    };
    const paths = [...Array(24).keys()].map((index) => `/${index}`);
    const before = [];
    for (const one of paths) before.push(await place(one));
    expect(new Set(before).size).toBe(3);
    await scene.withoutReload(async () => {
      await scene.add("hash", ["haproxy.balance=uri"], { name: "hash-4" });
      await eventually("the fourth serves", async () => (await hashed(paths)).has("hash-4"), 20_000);
    });
    const moved = [];
    for (const [index, one] of paths.entries()) if ((await place(one)) !== before[index]) moved.push(one);
    // Consistent: what moved went to the new one.
    for (const one of moved) expect(await place(one)).toBe("hash-4");
    expect(moved.length).toBeLessThan(paths.length);
  });

  test("haproxy.retries", async () => {
    const tries = async (service: string) => {
      expect((await get(service, "/drop")).status).toBe(502);
      return scene.instance(service).seen.filter(({ path: asked }) => asked === "/drop").length;
    };
    expect(await tries("retrying")).toBe(3);
    expect(await tries("trying-once")).toBe(1);
  });
});

async function hashed(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const one of paths) found.add((await get("hash", one)).body);
  return found;
}

describe("how long it may take", () => {
  test("haproxy.timeout.connect", async () => {
    const silent = await startInstanceProcess("silent", 1);
    scene.scene.defer(() => silent.kill());
    await scene.join("silent", ["haproxy.timeout.connect=200ms", "haproxy.retries=0", "haproxy.check=off"], silent);
    await answers(scene.home, "silent.service.local");
    await silent.vanish();
    const { status, ms } = await timed(() => get("silent"));
    expect(status).toBe(503);
    // 1 s is what others wait.
    expect(ms).toBeGreaterThanOrEqual(190);
    expect(ms).toBeLessThan(900);
  });

  test("haproxy.timeout.server", async () => {
    expect(await get("impatient", "/slow?ms=50")).toMatchObject({ status: 200 });
    expect((await timed(() => get("impatient", "/slow?ms=4000"))).status).toBe(504);
  });

  test("haproxy.timeout.queue", async () => {
    const first = get("queue-300ms", "/slow?ms=1500");
    await eventually("the first is there", () => scene.instance("queue-300ms").mostOpen() > 0);
    const { status, ms } = await timed(() => get("queue-300ms"));
    expect(status).toBe(503);
    expect(ms).toBeLessThan(1_400);
    expect((await first).status).toBe(200);

    const slow = get("queue-20s", "/slow?ms=1000");
    await eventually("the first is there", () => scene.instance("queue-20s").mostOpen() > 0);
    expect((await get("queue-20s")).status).toBe(200);
    expect((await slow).status).toBe(200);
    expect(scene.instance("queue-20s").mostOpen()).toBe(1);
  });

  test("haproxy.timeout.tunnel", async () => {
    const started = performance.now();
    const outgoing = request({
      host: "127.0.0.1",
      port: scene.home.httpPort,
      headers: { host: "tunnel.service.local", connection: "upgrade", upgrade: "tests" },
      agent: false,
    });
    outgoing.end();
    const [response, socket] = await once(outgoing, "upgrade");
    expect(response.statusCode).toBe(101);
    socket.resume();
    await once(socket, "close");
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

async function timed<T extends { readonly status: number }>(task: () => Promise<T>) {
  const started = performance.now();
  const { status } = await task();
  return { status, ms: performance.now() - started };
}

describe("HAProxy's own check", () => {
  const isUp = (service: string) => async () => (await serverState(scene.home, service)).up;
  const isDown = (service: string) => async () => !(await serverState(scene.home, service)).up;

  test("haproxy.check", async () => {
    await eventually("the check of http is passed", async () =>
      /^L7OK/.test((await serverState(scene.home, "checked")).check),
    );
    expect((await serverState(scene.home, "unchecked")).check).toBe("");
    expect((await serverState(scene.home, "enabled")).check).not.toMatch(/^L7/);
    expect(scene.instance("checked").seen).toContainEqual(
      expect.objectContaining({ method: "GET", path: "/", host: "checked.service.local", version: "1.1" }),
    );
    expect(scene.instance("unchecked").seen).toEqual([]);
    // Off is off for a server that joins, too.
    await scene.withoutReload(async () => {
      await scene.add("unchecked", ["haproxy.check=off", "haproxy.check.interval=200ms"], { name: "unchecked-2" });
      await eventually("both serve", async () => (await bodies(scene.home, "unchecked.service.local", 6)).length === 2);
    });
  });

  test("haproxy.check.path", async () => {
    const instance = scene.instance("checked-path");
    await eventually("it is up", isUp("checked-path"));
    instance.health = 500;
    await eventually("its check failed", isDown("checked-path"), 20_000);
    expect((await get("checked-path")).status).toBe(503);
    instance.health = 200;
    await eventually("its check passed", isUp("checked-path"), 20_000);
    expect(await get("checked-path")).toMatchObject({ status: 200, body: "checked-path" });
  });

  test("haproxy.check.method", async () => {
    await eventually("it was asked", () => scene.instance("checked-method").seen.length > 0);
    expect(scene.instance("checked-method").seen[0]).toMatchObject({ method: "HEAD", path: "/" });
  });

  test("haproxy.check.status", async () => {
    const instance = scene.instance("checked-status");
    await eventually("it is up", isUp("checked-status"));
    instance.health = 418;
    const asked = instance.seen.length;
    await eventually("it was asked again", () => instance.seen.length > asked + 3, 20_000);
    expect(await serverState(scene.home, "checked-status")).toMatchObject({ up: true, check: "L7OK" });
    // Well for others, not for this one.
    instance.health = 204;
    await eventually("its check failed", isDown("checked-status"), 20_000);
  });

  test("haproxy.check.host", async () => {
    await eventually("it was asked", () => scene.instance("checked-host").seen.length > 0, 20_000);
    expect(scene.instance("checked-host").seen[0]?.host).toBe("asked.example.com");
  });

  test("haproxy.check.service: a check of gRPC asks for the health of one service", async () => {
    const health = await startGrpcHealth({ "shop.Orders": true });
    scene.scene.defer(() => health.stop());
    const instance = { name: "orders", port: health.port };
    const tags = ["haproxy.check=grpc", "haproxy.protocol=grpc", "haproxy.check.interval=200ms"];
    await scene.join("orders", [...tags, "haproxy.check.service=shop.Orders"], instance);
    await scene.join("unknown-to-it", [...tags, "haproxy.check.service=shop.Unknown"], {
      name: "unknown-to-it",
      port: health.port,
    });
    const check = async (service: string) => (await serverState(scene.home, service)).check;
    await eventually("its check passed", async () => (await check("orders")) === "L7OK", 20_000);
    await eventually("the other's failed", isDown("unknown-to-it"), 20_000);
    health.set("shop.Orders", false);
    await eventually("its check failed", isDown("orders"), 20_000);
    health.set("shop.Orders", true);
    await eventually("its check passed again", isUp("orders"), 20_000);
    expect(health.asked).toContain("shop.Orders");
  });

  test("haproxy.check.interval", async () => {
    const [fast, slow] = [scene.instance("fast-checks"), scene.instance("slow-checks")];
    const before = [fast.seen.length, slow.seen.length] as const;
    await eventually("many checks", () => fast.seen.length > before[0] + 10, 20_000);
    expect(slow.seen.length - before[1]).toBeLessThan(3);
  });
});

test("haproxy.sticky: a client stays with its server, also with one that joined at run time", async () => {
  const cookieOf = (answer: Awaited<ReturnType<typeof get>>) =>
    String(answer.headers["set-cookie"] ?? "").split(";")[0];
  const stays = async (cookie: string) => {
    const found = new Set<string>();
    for (let count = 0; count < 6; count += 1) found.add((await get("sticky", "/", { cookie })).body);
    return [...found];
  };
  const cookies = new Map<string, string>();
  const meet = async (name: string) => {
    await eventually(
      `a first answer of ${name}`,
      async () => {
        const answer = await get("sticky");
        if (answer.body === name) cookies.set(name, cookieOf(answer) ?? "");
        return cookies.has(name);
      },
      20_000,
    );
    expect(cookies.get(name)).toMatch(/^SERVED_BY=[0-9a-f]+$/);
  };
  await meet("sticky-1");
  await meet("sticky-2");
  await scene.withoutReload(async () => {
    await scene.add("sticky", ["haproxy.sticky=SERVED_BY"], { name: "sticky-3" });
    await meet("sticky-3");
    expect(new Set(cookies.values()).size).toBe(3);
    for (const [name, cookie] of cookies) expect(await stays(cookie)).toEqual([name]);
    // Who was with one that left is with another, and stays there.
    await scene.remove("sticky-2");
    await eventually(
      "it has left",
      async () => !(await bodies(scene.home, "sticky.service.local", 8)).includes("sticky-2"),
    );
    const moved = await get("sticky", "/", { cookie: cookies.get("sticky-2") ?? "" });
    expect(moved.status).toBe(200);
    expect(await stays(cookieOf(moved) ?? "")).toEqual([moved.body]);
    expect(await stays(cookies.get("sticky-3") ?? "")).toEqual(["sticky-3"]);
  });
  // The server is not told, and nothing of it is told.
  expect((await get("sticky", "/headers", { cookie: `a=b; ${cookies.get("sticky-1")}` })).body).not.toContain(
    "SERVED_BY",
  );
  await scene.reload();
  expect(await stays(cookies.get("sticky-3") ?? "")).toEqual(["sticky-3"]);
});

test("a client that stays with one server is still sent to those alone that ask for the route", async () => {
  const cookies = new Map<string, string>();
  await eventually("a cookie of each", async () => {
    const { body, headers } = await get("partly");
    cookies.set(body, String(headers["set-cookie"] ?? "").split(";")[0] ?? "");
    return cookies.size === 2;
  });
  for (let count = 0; count < 4; count += 1) {
    for (const cookie of cookies.values()) {
      const { status, body } = await ask(scene.home.httpPort, { host: "part.example.com", headers: { cookie } });
      expect({ status, body }).toEqual({ status: 200, body: "partly-2" });
    }
  }
});

test("haproxy.compression", async () => {
  const encoded = async (type: string, more = "", accept = "gzip") =>
    (await get("compressed", `/page?type=${type}${more}`, { "accept-encoding": accept })).headers["content-encoding"];
  expect(await encoded("text/html")).toBe("gzip");
  expect(await encoded("application/json")).toBe("gzip");
  expect(await encoded("image/png")).toBeUndefined();
  expect(await encoded("text/html", "", "identity")).toBeUndefined();
  const already = await get("compressed", "/page?type=text/html&zipped=1", { "accept-encoding": "gzip" });
  expect(already.headers["content-encoding"]).toBe("gzip");
  expect(
    (await get("enabled", "/page?type=text/html", { "accept-encoding": "gzip" })).headers["content-encoding"],
  ).toBe(undefined);
});

describe("headers", () => {
  const told = async (headers: Record<string, string> = {}) =>
    JSON.parse((await get("headers", "/headers", headers)).body) as Record<string, string>;

  test("haproxy.request-header.set: nothing in it is evaluated", async () => {
    expect((await told({ "x-env": "theirs" }))["x-env"]).toBe("prod %[env(HOME)] 100%");
  });

  test("haproxy.request-header.add", async () => {
    const headers = await told({ "x-via": "theirs" });
    expect(headers["x-via"]).toBe("theirs, sluice");
    expect(headers["x-quoted"]).toBe('"a" #b \\ $HOME');
  });

  test("haproxy.request-header.del", async () => {
    const headers = await told({ "x-debug": "1", "x-trace": "1", "x-kept": "1" });
    expect(headers).not.toHaveProperty("x-debug");
    expect(headers).not.toHaveProperty("x-trace");
    expect(headers["x-kept"]).toBe("1");
  });

  test("haproxy.response-header.set", async () => {
    expect((await get("headers")).headers["x-frame-options"]).toBe("DENY");
  });

  test("haproxy.response-header.add", async () => {
    expect((await get("headers")).headers["x-powered-by"]).toBe("tests, sluice");
  });

  test("haproxy.response-header.del", async () => {
    expect((await get("enabled")).headers["x-powered-by"]).toBe("tests");
    expect((await get("bare-headers")).headers).not.toHaveProperty("x-powered-by");
  });
});

test("haproxy.error-page: its own page; one that is not there costs itself only, and is named", async () => {
  expect(await get("shop")).toMatchObject({ status: 503, body: "the shop is closed" });
  const { status, body } = await get("no-page");
  expect(status).toBe(503);
  expect(body).toContain("Not available right now");
  expect(scene.excluded()).toContainEqual(
    expect.objectContaining({ service: "no-page", reason: expect.stringContaining("errors/nowhere.http") }),
  );
});

test("a page that HAProxy does not take costs the service that asks for it", async () => {
  await scene.add("broken-page", ["haproxy.error-page=broken"]);
  await scene.add("beside-it", ["haproxy.enable=true"]);
  await eventually("the other is reached", async () => (await get("beside-it")).status === 200, 30_000);
  expect((await get("broken-page")).status).not.toBe(200);
  await eventually("it is said whose fault it is", async () => {
    const { reconciler } = await statusNow(scene.home);
    return JSON.stringify(reconciler.quarantined).includes("broken-page");
  });
  await scene.remove("broken-page");
});

test("haproxy.panic", async () => {
  expect(await get("panic")).toMatchObject({ status: 200, body: "panic" });
  expect((await get("calm")).status).toBe(503);
});

test("haproxy.admit: one that joins waits for HAProxy's first good check", async () => {
  const port = await scene.freePort();
  const tags = ["haproxy.admit=after-check"];
  await scene.join("admitted", tags, { name: "admitted-2", port });
  const weight = async () => / admitted-2\S* \S+ weight (\d+)/.exec(await liveConfig(scene.home))?.[1];
  await eventually("it is in the file", async () => (await weight()) !== undefined, 20_000);
  expect(await weight()).toBe("0");
  expect(await bodies(scene.home, "admitted.service.local", 6)).toEqual(["admitted-1"]);
  await scene.start("admitted-2", { port });
  await eventually("it is let in", async () => (await weight()) !== "0", 20_000);
  await eventually("both serve", async () => (await bodies(scene.home, "admitted.service.local", 6)).length === 2);
});
