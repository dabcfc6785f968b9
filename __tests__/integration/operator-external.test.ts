import { readFile, stat, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, get, type ServerResponse } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { checkBinary } from "../../src/haproxy/process/validate.ts";
import { haproxyBinary, otherHaproxyBinaries } from "../support/binaries.ts";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { externalMode, startExternal } from "../support/external-haproxy.ts";
import { failuresByKind } from "../support/fault-report.ts";
import { ownTemplate } from "../support/own-template.ts";
import {
  eventually,
  liveConfig,
  masterPid,
  type RunningSluice,
  runtimeCommand,
  type SluiceHome,
  workerPid,
} from "../support/sluice.ts";
import {
  answers,
  ask,
  bodies,
  countEvents,
  Scene,
  serversInFile,
  serversRunning,
  statusNow,
} from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(240_000);

const host = "web.service.local";
const root = process.getuid?.() === 0;

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address, { haproxy: externalMode });
});
afterEach(() => scene.end());

describe("the order of starts", () => {
  test("HAProxy first: it answers on a configuration of its own, which the operator adopts without a reload", async () => {
    const haproxy = await startExternal(scene, home);
    await eventually("the fallback page is there", async () => (await ask(home.httpPort)).status === 404, 60_000);
    const stats = { path: "/haproxy_stats", auth: "admin:admin" };
    expect((await ask(home.statsPort, stats)).status).toBe(200);
    const worker = await workerPid(home);

    const sluice = scene.run(home);
    expect(await upAgain(sluice)).toMatchObject({ adopted: true, worker });
    await eventually("it is ready", async () => (await statusNow(home)).ready);
    expect(countEvents(sluice, "reloaded") + countEvents(sluice, "process-awaited")).toBe(0);
    expect(await workerPid(home)).toBe(worker);
    expect(await masterPid(home)).toBe(haproxy.pid);
    for (const file of ["haproxy.cfg", "sockets/master.sock", "sockets/runtime.sock", "maps/routes.map"]) {
      expect([file, (await stat(path.join(home.state, file))).mode & 0o777]).toEqual([file, 0o600]);
    }
  });

  test("the operator first: it says once what it waits for and how to start it, and goes on when HAProxy comes", async () => {
    await scene.join(consul, "web", "web-1");
    const sluice = scene.run(home);
    const awaited = await sluice.logged(({ event }) => event === "process-awaited", 60_000);
    expect(awaited.msg).toContain(
      `haproxy -W -S ${home.state}/sockets/master.sock,mode,600 -f ${home.state}/haproxy.cfg`,
    );
    await eventually(
      "the catalog has answered",
      async () => (await statusNow(home)).reconciler.services.length > 0,
      60_000,
    );
    expect((await statusNow(home)).ready).toBe(false);

    await startExternal(scene, home);
    await answers(home, host, 60_000);
    expect(await upAgain(sluice)).toMatchObject({ adopted: true });
    expect(countEvents(sluice, "process-awaited")).toBe(1);
    expect(sluice.lines().filter(({ level }) => level === "error")).toEqual([]);
  });

  test("both at once, in an empty directory: neither hurts the other", async () => {
    await scene.join(consul, "web", "web-1");
    const [sluice, haproxy] = [scene.run(home), await startExternal(scene, home)];
    await answers(home, host, 60_000);
    expect(await masterPid(home)).toBe(haproxy.pid);
    expect(sluice.process.exitCode).toBeNull();
  });

  test("HAProxy on another file: what is wrong is said, and nothing is done to it", async () => {
    const haproxy = await startExternal(scene, home);
    await eventually("it answers", async () => (await ask(home.httpPort)).status === 404, 60_000);
    await haproxy.end();
    const other = path.join(home.directory, "other.cfg");
    await writeFile(other, await liveConfig(home));
    // The script with another file's name in it.
    const text = await readFile(new URL("../../docker/sluice/haproxy.sh", import.meta.url), "utf8");
    const script = path.join(home.directory, "other.sh");
    await writeFile(script, text.replace(/-f "\$directory\/haproxy\.cfg"\n$/, `-f "${other}"\n`));
    await startExternal(scene, home, { script });
    await eventually("it answers again", async () => (await workerPid(home)) > 0);
    const worker = await workerPid(home);
    const sluice = scene.run(home);
    await sluice.logged(({ event, msg }) => event === "process-awaited" && msg.includes(`runs on ${other}`), 60_000);
    expect(await workerPid(home)).toBe(worker);
    expect(countEvents(sluice, "process-up")).toBe(0);
  });
});

test("endpoints change at run time, a structure by one reload of the same master", async () => {
  const { sluice } = await serving();
  const [master, worker] = [await masterPid(home), await workerPid(home)];
  const before = sluice.lines().length;
  const load = startLoad();
  const joined = await scene.join(consul, "web", "web-9");
  await eventually("it takes traffic", () => joined.answered() > 0);
  await consul.deregister("web-1");
  await settled("web-2", "web-3", "web-9");
  expect(countEvents(sluice, "reloaded", before)).toBe(0);
  expect(await workerPid(home)).toBe(worker);

  await scene.join(consul, "fresh", "fresh-1");
  await answers(home, "fresh.service.local");
  await settled("fresh-1", "web-2", "web-3", "web-9");
  const report = await load.stop();
  expect(failuresByKind(report)).toBe("");
  expect(countEvents(sluice, "reloaded", before)).toBe(1);
  expect(await masterPid(home)).toBe(master);
  expect(await workerPid(home)).not.toBe(worker);
});

describe("the operator", () => {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    test(`ended by ${signal} and started again fails no request and costs no reload`, async () => {
      const { sluice, haproxy } = await serving();
      const worker = await workerPid(home);
      const load = startLoad();
      expect(await sluice.end(signal)).toBe(signal === "SIGTERM" ? 0 : signal);
      const joined = await scene.join(consul, "web", "web-9");
      await consul.deregister("web-1");
      expect((await bodies(home, host, 60)).filter((body) => !["web-1", "web-2", "web-3"].includes(body))).toEqual([]);

      const next = scene.run(home);
      expect(await upAgain(next)).toMatchObject({ adopted: true, worker });
      await eventually("it takes traffic", () => joined.answered() > 0);
      await settled("web-2", "web-3", "web-9");
      const report = await load.stop();
      expect(failuresByKind(report)).toBe("");
      expect(report.sent).toBeGreaterThan(100);
      expect(countEvents(next, "reloaded")).toBe(0);
      expect(await masterPid(home)).toBe(haproxy.pid);
    });
  }

  test("may not be told to end HAProxy, which is not its own", async () => {
    await home.configure({ haproxy: { ...externalMode, onStop: "stop" } });
    const sluice = scene.run(home);
    expect(await sluice.ended).toBe(1);
    expect(JSON.stringify(sluice.lines())).toContain("haproxy.onStop");
  });
});

describe("HAProxy ended and started again", () => {
  for (const [signal, most] of [
    // Told to finish what it has, it does not wait for the operator's connection, an hour long.
    ["SIGUSR1", 10_000],
    ["SIGTERM", 10_000],
    ["SIGKILL", 10_000],
  ] as const) {
    test(`by ${signal}: adopted at once, with the catalog's servers and without a reload`, async () => {
      const { sluice, haproxy } = await serving();
      await scene.join(consul, "web", "web-9");
      await settled("web-1", "web-2", "web-3", "web-9");
      const before = sluice.lines().length;
      const endedAt = performance.now();
      await haproxy.end(signal);
      expect(performance.now() - endedAt).toBeLessThan(most);
      const down = await sluice.logged(({ event }) => event === "process-down", 60_000, before);
      expect(down.msg).toContain("waiting for whoever starts it");
      // Changes meanwhile are not lost.
      await consul.deregister("web-1");

      await startExternal(scene, home);
      const startedAt = performance.now();
      await sluice.logged(({ event }) => event === "process-up", 60_000, before);
      await settled("web-2", "web-3", "web-9");
      process.stdout.write(
        `external HAProxy, ${signal}: settled ${Math.round(performance.now() - startedAt)} ms after its start\n`,
      );
      expect(await bodies(home, host, 60)).toEqual(["web-2", "web-3", "web-9"]);
      expect(countEvents(sluice, "reloaded", before)).toBe(0);
    });
  }

  test("by SIGUSR1 while a request is under way: it is answered, and nothing brings HAProxy back before it ends", async () => {
    const { sluice, haproxy } = await serving();
    const slow = await heldAnswers("slow-1");
    await consul.register(registration("slow", slow));
    await answers(home, "slow.service.local", 60_000);
    await settled("slow-1", "web-1", "web-2", "web-3");
    const before = sluice.lines().length;
    const answer = slow.ask(home.httpPort, "slow.service.local");
    await eventually("the request is under way", () => slow.held() === 1);
    process.kill(haproxy.pid, "SIGUSR1");
    await sluice.logged(({ event, msg }) => event === "process-awaited" && msg.includes("is ending"), 60_000, before);
    slow.release();
    expect(await answer).toBe(200);
    await haproxy.ended;
    expect(countEvents(sluice, "reloaded", before)).toBe(0);

    await startExternal(scene, home);
    await answers(home, "slow.service.local", 60_000);
    expect(countEvents(sluice, "reloaded", before)).toBe(0);
  });

  test("in a pid namespace, where master and worker may get the pids they had: noticed all the same", async () => {
    if (!root) return expect(root).toBe(false);
    const { sluice, haproxy } = await serving({ namespaces: ["pid"] });
    expect(await masterPid(home)).toBe(1);
    const before = sluice.lines().length;
    await consul.deregister("web-1");
    await settled("web-2", "web-3");
    await haproxy.end("SIGKILL");
    await startExternal(scene, home, { namespaces: ["pid"] });
    await sluice.logged(({ event }) => event === "process-up", 60_000, before);
    await settled("web-2", "web-3");
    expect(await masterPid(home)).toBe(1);
    const joined = await scene.join(consul, "web", "web-9");
    await scene.join(consul, "fresh", "fresh-1");
    await answers(home, "fresh.service.local");
    await eventually(
      "the other one takes traffic too",
      async () => (await ask(home.httpPort, { host })).body === joined.name,
    );
    expect(countEvents(sluice, "reloaded", before)).toBe(1);
  });
});

describe("what HAProxy does not take", () => {
  test("by haproxy -c: refused with its words, the file stays", async () => {
    const { sluice } = await serving();
    const [worker, file] = [await workerPid(home), await liveConfig(home)];
    const template = await ownTemplate(home);
    await template.writeFrontend("no-such-word here");
    await home.configure({ haproxy: externalMode, template: template.path });
    const refused = await sluice.logged(({ event }) => event === "inputs-refused");
    expect(refused.msg).toContain("no-such-word");
    expect(await liveConfig(home)).toBe(file);
    expect(await workerPid(home)).toBe(worker);
  });

  test("by the reload itself: the old worker and file go on, and it is said where its words are", async () => {
    const { sluice } = await serving();
    const [worker, file] = [await workerPid(home), await liveConfig(home)];
    const held = await heldPort();
    const template = await ownTemplate(home);
    // Inside a condition no address is tried beforehand.
    await template.writeFrontend(`.if 1\n  bind 127.0.0.1:${held}\n  .endif`);
    await home.configure({ haproxy: externalMode, template: template.path });
    const refused = await sluice.logged(({ event }) => event === "inputs-refused", 30_000);
    expect(refused.msg).toMatch(new RegExp(`worker ${worker} goes on.*(:${held}|HAProxy's own output)`));
    expect(await liveConfig(home)).toBe(file);
    expect((await ask(home.httpPort, { host })).status).toBe(200);
    // On 3.2 two such reloads in a row cost HAProxy its runtime socket, which one on the old file brings back.
    await eventually("it can be talked to", async () => (await statusNow(home)).reconciler.haproxy.believed, 60_000);
    await scene.join(consul, "web", "web-9");
    await settled("web-1", "web-2", "web-3", "web-9");
  });

  test("a port that another process has in the same network: found before the reload", async () => {
    const { sluice } = await serving();
    const held = await heldPort();
    await listenAt(held);
    const closed = await sluice.logged(({ msg }) => msg.includes(String(held)) && msg.includes("in use"), 20_000);
    expect(closed.msg).toContain("in use by another process");
  });

  test("a port that is taken here and free where HAProxy is: opened", async () => {
    if (!root) return expect(root).toBe(false);
    await startExternal(scene, home, { namespaces: ["pid", "net"] });
    const sluice = scene.run(home);
    await upAgain(sluice);
    const held = await heldPort();
    await listenAt(held);
    await sluice.logged(({ event }) => event === "reloaded", 20_000);
    await eventually("it listens there", async () => (await runtimeCommand(home, "show stat")).includes(String(held)));
    expect(sluice.lines().filter(({ msg }) => msg.includes("in use"))).toEqual([]);
  });
});

test("settings that HAProxy cannot start on are mended while it is away", async () => {
  const { sluice, haproxy } = await serving();
  await haproxy.end();
  await sluice.logged(({ event }) => event === "process-awaited");
  const { httpPort } = home;
  const blocker = createServer().listen(httpPort, "127.0.0.1");
  scene.defer(() => new Promise((resolve) => blocker.close(resolve)));
  const stuck = await startExternal(scene, home);
  expect(await stuck.ended).not.toBe(0);

  const other = await scene.home(consul.address);
  await home.configure({ haproxy: externalMode, http: { bind: `127.0.0.1:${other.httpPort}` } });
  await eventually("the file has the other port", async () => (await liveConfig(home)).includes(`:${other.httpPort}`));
  await startExternal(scene, home);
  await eventually("it answers there", async () => (await ask(other.httpPort, { host })).status === 200);
  await sluice.logged(({ event }) => event === "inputs-accepted");
});

test("another version than the operator's binary is said", async () => {
  const own = await checkBinary(haproxyBinary);
  const others = await Promise.all(
    otherHaproxyBinaries().map(async (binary) => ({ binary, version: await checkBinary(binary) })),
  );
  const other = others.find(({ version }) => version.text !== own.text);
  if (other === undefined) return expect(others.map(({ version }) => version.text)).toEqual(others.map(() => own.text));
  const { sluice } = await serving({ binary: other.binary });
  const told = await sluice.logged(({ event }) => event === "version-differs");
  expect(told).toMatchObject({ running: other.version.text, binary: own.text });
  await scene.join(consul, "fresh", "fresh-1");
  await answers(home, "fresh.service.local");
  expect(countEvents(sluice, "version-differs")).toBe(1);
});

/** Three instances of `web`, HAProxy and the operator at work on them. */
async function serving(options: Parameters<typeof startExternal>[2] = {}) {
  for (const name of ["web-1", "web-2", "web-3"]) await scene.join(consul, "web", name);
  const sluice = scene.run(home);
  // Whoever comes first writes the first configuration.
  await eventually("there is a configuration", async () => (await liveConfig(home)) !== "", 60_000);
  const haproxy = await startExternal(scene, home, options);
  await answers(home, host, 60_000);
  await settled("web-1", "web-2", "web-3");
  return { haproxy, sluice };
}

async function upAgain(sluice: RunningSluice) {
  return sluice.logged(({ event }) => event === "process-up", 60_000);
}

/** Waits until process and file have these instances, and no others. */
async function settled(...names: readonly string[]): Promise<void> {
  const found = (servers: readonly string[]) => servers.map((server) => /\/([\w-]+?)_/.exec(server)?.[1]).sort();
  await eventually(
    `process and file have ${names.join(", ")}`,
    async () =>
      isDeepStrictEqual(found(await serversRunning(home)), names) &&
      isDeepStrictEqual(found(await serversInFile(home)), names),
    30_000,
  );
}

function startLoad() {
  return scene.load({ port: home.httpPort, keepAlive: 4, oneShot: 4, headers: { host }, pauseMs: 1 });
}

/** An instance that answers at once, but for `/held`, which waits until it is released. */
async function heldAnswers(name: string) {
  const waiting: ServerResponse[] = [];
  const server = createHttpServer(({ url }, response) => {
    if (url === "/held") waiting.push(response);
    else response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  scene.defer(async () => {
    server.closeAllConnections();
    server.close();
  });
  return {
    name,
    port: (server.address() as AddressInfo).port,
    held: () => waiting.length,
    release: () => {
      for (const response of waiting) response.end(name);
    },
    ask: (port: number, host: string) =>
      new Promise<number | string | undefined>((resolve) => {
        get({ host: "127.0.0.1", port, path: "/held", headers: { host }, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).on("error", ({ message }) => resolve(message));
      }),
  };
}

/** A port of 127.0.0.1 that somebody listens on. */
async function heldPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  scene.defer(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

/** A service that asks for a port of its own. */
async function listenAt(port: number): Promise<void> {
  const instance = await scene.instance("plain-1");
  await consul.register(registration("plain", instance, { Tags: ["haproxy.mode=tcp", `haproxy.listen=${port}`] }));
}
