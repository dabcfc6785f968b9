import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import {
  askTls,
  type CertificateWish,
  type MadeCertificate,
  makeCertificate,
  shownTo,
} from "../support/certificates.ts";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { freePort } from "../support/free-port.ts";
import {
  eventually,
  liveConfig,
  type RunningSluice,
  runtimeCommand,
  type SluiceHome,
  sluiceCommand,
  workerPid,
} from "../support/sluice.ts";
import { answers, ask, Scene, statusNow } from "../support/system.ts";

jest.setTimeout(180_000);

const placeholder = "sluice: no certificate yet";

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let sluice: RunningSluice;
let directory: string;
let port: number;
let worker: number;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address);
  directory = path.join(home.directory, "certificates");
  port = await freePort();
  await mkdir(directory);
  await scene.join(consul, "web", "web-1");
});
afterEach(() => scene.end());

/** Starts the operator and waits until traffic flows. */
async function start(https: Readonly<Record<string, string>> = {}, haproxy: Readonly<Record<string, string>> = {}) {
  await home.configure({
    haproxy,
    https: { bind: `127.0.0.1:${port}`, certificates: directory, ...https },
    log: { level: "debug" },
  });
  sluice = scene.run(home);
  await answers(home, "web.service.local", 40_000);
  worker = await workerPid(home);
}

/** Puts a certificate into the directory in one step, as tools that renew do. */
async function put(name: string, wish: CertificateWish): Promise<MadeCertificate> {
  const made = await makeCertificate(wish);
  await place(`${name}.pem`, made.pem);
  return made;
}

async function place(name: string, text: string): Promise<void> {
  await writeFile(path.join(home.directory, "new"), text);
  await rename(path.join(home.directory, "new"), path.join(directory, name));
}

const commonNameFor = async (name: string | undefined) => (await shownTo(port, name)).commonName;

function shows(name: string, made: MadeCertificate): Promise<void> {
  const wanted = fingerprintOf(made);
  return eventually(`${name} is shown`, async () => (await shownTo(port, name)).fingerprint === wanted, 20_000);
}

function fingerprintOf({ certificate }: MadeCertificate): string {
  return new X509Certificate(certificate).fingerprint.replaceAll(":", "");
}

async function expectNoReload(): Promise<void> {
  expect(await workerPid(home)).toBe(worker);
}

/** The files HAProxy would read at its next start say what it shows now. */
async function filesSay(made: MadeCertificate): Promise<void> {
  await eventually("the file is written behind", async () => {
    const texts = await Promise.all((await certificateFiles()).map((file) => readFile(file, "utf8")));
    return texts.some((text) => text.startsWith(made.certificate.trimEnd()));
  });
}

async function certificateFiles(): Promise<readonly string[]> {
  const names = await readdir(path.join(home.state, "certs"));
  return names.filter((name) => name !== "list.txt").map((name) => path.join(home.state, "certs", name));
}

describe("which certificate a client is shown", () => {
  test("its name chooses, a wildcard covers one label, the rest gets the default; HTTP/2 and HTTP/1.1 both answer", async () => {
    await put("b-shop", { names: ["shop.test", "www.shop.test"] });
    await put("a-any", { names: ["any.test", "*.any.test"] });
    const pair = await makeCertificate({ names: ["pair.test"], kind: "rsa" });
    await place("pair.crt", pair.certificate);
    await place("pair.key", pair.key);
    const live = await makeCertificate({ names: ["live.test"] });
    await mkdir(path.join(directory, "live"));
    await place("live/fullchain.pem", live.certificate);
    await place("live/privkey.pem", live.key);
    await scene.join(consul, "tls", "tls-1", { Tags: ["haproxy.enable=true", "haproxy.https-redirect=true"] });
    await start({ default: "pair" });

    const names = [
      "shop.test",
      "www.shop.test",
      "any.test",
      "x.any.test",
      "x.y.any.test",
      "pair.test",
      "live.test",
      "WWW.Shop.Test",
      "unknown.test",
      undefined,
    ];
    const found: (string | undefined)[][] = [];
    for (const name of names) found.push([name, await commonNameFor(name)]);
    expect(found).toEqual([
      ["shop.test", "shop.test"],
      ["www.shop.test", "shop.test"],
      ["any.test", "any.test"],
      ["x.any.test", "any.test"],
      ["x.y.any.test", "pair.test"],
      ["pair.test", "pair.test"],
      ["live.test", "live.test"],
      ["WWW.Shop.Test", "shop.test"],
      ["unknown.test", "pair.test"],
      [undefined, "pair.test"],
    ]);
    expect((await shownTo(port, "shop.test", ["h2", "http/1.1"])).alpn).toBe("h2");
    expect((await shownTo(port, "shop.test", ["http/1.1"])).alpn).toBe("http/1.1");
    const h2 = connectHttp2(`https://127.0.0.1:${port}`, { servername: "shop.test", rejectUnauthorized: false });
    try {
      const stream = h2.request({ ":path": "/", ":authority": "web.service.local" });
      const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
      expect(headers[":status"]).toBe(200);
    } finally {
      h2.destroy();
    }
    const redirected = await ask(home.httpPort, { host: "tls.service.local", path: "/a?b=c" });
    expect(redirected).toMatchObject({ status: 301, headers: { location: `https://tls.service.local:${port}/a?b=c` } });
    expect(await askTls(port, { host: "tls.service.local" })).toMatchObject({ status: 200, body: "tls-1" });
    const answer = await askTls(port, { host: "web.service.local" });
    expect(answer).toMatchObject({ status: 200, body: "web-1" });
  });

  test("https.default names the one for unknown names; TLS below https.minVersion is refused", async () => {
    await put("a", { names: ["a.test"] });
    await put("b", { names: ["b.test"] });
    await start({ default: "b", minVersion: "TLSv1.3" });
    expect(await commonNameFor("unknown.test")).toBe("b.test");
    expect((await shownTo(port, "a.test")).protocol).toBe("TLSv1.3");
    expect(await liveConfig(home)).toContain("ssl-min-ver TLSv1.3");
  });

  test("of two for one name the one that is valid longer, and it is said", async () => {
    await put("a", { names: ["twice.test", "only-a.test"], days: 10 });
    const longer = await put("b", { names: ["twice.test"], days: 90 });
    await start();
    expect((await shownTo(port, "twice.test")).fingerprint).toBe(fingerprintOf(longer));
    expect((await statusNow(home)).certificates).toMatchObject([
      { name: "a", names: ["only-a.test"], daysLeft: 9, problem: expect.stringContaining("twice.test is served by b") },
      { name: "b", names: ["twice.test"], daysLeft: 89 },
    ]);
    const printed = (await sluiceCommand(["status", "--settings", home.settingsFile])).out;
    expect(printed).toMatch(/CERTIFICATE +NAMES +DAYS LEFT/);
    expect(printed).toMatch(/a +only-a\.test +9 +twice\.test is served by b/);
    const expiring = sluice.lines().filter((line) => line.event === "certificate-expiring");
    expect(expiring).toMatchObject([{ certificate: "a", daysLeft: 9, level: "warn" }]);
  });
});

describe("a change of certificates while the operator runs, without a reload", () => {
  test("without any there is a placeholder; the first comes, is replaced, another is added, one is removed", async () => {
    await start();
    expect(await commonNameFor("shop.test")).toBe(placeholder);

    const first = await put("shop", { names: ["shop.test"] });
    await shows("shop.test", first);
    await filesSay(first);

    const second = await put("shop", { names: ["shop.test"] });
    await shows("shop.test", second);
    await filesSay(second);

    const other = await put("other", { names: ["other.test", "*.other.test"] });
    await shows("x.other.test", other);
    await shows("unknown.test", other);

    const moreNames = await put("shop", { names: ["shop.test", "new.shop.test"], kind: "rsa" });
    await shows("new.shop.test", moreNames);
    await shows("shop.test", moreNames);

    await rm(path.join(directory, "other.pem"));
    await eventually("other is removed", async () => (await commonNameFor("other.test")) === "shop.test", 20_000);
    await eventually("its file is removed", async () => (await certificateFiles()).length === 2);
    expect((await runtimeCommand(home, "show ssl cert")).match(/\.pem/g)).toHaveLength(2);
    await expectNoReload();
  });

  test("a bad one costs itself alone: the one before stays in force and what is wrong is said", async () => {
    const good = await put("shop", { names: ["shop.test"] });
    const other = await put("other", { names: ["other.test"] });
    await start();

    const stranger = await makeCertificate({ names: ["shop.test"] });
    const bads: Readonly<Record<string, string>> = {
      "its key does not belong to its certificate": `${good.certificate}${stranger.key}`,
      "there is no key in it": good.certificate,
      "there is no certificate in it": "nothing of use\n",
      "has no end": good.pem.slice(0, 300),
      "HAProxy does not take it": (await makeCertificate({ names: ["shop.test"], kind: "weak" })).pem,
    };
    for (const [problem, text] of Object.entries(bads)) {
      const before = sluice.lines().length;
      await place("shop.pem", text);
      const line = await sluice.logged((one) => one.event === "certificate-refused", 20_000, before);
      expect(line.msg).toContain(problem);
      expect(line.msg).toContain("the one before stays in force");
      expect((await shownTo(port, "shop.test")).fingerprint).toBe(fingerprintOf(good));
    }
    const added = await put("added", { names: ["added.test"] });
    await shows("added.test", added);
    expect((await shownTo(port, "other.test")).fingerprint).toBe(fingerprintOf(other));
    expect((await statusNow(home)).certificates).toMatchObject([
      { name: "added" },
      { name: "other" },
      { name: "shop", names: ["shop.test"], problem: expect.stringContaining("HAProxy does not take it") },
    ]);
    await expectNoReload();
  });

  test("a certificate whose key follows a moment later is waited for", async () => {
    const first = await makeCertificate({ names: ["pair.test"] });
    await place("pair.crt", first.certificate);
    await place("pair.key", first.key);
    await start();
    const second = await makeCertificate({ names: ["pair.test"] });
    const before = sluice.lines().length;
    await place("pair.crt", second.certificate);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await place("pair.key", second.key);
    await shows("pair.test", second);
    expect(
      sluice
        .lines()
        .slice(before)
        .filter((line) => line.event === "certificate-refused"),
    ).toEqual([]);
    await expectNoReload();
  });

  test("one changed by somebody else at run time is set again, and a reload reads what is in force", async () => {
    const shop = await put("shop", { names: ["shop.test"] });
    await put("other", { names: ["other.test"] });
    await start();
    const [file = ""] = (await certificateFiles()).filter((one) => path.basename(one).startsWith("shop."));
    await runtimeCommand(home, `del ssl crt-list ${home.state}/certs/list.txt ${file};del ssl cert ${file}`);
    expect(await commonNameFor("shop.test")).toBe("other.test");
    await resync();
    await shows("shop.test", shop);
    await expectNoReload();

    const renewed = await put("shop", { names: ["shop.test"] });
    await home.configure({
      https: { bind: `127.0.0.1:${port}`, certificates: directory },
      services: { balance: "leastconn" },
      log: { level: "debug" },
    });
    await eventually("it is reloaded", async () => (await workerPid(home)) !== worker, 20_000);
    await shows("shop.test", renewed);
  });
});

describe("over the end of the operator", () => {
  test("it adopts HAProxy, and brings what changed meanwhile; what has become unreadable stays as it was", async () => {
    await put("shop", { names: ["shop.test"] });
    const kept = await put("kept", { names: ["kept.test"] });
    await start({}, { onStop: "leave" });
    await sluice.end();

    const renewed = await put("shop", { names: ["shop.test"] });
    await place("kept.pem", "broken");
    sluice = scene.run(home);
    await shows("shop.test", renewed);
    expect((await shownTo(port, "kept.test")).fingerprint).toBe(fingerprintOf(kept));
    await expectNoReload();

    await sluice.end();
    await rename(directory, `${directory}.away`);
    sluice = scene.run(home);
    await sluice.logged((line) => line.event === "process-up");
    await eventually("the operator answers", async () => (await statusNow(home)).ready);
    expect((await statusNow(home)).certificatesProblem).toContain("cannot be read");
    expect((await shownTo(port, "kept.test")).fingerprint).toBe(fingerprintOf(kept));
    expect((await shownTo(port, "shop.test")).fingerprint).toBe(fingerprintOf(renewed));
    await rename(`${directory}.away`, directory);
    await expectNoReload();
  });

  test("files are for their owner alone, and no key is in log, status or answers", async () => {
    const made = await put("shop", { names: ["shop.test"] });
    await start();
    await place("shop.pem", `${made.certificate}${(await makeCertificate({ names: ["x.test"] })).key}`);
    await sluice.logged((line) => line.event === "certificate-refused", 20_000);
    const renewed = await put("shop", { names: ["shop.test"] });
    await shows("shop.test", renewed);
    await filesSay(renewed);

    const modes = await Promise.all((await certificateFiles()).map(async (file) => (await lstat(file)).mode & 0o777));
    expect(new Set(modes)).toEqual(new Set([0o600]));
    expect((await lstat(path.join(home.state, "certs"))).mode & 0o777).toBe(0o700);
    const told = [
      JSON.stringify(sluice.lines()),
      JSON.stringify(await statusNow(home)),
      await readFile(path.join(home.state, "state.json"), "utf8"),
      sluice.errors(),
    ].join("\n");
    for (const { key } of [made, renewed]) {
      const secret = key.split("\n").slice(1, -2);
      expect(secret.length).toBeGreaterThan(1);
      for (const line of secret) expect(told).not.toContain(line);
    }
    expect((await readdir(home.state)).includes("certs.trial")).toBe(false);
  });
});

async function resync(): Promise<void> {
  expect((await sluiceCommand(["resync", "--settings", home.settingsFile])).code).toBe(0);
}
