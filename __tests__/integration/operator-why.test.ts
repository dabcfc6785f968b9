import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { type CommandResult, eventually, type SluiceHome, sluiceCommand } from "../support/sluice.ts";
import { answers, Scene, serversRunning, statusNow } from "../support/system.ts";
import { registration, type WebInstance } from "../support/web-instance.ts";

jest.setTimeout(120_000);

const scene = new Scene();
let consul: ConsulAgent;
let home: SluiceHome;
let web: readonly WebInstance[];

beforeAll(async () => {
  consul = await scene.consul();
  home = await scene.home(consul.address, {
    services: { options: { web: { "timeout.server": "7s" } } },
    guard: { window: "1s" },
  });
  const shop = (name: string, tags: readonly string[]) =>
    scene.join(consul, "shop", name, { Tags: ["haproxy.host=shop.example.com", ...tags] });
  web = [await scene.join(consul, "web", "web-1"), await scene.join(consul, "web", "web-2")];
  await scene.join(consul, "plain", "plain-1", { Tags: [] });
  await scene.join(consul, "hidden", "hidden-1", { Tags: ["haproxy.enable=false"] });
  await scene.join(consul, "odd", "odd-1", { Address: "not an address" });
  await shop("shop-1", []);
  await shop("shop-2", []);
  await scene.join(consul, "beta", "beta-1", {
    Tags: ["haproxy.host=shop.example.com", "haproxy.canary.weight=10", "haproxy.canary.header=X-Canary: always"],
  });
  await scene.join(consul, "thief", "thief-1", {
    Tags: ["haproxy.host=shop.example.com", "haproxy.redirect=301,https://elsewhere.example.com/"],
  });
  await scene.join(consul, "guarded", "guarded-1", {
    Tags: ["haproxy.host=guarded.example.com", "haproxy.allow=10.0.0.0/8", "haproxy.strip=/api"],
  });
  const sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded");
  await answers(home, "web.service.local");
  await eventually("all serve", async () => (await serversRunning(home)).length >= 6, 30_000);
});
afterAll(() => scene.end());

const why = (...words: readonly string[]): Promise<CommandResult> =>
  sluiceCommand(["why", ...words, "--settings", home.settingsFile]);

describe("a request", () => {
  test("to a service by its name: listener, route, who asked for it, servers with their shares", async () => {
    const { code, out } = await why("web.service.local/index.html");
    expect(out).toContain("GET http://web.service.local/index.html");
    expect(out).toContain(`enters at http.bind`);
    expect(out).toContain('asked for by the service "web" by its name');
    expect(out).toMatch(/web\/web-1_127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+ +1 +50 %/);
    expect(out).toContain("=> answered by one of 2 servers");
    expect(code).toBe(0);
  });

  test("through a canary: the shares, by weight and by header, and who lost the route", async () => {
    const shared = await why("shop.example.com");
    expect(shared.out).toContain("90 % to backend shop");
    expect(shared.out).toContain("10 % to backend beta");
    expect(shared.out).toMatch(/lost: "thief": .*shop/);
    const asked = await why("http://shop.example.com/", "--header", "X-Canary: always", "--json");
    const { servers } = JSON.parse(asked.out) as { servers: readonly { server: string; share: number }[] };
    expect(servers).toEqual([expect.objectContaining({ server: expect.stringMatching(/^beta\//), share: 1 })]);
  });

  test("that a list keeps out, and one it lets in; what is done on the way", async () => {
    const out = await why("guarded.example.com/api/x", "--from", "192.0.2.1");
    expect(out.out).toContain("=> 403");
    expect(out.code).toBe(1);
    const inside = await why("guarded.example.com/api/x", "--from", "10.1.2.3");
    expect(inside.out).toContain('strip "/api"');
    expect(inside.code).toBe(0);
  });

  test("that no route matches, or that no port of ours takes", async () => {
    const none = await why("nobody.example.com/");
    expect(none.out).toContain("=> 404");
    expect(none.code).toBe(1);
    expect((await why(":5432")).out).toContain("no listener");
    expect((await why("https://web.service.local/")).out).toContain("set https.bind");
  });

  test("the question itself wrong", async () => {
    expect((await why("web.service.local", "--from", "here")).code).toBe(2);
    expect((await why("wbe")).out).toBe('nothing of the name "wbe" is known; did you mean web?\n');
  });
});

describe("a service", () => {
  test("that serves: its options with where each came from, its routes, its instances", async () => {
    const { out, code } = await why("web");
    expect(out).toContain('"web" gets requests\nselected: ');
    expect(out).toMatch(/timeout\.server +7000 +by settings/);
    expect(out).toContain("route web.service.local/");
    expect(out).toMatch(/serves: ".*\/web-1" at "127\.0\.0\.1:\d+", passing by Consul, server web\/web-1/);
    expect(code).toBe(0);
  });

  test("not selected, or hidden by its own word", async () => {
    const plain = await why("plain");
    expect(plain.out).toContain('"plain" gets no requests\nnot selected: Consul lists it, and nothing exposes it');
    expect(plain.code).toBe(1);
    expect((await why("hidden")).out).toContain("not selected: the option enable is false");
  });

  test("an excluded value, a critical check with its output, maintenance", async () => {
    expect((await why("odd/odd-1")).out).toContain('address-unusable: address "not an address" is not an IP address');
    await consul.put("/v1/agent/check/update/check-web-2", { Status: "critical", Output: "disk \u001b[31mfull\n" });
    await eventually("web-2 is out", async () => (await why("web/web-2")).code === 1, 20_000);
    const critical = await why("web/web-2");
    expect(critical.out).toMatch(/Consul's check ".*" is critical: "disk \\u001b\[31mfull"/);
    await consul.put("/v1/agent/check/update/check-web-2", { Status: "passing" });
    await consul.put("/v1/agent/service/maintenance/web-2?enable=true&reason=test");
    await eventually(
      "web-2 drains",
      async () => (await why("web/web-2")).out.includes("in maintenance by Consul"),
      20_000,
    );
    await consul.put("/v1/agent/service/maintenance/web-2?enable=false");
  });

  test("held by the guard", async () => {
    for (const { name } of web) await consul.put(`/v1/agent/service/deregister/${name}`);
    await eventually("they are held", async () => (await statusNow(home)).reconciler.holds.length > 0, 20_000);
    expect((await why("web")).out).toMatch(/held since .* against Consul's word, as no other would be left/);
    for (const one of web) await consul.register(registration("web", one));
  });
});
