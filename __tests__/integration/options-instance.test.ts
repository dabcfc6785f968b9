import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type MadeCertificate, makeCertificate } from "../support/certificates.ts";
import { OptionsScene, serverState } from "../support/options-scene.ts";
import { eventually, runtimeCommand } from "../support/sluice.ts";
import { ask, bodies } from "../support/system.ts";

/**
 * Each option of an instance as its tags have it: what it changes on the way to this one server, whether the
 * configuration had it or it joined at run time.
 */

jest.setTimeout(120_000);

let scene: OptionsScene;
/** For internal.example.com and other.example.com; `internal.pem` among the authorities. */
let internal: MadeCertificate;
/** Not among the authorities. */
let stranger: MadeCertificate;

beforeAll(async () => {
  internal = await makeCertificate({ names: ["internal.example.com", "other.example.com"] });
  stranger = await makeCertificate({ names: ["stranger.example.com"] });
  scene = await OptionsScene.begin(async (home) => {
    const authorities = path.join(home.directory, "authorities");
    await mkdir(authorities);
    await writeFile(path.join(authorities, "internal.pem"), internal.certificate);
    return { tls: { authorities } };
  });
  const { add } = scene;
  await add("enabled", ["haproxy.enable=true"]);
  await add("weighed", ["haproxy.weight=30"], { name: "weighed-30" });
  await add("weighed", ["haproxy.weight=10"], { name: "weighed-10" });
  await add("weighed", ["haproxy.weight=0"], { name: "weighed-0" });
  await add("limited", ["haproxy.maxconn=2"]);
  await add("modern", ["haproxy.protocol=h2c"], { protocol: "h2c" });
  await add("sealed", ["haproxy.tls=true", "haproxy.tls.verify=none"], { protocol: "https", certificate: stranger });
  await add("unverified", ["haproxy.tls=true"], { protocol: "https", certificate: stranger });
  const trusted = ["haproxy.protocol=https", "haproxy.tls.ca=internal.pem"];
  await add("trusted", trusted, { protocol: "https", certificate: internal });
  await add("no-such-authority", ["haproxy.tls=true", "haproxy.tls.ca=gone.pem"], {
    protocol: "https",
    certificate: internal,
  });
  await add("named", [...trusted, "haproxy.tls.sni=internal.example.com"], {
    protocol: "https",
    certificate: internal,
  });
  await add("misnamed", [...trusted, "haproxy.tls.sni=wrong.example.com"], {
    protocol: "https",
    certificate: internal,
  });
  await add("by-request", [...trusted, "haproxy.tls.sni=host", "haproxy.host=internal.example.com,wrong.example.com"], {
    protocol: "https",
    certificate: internal,
  });
  for (const version of ["v1", "v2"]) {
    await add(`proxied-${version}`, [`haproxy.proxy-protocol=${version}`], { proxyProtocol: true });
  }
  await add("pair", ["haproxy.enable=true"], { name: "pair-1" });
  for (const name of ["pair-2", "pair-3"]) await add("pair", ["haproxy.backup=true"], { name });
  await scene.run();
});
afterAll(() => scene.end());

const get = (service: string, path_ = "/", host = `${service}.service.local`) =>
  ask(scene.home.httpPort, { host, path: path_ });

/** How often each body came, of so many requests. */
async function counted(service: string, requests: number): Promise<Readonly<Record<string, number>>> {
  const found: Record<string, number> = {};
  for (let count = 0; count < requests; count += 1) {
    const { body } = await get(service);
    found[body] = (found[body] ?? 0) + 1;
  }
  return found;
}

test("haproxy.weight", async () => {
  expect(await counted("weighed", 40)).toEqual({ "weighed-30": 30, "weighed-10": 10 });
  // Another weight is one command.
  await scene.withoutReload(async () => {
    await scene.join("weighed", ["haproxy.weight=30"], scene.instance("weighed-10"));
    await eventually("as many as the other", async () => (await counted("weighed", 40))["weighed-10"] === 20, 20_000);
  });
});

test("haproxy.maxconn: more wait", async () => {
  const given = await Promise.all([...Array(8).keys()].map(() => get("limited", "/slow?ms=100")));
  expect(given.map(({ status }) => status)).toEqual(Array(8).fill(200));
  expect(scene.instance("limited").mostOpen()).toBe(2);
  await Promise.all([...Array(8).keys()].map(() => get("enabled", "/slow?ms=100")));
  expect(scene.instance("enabled").mostOpen()).toBeGreaterThan(2);
});

describe("what is spoken to the server", () => {
  test("haproxy.protocol", async () => {
    expect(await get("modern")).toMatchObject({ status: 200, body: "modern" });
    expect(scene.instance("modern").seen.at(-1)?.version).toBe("2.0");
    expect(await get("enabled")).toMatchObject({ status: 200 });
    expect(scene.instance("enabled").seen.at(-1)?.version).toBe("1.1");
    await joinedWithoutReload("modern", ["haproxy.protocol=grpcs", "haproxy.tls.verify=none"], {
      name: "modern-2",
      protocol: "h2",
      certificate: stranger,
    });
    expect(scene.instance("modern-2").seen.at(-1)?.version).toBe("2.0");
  });

  test("haproxy.tls", async () => {
    expect(await get("sealed")).toMatchObject({ status: 200, body: "sealed" });
    await joinedWithoutReload("sealed", ["haproxy.tls=true", "haproxy.tls.verify=none"], {
      name: "sealed-2",
      protocol: "https",
      certificate: stranger,
    });
  });

  test("haproxy.tls.verify: a certificate nobody trusts is refused, unless it may be", async () => {
    expect((await get("unverified")).status).toBe(503);
    expect(scene.instance("unverified").seen).toEqual([]);
    await eventually("its check failed", async () => !(await serverState(scene.home, "unverified")).up, 30_000);
    expect((await serverState(scene.home, "unverified")).check).toMatch(/^L6/);
    expect((await get("sealed")).status).toBe(200);
  });

  test("haproxy.tls.ca: a file of authorities; a server of one that is not there is left out, and named", async () => {
    expect(await get("trusted")).toMatchObject({ status: 200, body: "trusted" });
    expect((await get("no-such-authority")).status).toBe(503);
    expect(scene.instance("no-such-authority").seen).toEqual([]);
    expect(scene.excluded()).toContainEqual(
      expect.objectContaining({ service: "no-such-authority", reason: expect.stringContaining("tls.ca=gone.pem") }),
    );
    await joinedWithoutReload("trusted", ["haproxy.protocol=https", "haproxy.tls.ca=internal.pem"], {
      name: "trusted-2",
      protocol: "https",
      certificate: internal,
    });
    // One that nobody of that file signed is none.
    await scene.add("trusted", ["haproxy.protocol=https", "haproxy.tls.ca=internal.pem"], {
      name: "trusted-3",
      protocol: "https",
      certificate: stranger,
    });
    await eventually("HAProxy knows it", async () => (await stat("trusted")).includes("trusted-3"), 20_000);
    expect(await bodies(scene.home, "trusted.service.local", 12)).toEqual(["trusted", "trusted-2"]);
  });

  test("haproxy.tls.sni: asked for, and expected in the certificate", async () => {
    expect(await get("named")).toMatchObject({ status: 200, body: "named" });
    expect(scene.instance("named").seen.at(-1)?.sni).toBe("internal.example.com");
    expect((await get("misnamed")).status).toBe(503);
    expect(scene.instance("misnamed").seen).toEqual([]);
    // The request's own.
    expect((await get("by-request", "/", "internal.example.com")).status).toBe(200);
    expect(scene.instance("by-request").seen.at(-1)?.sni).toBe("internal.example.com");
    expect((await get("by-request", "/", "wrong.example.com")).status).toBe(503);
    expect((await get("by-request", "/", "internal.example.com:80")).status).toBe(200);
    await joinedWithoutReload(
      "named",
      ["haproxy.protocol=https", "haproxy.tls.ca=internal.pem", "haproxy.tls.sni=other.example.com"],
      { name: "named-2", protocol: "https", certificate: internal },
    );
    expect(scene.instance("named-2").seen.at(-1)?.sni).toBe("other.example.com");
  });

  test("haproxy.proxy-protocol", async () => {
    expect(await get("proxied-v1")).toMatchObject({ status: 200, body: "proxied-v1" });
    expect(scene.instance("proxied-v1").proxyHeaders).toContainEqual(
      expect.stringMatching(/^PROXY TCP4 127\.0\.0\.1 /),
    );
    expect(await get("proxied-v2")).toMatchObject({ status: 200, body: "proxied-v2" });
    // 1: on behalf of a client.
    expect(scene.instance("proxied-v2").proxyHeaders).toContain("v2 1");
    for (const version of ["v1", "v2"]) {
      expect((await serverState(scene.home, `proxied-${version}`)).up).toBe(true);
      await joinedWithoutReload(`proxied-${version}`, [`haproxy.proxy-protocol=${version}`], {
        name: `proxied-${version}-2`,
        proxyProtocol: true,
      });
    }
  });
});

test("another option of a server that runs takes one reload, and no request fails", async () => {
  const load = scene.scene.load({
    port: scene.home.httpPort,
    keepAlive: 4,
    oneShot: 2,
    pauseMs: 5,
    headers: { host: "enabled.service.local" },
  });
  const before = scene.reloads();
  await scene.join("enabled", ["haproxy.enable=true", "haproxy.maxconn=1"], scene.instance("enabled"));
  await eventually("a reload", () => scene.reloads() > before, 30_000);
  await eventually(
    "the option holds",
    async () => (await stat("enabled")).split("\n")[1]?.split(",")[6] === "1",
    20_000,
  );
  expect(scene.reloads()).toBe(before + 1);
  const { failures, sent } = await load.stop();
  expect(failures).toEqual([]);
  expect(sent).toBeGreaterThan(20);
});

test("haproxy.backup: all of them serve where no other does", async () => {
  expect(await bodies(scene.home, "pair.service.local", 8)).toEqual(["pair-1"]);
  await scene.withoutReload(async () => {
    await scene.remove("pair-1");
    await eventually(
      "the others serve",
      async () => (await bodies(scene.home, "pair.service.local", 8)).join() === "pair-2,pair-3",
      20_000,
    );
    await scene.add("pair", ["haproxy.backup=true"], { name: "pair-4" });
    await eventually(
      "so does one more",
      async () => (await bodies(scene.home, "pair.service.local", 9)).length === 3,
      20_000,
    );
    await scene.add("pair", ["haproxy.enable=true"], { name: "pair-5" });
    await eventually(
      "one that is none",
      async () => (await bodies(scene.home, "pair.service.local", 8)).join() === "pair-5",
      20_000,
    );
  });
});

const stat = (backend: string) => runtimeCommand(scene.home, `show stat ${backend} 4 -1`);

/** An instance with these tags joins a service: it answers, its check is passed, and nothing was reloaded for it. */
async function joinedWithoutReload(
  service: string,
  tags: readonly string[],
  options: Parameters<OptionsScene["add"]>[2] & { readonly name: string },
): Promise<void> {
  await scene.withoutReload(async () => {
    await scene.add(service, tags, options);
    const { name } = options;
    await eventually(
      `${name} answers`,
      async () => (await bodies(scene.home, `${service}.service.local`, 4)).includes(name),
      20_000,
    );
    await eventually(`${name} passes its check`, async () => {
      const line = (await stat(service)).split("\n").find((one) => one.split(",")[1]?.startsWith(`${name}_`));
      return line !== undefined && /,UP,/.test(line) && /,L[4-7]OK,/.test(line);
    });
  });
}
