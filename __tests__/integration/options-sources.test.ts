import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { OptionsScene } from "../support/options-scene.ts";
import { eventually } from "../support/sluice.ts";
import { ask } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

/** Where options are said, and which of them holds: tags, meta, sluice.yaml, overrides; and what instances disagree on. */

jest.setTimeout(120_000);

let scene: OptionsScene;

beforeAll(async () => {
  scene = await OptionsScene.begin(async (home) => {
    const users = path.join(home.directory, "users");
    const { stdout } = await promisify(execFile)("openssl", ["passwd", "-6", "secret"]);
    await writeFile(users, `ann:${stdout.trim()}\n`);
    return {
      auth: { staff: { file: users } },
      services: {
        options: {
          "*": { "response-header": { set: "X-Of: all" } },
          settings: { host: "settings.example.com", "response-header.set": "X-Of: settings" },
          shown: { enable: true },
        },
      },
    };
  });
  await register();
  await scene.run();
  await eventually("the routes are there", async () => (await status("last.service.local")) === 200, 30_000);
});
afterAll(() => scene.end());

async function register(): Promise<void> {
  const { add } = scene;
  await withMeta("meta", [], {
    haproxy_host: "one.meta.example.com",
    haproxy_host_2: "two.meta.example.com",
    haproxy_response_header_set: "X-Of: meta",
    haproxy_route_old_host: "old.meta.example.com",
    haproxy_route_old_redirect: "301,https://new.example.com$path",
  });
  await withMeta("both", ["haproxy.host=tag.example.com"], {
    haproxy_host: "meta.example.com",
    haproxy_response_header_set: "X-Of: meta",
  });
  await add("settings", ["haproxy.enable=true"]);
  await add("shown", ["v1"]);
  await add("named", [
    "haproxy.host=named.example.com",
    "haproxy.strip=/s",
    "haproxy.route.admin.host=named.example.com",
    "haproxy.route.admin.path=/admin",
    "haproxy.route.admin.auth=staff",
  ]);
  await add("guarded", ["haproxy.host=guarded.example.com", "haproxy.auth=staff"]);
  await add("part-guarded", ["haproxy.route.x.host=x.example.com", "haproxy.route.x.auth=staff"]);
  await add("fabio-only", ["urlprefix-fabio.example.com/"]);
  await add("broken", ["haproxy.host=broken.example.com", "haproxy.blance=leastconn", "haproxy.weight=many"]);
  await add("last", ["haproxy.enable=true"]);
}

async function withMeta(service: string, tags: readonly string[], meta: Readonly<Record<string, string>>) {
  const instance = await scene.start(service);
  const Check = { CheckID: `check-${service}`, TTL: "24h", Status: "passing" };
  await scene.consul.register(registration(service, instance, { Tags: tags, Meta: meta, Check }));
}

const get = (host: string, more: object = {}) => ask(scene.home.httpPort, { host, ...more });
const status = async (host: string, more: object = {}) => (await get(host, more)).status;
const said = async (host: string) => {
  const { body, headers } = await get(host);
  return `${body} ${headers["x-of"]}`;
};

test("meta says what tags say, with several values and named routes; a tag goes before it", async () => {
  expect(await said("one.meta.example.com")).toBe("meta meta");
  expect(await said("two.meta.example.com")).toBe("meta meta");
  expect((await get("old.meta.example.com", { path: "/x" })).headers["location"]).toBe("https://new.example.com/x");
  expect(await said("tag.example.com")).toBe("both meta");
  expect(await status("meta.example.com")).toBe(404);
});

test("sluice.yaml says what no tag says, of one service before what it says of all", async () => {
  expect(await said("settings.example.com")).toBe("settings settings");
  expect(await said("last.service.local")).toBe("last all");
  expect(await said("shown.service.local")).toBe("shown all");
});

test("a named route inherits, and guards its path by the service's own name too", async () => {
  expect(await status("named.example.com", { path: "/x" })).toBe(200);
  for (const host of ["named.example.com", "named.service.local"]) {
    expect(await status(host, { path: "/admin/x" })).toBe(401);
    expect(await status(host, { path: "/s/admin" })).toBe(200);
    expect(await status(host, { path: "/admin/x", auth: "ann:secret" })).toBe(200);
  }
});

test("no name is a way around a guard", async () => {
  for (const host of ["guarded.example.com", "guarded.service.local", "x.example.com"]) {
    expect(await status(host)).toBe(401);
  }
  expect(await status("part-guarded.service.local")).toBe(404);
  expect(reasonsOf("part-guarded").join()).toContain("a way around");
});

test("who comes from Fabio gets the same routes and no more", async () => {
  expect(await status("fabio.example.com")).toBe(200);
  expect(await status("fabio-only.service.local")).toBe(404);
});

test("what cannot be read costs itself only, and is named with what was meant", async () => {
  expect(await status("broken.example.com")).toBe(200);
  const reasons = reasonsOf("broken").join("\n");
  expect(reasons).toContain("did you mean balance?");
  expect(reasons).toContain("is not a whole number from 0 to 256");
});

test("an override goes before tags, at once and without a reload, and its end puts back what they say", async () => {
  const key = "/v1/kv/sluice/services/guarded";
  await scene.withoutReload(async () => {
    await scene.consul.put(key, { auth: "nobody", host: ["kv.example.com"], routes: { open: { path: "/open" } } });
    await eventually("the override", async () => (await status("kv.example.com")) === 403);
    expect(await status("guarded.example.com")).toBe(404);
    await scene.consul.put(key, { host: "kv2.example.com" });
    await eventually("another", async () => (await status("kv2.example.com", { auth: "ann:secret" })) === 200);
    expect(await status("kv2.example.com")).toBe(401);
    await scene.consul.fetch("DELETE", key);
    await eventually("the tags again", async () => (await status("guarded.example.com")) === 401);
    expect(await status("kv2.example.com")).toBe(404);
  });
});

test("while two versions of a tag are deployed both routes are there, each with its instances; none is ever lost", async () => {
  await scene.add("rolling", ["haproxy.host=v1.example.com"], { name: "rolling-1" });
  await eventually("the first", async () => (await status("v1.example.com")) === 200, 30_000);
  const lost: number[] = [];
  let rolling = true;
  const watching = (async () => {
    while (rolling) {
      const now = await status("rolling.service.local");
      if (now !== 200) lost.push(now);
    }
  })();
  try {
    await scene.withoutReload(async () => {
      await scene.add("rolling", ["haproxy.host=v2.example.com"], { name: "rolling-2" });
      await eventually("the second", async () => (await status("v2.example.com")) === 200, 30_000);
      const bodies = new Set<string>();
      for (let request = 0; request < 20; request += 1) {
        bodies.add((await get("v1.example.com")).body);
        bodies.add(`not ${(await get("v2.example.com")).body}`);
      }
      expect([...bodies].sort()).toEqual(["not rolling-2", "rolling-1"]);
      await scene.remove("rolling-1");
      await eventually("the old route is gone", async () => (await status("v1.example.com")) === 404, 30_000);
      expect(await status("v2.example.com")).toBe(200);
    });
  } finally {
    rolling = false;
    await watching;
  }
  expect(lost).toEqual([]);
});

function reasonsOf(service: string): readonly string[] {
  return scene
    .excluded()
    .filter((one) => one["service"] === service)
    .map((one) => String(one["reason"]));
}
