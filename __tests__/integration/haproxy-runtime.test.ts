import { writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { RuntimeOperation } from "../../src/haproxy/plan/types.ts";
import type { RuntimeClient } from "../../src/haproxy/runtime/client.ts";
import { eventually } from "../support/eventually.ts";
import { type HaproxyHome, haproxyHome, type NamedServer, namedServer } from "../support/haproxy-process.ts";

let home: HaproxyHome;
let runtime: RuntimeClient;
let map: string;
let web: readonly NamedServer[];
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

beforeAll(async () => {
  home = await haproxyHome();
  map = path.join(home.directory, "hosts.map");
  await writeFile(map, "/old b\n");
  web = [await namedServer("one"), await namedServer("two"), await namedServer("slow", 1_500)];
  await home.write(`
frontend f
  bind 127.0.0.1:${home.port}
  http-request return status 200 content-type text/plain string "from the map" if { path,map(${map}) -m found }
  default_backend b
backend b
  balance roundrobin
backend other
  balance roundrobin
  server s 127.0.0.1:${web[0]?.port ?? 0} weight 7 disabled`);
  await home.managed().adoptOrStart();
  runtime = home.runtime();
  await runtime.reconnect();
}, 30_000);

afterAll(async () => {
  agent.destroy();
  await home.remove();
  for (const server of web) await server.close();
}, 30_000);

describe("operations on a real HAProxy", () => {
  test("what it can do is known by its version", () => {
    const capabilities = runtime.capabilities();
    const [major = 0, minor = 0] = capabilities?.version ?? [];
    expect(major * 100 + minor).toBeGreaterThanOrEqual(206);
    expect(capabilities).toMatchObject({ needsPoolKeywords: major < 3, wait: major >= 3 });
    expect(capabilities?.versionText).toMatch(/^[0-9]+\.[0-9]+/);
  });

  test("servers join, change weight, leave, come back and are deleted, and traffic follows", async () => {
    expect((await get("/")).status).toBe(503);
    const joined = await runtime.apply([add("one", 0, 3), add("two", 1, 3, ["check", "inter", "1h"])]);
    expect(joined).toEqual([{ ok: true }, { ok: true }]);
    expect(await answersOf(6)).toEqual(new Set(["one", "two"]));
    const { servers, structure, worker } = await runtime.observe(["b"]);
    expect(structure).toBe("test-structure");
    expect(home.pids()).toContain(worker.pid);
    expect(worker.stopping).toBe(false);
    expect(servers).toEqual([
      { ...seen("one", 0, 3), check: "none" },
      { ...seen("two", 1, 3), check: expect.any(String) },
    ]);

    expect(await runtime.apply([{ kind: "set-weight", backend: "b", server: "one", weight: 0 }])).toEqual([
      { ok: true },
    ]);
    expect(await answersOf(4)).toEqual(new Set(["two"]));
    const swapped = await runtime.apply([
      { kind: "revive-server", backend: "b", server: "one", weight: 9, check: false },
      { kind: "retire-server", backend: "b", server: "two" },
    ]);
    expect(swapped).toEqual([{ ok: true }, { ok: true }]);
    expect(await answersOf(4)).toEqual(new Set(["one"]));
    expect((await runtime.observe(["b"])).servers).toMatchObject([
      { name: "one", weight: 9, maintenance: false },
      { name: "two", weight: 3, maintenance: true },
    ]);

    expect(await runtime.deleteServer("b", "one", false)).toMatchObject({
      kind: "refused",
      answer: "Only servers in maintenance mode can be deleted.",
    });
    expect(await deleted("two")).toBe(true);
    expect(await runtime.deleteServer("b", "two", false)).toEqual({ kind: "gone" });
    expect(await runtime.deleteServer("no-such-backend", "two", false)).toEqual({ kind: "gone" });
    expect(await answersOf(4)).toEqual(new Set(["one"]));
  });

  test("a server with idle connections is busy for a moment, then deleted", async () => {
    await runtime.apply([add("idle", 0, 1)]);
    expect(await answersOf(20)).toContain("one");
    await runtime.apply([{ kind: "retire-server", backend: "b", server: "idle" }]);
    expect(await deleted("idle")).toBe(true);
  });

  test("a server that carries a request stays until it is done, or until its sessions are shut", async () => {
    await runtime.apply([add("slow", 2, 200), { kind: "retire-server", backend: "b", server: "one" }]);
    const patient = get("/");
    await eventually(() => web[2]?.openRequests() === 1, "the request under way");
    await runtime.apply([{ kind: "retire-server", backend: "b", server: "slow" }]);
    expect(await runtime.deleteServer("b", "slow", false)).toEqual({ kind: "busy" });
    expect((await patient).body).toBe("slow");

    await runtime.apply([{ kind: "revive-server", backend: "b", server: "slow", weight: 1, check: false }]);
    const cut = get("/").catch(() => ({ status: 0, body: "" }));
    await eventually(() => web[2]?.openRequests() === 1, "the request under way");
    await runtime.apply([{ kind: "retire-server", backend: "b", server: "slow" }]);
    expect(await deleted("slow", true)).toBe(true);
    expect((await cut).status).not.toBe(200);
  });

  test("each refusal is told apart from its neighbours", async () => {
    const results = await runtime.apply([
      add("first", 0, 1),
      add("first", 0, 1),
      { kind: "set-weight", backend: "b", server: "nobody", weight: 1 },
      {
        kind: "add-server",
        backend: "b",
        server: "odd",
        address: "127.0.0.1",
        port: 1,
        weight: 1,
        options: ["chekc"],
        check: false,
      },
      {
        kind: "add-server",
        backend: "b",
        server: "a#b",
        address: "127.0.0.1",
        port: 1,
        weight: 1,
        options: [],
        check: false,
      },
      { kind: "revive-server", backend: "b", server: "first", weight: 1, check: true },
      { kind: "set-state", backend: "b", server: "first", state: "maint" },
    ]);
    expect(results).toMatchObject([
      { ok: true },
      { ok: false, answer: "Already exists a server with the same name in backend." },
      { ok: false, command: "set server b/nobody weight 1", answer: "No such server." },
      { ok: false, answer: expect.stringContaining("chekc") },
      { ok: false, answer: expect.stringContaining("is not permitted") },
      {
        ok: false,
        command: "enable health b/first",
        answer: expect.stringContaining("Health check was not configured"),
      },
      { ok: true },
    ]);
  });

  test("an IPv6 address is carried in brackets and read back in one form", async () => {
    const result = await runtime.apply([
      {
        kind: "add-server",
        backend: "b",
        server: "six",
        address: "fe80:0::1",
        port: 8080,
        weight: 0,
        options: [],
        check: false,
      },
    ]);
    expect(result).toEqual([{ ok: true }]);
    const { servers } = await runtime.observe(["b", "no-such-backend"]);
    expect(servers.find(({ name }) => name === "six")).toMatchObject({ address: "fe80::1", port: 8080, weight: 0 });
  });

  test("a server the file has disabled is seen in maintenance", async () => {
    const { servers } = await runtime.observe();
    expect(servers.find(({ backend }) => backend === "other")).toMatchObject({
      maintenance: true,
      weight: 7,
      drain: false,
    });
  });

  test("500 servers come and go in one batch each", async () => {
    const names = Array.from({ length: 500 }, (_, index) => `bulk${index}`);
    const added = await runtime.apply(names.map((name) => add(name, 0, 1)));
    expect(added.filter(({ ok }) => !ok)).toEqual([]);
    const retired = await runtime.apply(
      names.map((server): RuntimeOperation => ({ kind: "retire-server", backend: "b", server })),
    );
    expect(retired.filter(({ ok }) => !ok)).toEqual([]);
    for (const name of names) expect(await deleted(name)).toBe(true);
    const { servers } = await runtime.observe(["b"]);
    expect(servers.filter(({ name }) => name.startsWith("bulk"))).toEqual([]);
  });
});

describe("maps on a real HAProxy", () => {
  test("10,000 entries are replaced in one transaction and read back as they are", async () => {
    const entries = Array.from({ length: 10_000 }, (_, index) => ({
      key: `/path/${index}/é`,
      value: index % 3 === 0 ? `b strip="/x y";a\\b # ${index}` : `b${index}`,
    }));
    expect(await runtime.apply([{ kind: "replace-map", file: map, entries }])).toEqual([{ ok: true }]);
    expect(await runtime.readMap(map)).toEqual(entries);
    expect((await get("/old")).body).not.toBe("from the map");
  });

  test("empty values, one entry, none", async () => {
    const entries = [
      { key: "/empty", value: "" },
      { key: "/next", value: "b" },
    ];
    expect(await runtime.apply([{ kind: "replace-map", file: map, entries }])).toEqual([{ ok: true }]);
    expect(await runtime.readMap(map)).toEqual(entries);
    expect((await get("/next")).body).toBe("from the map");
    expect(await runtime.apply([{ kind: "replace-map", file: map, entries: [] }])).toEqual([{ ok: true }]);
    expect(await runtime.readMap(map)).toEqual([]);
  });

  test("a map that is not loaded is a failure, behind which no map is changed, and is read as undefined", async () => {
    const entries = [{ key: "/x", value: "b" }];
    const before = await runtime.readMap(map);
    const missing = { ok: false, answer: expect.stringContaining("Unknown map identifier") };
    const results = await runtime.apply([
      { kind: "replace-map", file: "/no/such.map", entries },
      { kind: "replace-map", file: map, entries },
      { kind: "set-weight", backend: "other", server: "s", weight: 8 },
    ]);
    expect(results).toMatchObject([missing, { ok: false, answer: expect.stringContaining("not sent") }, { ok: true }]);
    expect(await runtime.readMap("/no/such.map")).toBeUndefined();
    expect(await runtime.readMap(map)).toEqual(before);
    expect(await runtime.apply([edit({ file: "/no/such.map", add: entries })])).toMatchObject([missing]);
  });

  test("entries come, change and go one by one, whatever is in them", async () => {
    const odd = [
      { key: "/a;b\\1\"'", value: "b|/s p|\"'\\1;x" },
      { key: "/é#", value: "b" },
      { key: "^c1\\x20(GET|HEAD)\\x20(?s).*\\r\\n", value: "b|x" },
    ];
    const changed = odd.map(({ key }) => ({ key, value: `other; \\ ${key} |` }));
    await runtime.apply([{ kind: "replace-map", file: map, entries: [{ key: "/stays", value: "b" }] }]);
    expect(await runtime.apply([edit({ add: odd })])).toEqual([{ ok: true }]);
    expect(await runtime.readMap(map)).toEqual([{ key: "/stays", value: "b" }, ...odd]);
    expect(await runtime.apply([edit({ set: changed })])).toEqual([{ ok: true }]);
    expect(await runtime.readMap(map)).toEqual([{ key: "/stays", value: "b" }, ...changed]);
    expect(await runtime.apply([edit({ delete: odd.map(({ key }) => key) })])).toEqual([{ ok: true }]);
    expect(await runtime.readMap(map)).toEqual([{ key: "/stays", value: "b" }]);
    expect((await get("/stays")).body).toBe("from the map");
  });

  test("of a key that is there twice, a change and a deletion mean both", async () => {
    const twice = { key: "/twice", value: "b" };
    await runtime.apply([edit({ add: [twice] }), edit({ add: [{ ...twice, value: "other" }] })]);
    expect((await get("/twice")).body).toBe("from the map");
    await runtime.apply([edit({ set: [{ ...twice, value: "nowhere" }] })]);
    const values = ((await runtime.readMap(map)) ?? []).filter(({ key }) => key === "/twice");
    expect(values).toEqual([1, 2].map(() => ({ key: "/twice", value: "nowhere" })));
    expect(await runtime.apply([edit({ delete: ["/twice"] })])).toEqual([{ ok: true }]);
    expect(((await runtime.readMap(map)) ?? []).filter(({ key }) => key === "/twice")).toEqual([]);
  });

  test("to change or delete what is not there is a failure", async () => {
    expect(await runtime.apply([edit({ set: [{ key: "/none", value: "b" }] })])).toMatchObject([
      { ok: false, answer: "entry not found." },
    ]);
    expect(await runtime.apply([edit({ delete: ["/none"] })])).toMatchObject([{ ok: false, answer: "Key not found." }]);
  });

  test("500 entries are edited in one go", async () => {
    const entries = Array.from({ length: 500 }, (_, index) => ({ key: `/edit/${index}`, value: `b|/strip ${index}` }));
    const started = performance.now();
    expect(await runtime.apply([edit({ add: entries })])).toEqual([{ ok: true }]);
    expect(await runtime.apply([edit({ set: entries.map(({ key }) => ({ key, value: "b" })) })])).toEqual([
      { ok: true },
    ]);
    expect(await runtime.apply([edit({ delete: entries.map(({ key }) => key) })])).toEqual([{ ok: true }]);
    // Some ms; far more than that would be a round trip for each.
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  test("an entry that cannot be carried leaves the map as it was", async () => {
    const before = await runtime.readMap(map);
    const entries = [
      { key: "/fine", value: "b" },
      { key: "/bad", value: "b\n/injected b" },
    ];
    const [result] = await runtime.apply([{ kind: "replace-map", file: map, entries }]);
    expect(result).toMatchObject({ ok: false, answer: expect.stringContaining("control character") });
    expect(await runtime.readMap(map)).toEqual(before);
  });
});

function add(server: string, target: number, weight: number, options: readonly string[] = []): RuntimeOperation {
  const port = web[target]?.port ?? 0;
  const check = options.includes("check");
  return { kind: "add-server", backend: "b", server, address: "127.0.0.1", port, weight, options, check };
}

type MapEdit = Extract<RuntimeOperation, { readonly kind: "edit-map" }>;

function edit(changes: Partial<MapEdit>): MapEdit {
  return { kind: "edit-map", file: map, add: [], set: [], delete: [], ...changes };
}

function seen(name: string, target: number, weight: number) {
  const port = web[target]?.port ?? 0;
  return { backend: "b", name, address: "127.0.0.1", port, weight, maintenance: false, drain: false, operational: 2 };
}

/** Tries as the reconciler does, until HAProxy has closed what was open. */
async function deleted(server: string, force = false): Promise<boolean> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const { kind } = await runtime.deleteServer("b", server, force);
    if (kind !== "busy" || Date.now() > deadline) return kind === "deleted";
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function answersOf(count: number): Promise<ReadonlySet<string>> {
  const bodies = new Set<string>();
  for (let round = 0; round < count; round += 1) bodies.add((await get("/")).body);
  return bodies;
}

function get(url: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port: home.port, path: url, agent }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}
