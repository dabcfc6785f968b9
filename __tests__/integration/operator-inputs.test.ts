import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { freePort } from "../support/free-port.ts";
import type { Load, LoadReport } from "../support/load.ts";
import { lastOfFrontend } from "../support/own-template.ts";
import {
  eventually,
  liveConfig,
  type RunningSluice,
  type SluiceHome,
  sluiceCommand,
  workerPid,
} from "../support/sluice.ts";
import { answers, ask, bodies, countEvents, Scene, statusNow } from "../support/system.ts";

jest.setTimeout(120_000);

const shipped = fileURLToPath(new URL("../../haproxy/", import.meta.url));
/** The service that gets all requests, so that a change of routes is none for the load. */
const settings = { http: { defaultService: "web" } };

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let sluice: RunningSluice;
let mainTemplate: string;
let frontend: string;
let worker: number;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address);
  mainTemplate = path.join(home.directory, "template", "haproxy.cfg.njk");
  frontend = path.join(home.directory, "template", "frontend-http.njk");
  await mkdir(path.dirname(mainTemplate));
  for (const file of [mainTemplate, frontend]) await writeFile(file, await original(path.basename(file)));
  await configure({});
  await scene.join(consul, "web", "web-1");
  sluice = scene.run(home);
  // Traffic flows before it is said.
  await sluice.logged((line) => line.event === "reloaded");
  await answers(home, "web.service.local");
  worker = await workerPid(home);
});
afterEach(() => scene.end());

describe("a change of template or settings while the operator runs", () => {
  test("a header added to the template: one reload with its reason, no request fails", async () => {
    const before = sluice.lines().length;
    const load = oneShotLoad();
    await insert(withHeader("yes"));
    await sluice.logged((line) => line.event === "inputs-accepted", 15_000, before);
    await eventually("the header is there", async () => (await askWeb()).headers["x-edited"] === "yes");
    expectNoFailure(await load.stop());

    expect(reloads(before)).toBe(1);
    const [reason] = reasons(before);
    expect(reason).toMatchObject({ code: "section-changed", subject: "frontend sluice_http" });
    expect(reason?.sentence).toContain("X-Edited");
    expect(await workerPid(home)).not.toBe(worker);
  });

  test("another balance: one reload with its reason, no request fails", async () => {
    const before = sluice.lines().length;
    const load = oneShotLoad();
    await configure({ services: { balance: "leastconn" } });
    await sluice.logged((line) => line.event === "inputs-accepted", 15_000, before);
    expectNoFailure(await load.stop());

    expect(reloads(before)).toBe(1);
    const [reason] = reasons(before);
    expect(reason).toMatchObject({ code: "section-changed", subject: "backend web" });
    expect(reason?.sentence).toContain("leastconn");
  });

  test("another domain moves the routes at run time: no reload, no request fails", async () => {
    const before = sluice.lines().length;
    const load = oneShotLoad();
    await scene.join(consul, "api", "api-1");
    await answers(home, "api.service.local");
    await eventually("api has a route of its own", async () => (await askHost("api.service.local")) === "api-1");
    const loaded = sluice.lines().length;
    await configure({ http: { domain: "apps.example.org" } });
    await eventually("api has its new name", async () => (await askHost("api.apps.example.org")) === "api-1");
    // The old name leads where every stranger's does.
    expect(await askHost("api.service.local")).toBe("web-1");
    expectNoFailure(await load.stop());
    expect(countEvents(sluice, "inputs-accepted", loaded)).toBe(1);
    expect(reloads(loaded)).toBe(0);
    expect(reloads(before)).toBe(1);
  });

  test("a setting that takes a restart is named, and the others of the same edit apply", async () => {
    await configure({ consul: { wait: "30s" }, services: { balance: "leastconn" } });
    const line = await sluice.logged(({ msg }) => msg.includes("when sluice is started again"));
    expect(line["settings"]).toEqual(["consul.wait"]);
    await sluice.logged((one) => one.event === "inputs-accepted");
  });
});

describe("broken inputs are refused, traffic and endpoint changes go on, and a mended file is picked up", () => {
  test("a template with broken syntax", async () => {
    await refuses(() => insert("{% if %}"), [/frontend-http\.njk:\d+/, /haproxy\.cfg\.njk/]);
    await mends(() => insert(withHeader("mended")));
  });

  test("a template that names what is not there", async () => {
    await refuses(
      () => insert("option {{ http.nonsense }}"),
      [/frontend-http\.njk:\d+:\d+: .*http\.nonsense.*has no value/],
    );
    await mends(() => insert(withHeader("mended")));
  });

  test("a directive HAProxy does not know", async () => {
    await refuses(() => insert("frobnicate on"), [/line \d+ \(frontend sluice_http\): .*frobnicate/]);
    const { out } = await sluiceCommand(["status", "--settings", home.settingsFile]);
    expect(out).toMatch(/^settings or template refused: .*line \d+ \(frontend sluice_http\): .*frobnicate/m);
    await mends(() => insert(withHeader("mended")));
  });

  test("a settings file with an unknown key", async () => {
    await refuses(
      () => configure({ htpp: { domain: "x.org" } }),
      [/sluice\.yaml:\d+:\d+: htpp: unknown key; did you mean http\?/],
    );
    await mends(() => configure({ http: { domain: "apps.example.org" } }));
  });

  test("a settings file with a wrong type", async () => {
    await refuses(() => configure({ resync: [1] }), [/sluice\.yaml:\d+:\d+: resync: found a list, expected/]);
    await mends(() => configure({ http: { domain: "apps.example.org" } }));
  });

  test("a settings file that is not YAML", async () => {
    const text = await readFile(home.settingsFile, "utf8");
    await refuses(() => writeFile(home.settingsFile, `${text}\nhttp: {{\n`), [/sluice\.yaml:\d+:\d+: .*not YAML/]);
    await mends(() => configure({ http: { domain: "apps.example.org" } }));
  });
});

test("a bind that another process holds: said, not tried; taken once it is free", async () => {
  const port = await freePort();
  const holder = createServer().listen(port, "127.0.0.1");
  const release = () => new Promise<void>((resolve) => holder.close(() => resolve()));
  scene.defer(release);
  const bind = `127.0.0.1:${home.httpPort},127.0.0.1:${port}`;
  await refuses(() => configure({ http: { bind } }), [new RegExp(`:${port}\\b`)]);
  const before = sluice.lines().length;
  await release();
  await sluice.logged((line) => line.event === "inputs-accepted", 30_000, before);
  await eventually("the new entry point answers", async () => (await ask(port)).body === "web-1");
  expect(reloads(0)).toBe(2);
});

test("a template that cannot be read at a restart: the last good one goes on, and the new one is picked up", async () => {
  await insert(withHeader("last-good"));
  await eventually("the header is there", async () => (await askWeb()).headers["x-edited"] === "last-good");
  // The last good template is written behind it.
  await eventually("the template is kept", async () =>
    (await readFile(path.join(home.state, "template.json"), "utf8")).includes("last-good"),
  );
  expect(await sluice.end()).toBe(0);
  await rm(path.dirname(mainTemplate), { recursive: true });

  sluice = scene.run(home);
  await eventually("it serves", async () => (await askWeb()).status === 200, 20_000);
  expect((await askWeb()).headers["x-edited"]).toBe("last-good");
  expect((await statusNow(home)).reconciler.inputsProblem).toContain(mainTemplate);
  await scene.join(consul, "web", "web-late");
  await eventually("an instance can join", async () =>
    (await bodies(home, "web.service.local", 4)).includes("web-late"),
  );
  // A new backend is a change of structure; it is made with the last good template as well.
  await scene.join(consul, "api", "api-1");
  // Longer than the wait after a reload that failed: whatever passes must end in the service being there.
  await eventually("a service can appear", async () => (await askHost("api.service.local")) === "api-1", 30_000).catch(
    (thrown) => {
      const tail = sluice
        .lines()
        .slice(-30)
        .map(({ time, level, msg }) => `${time} ${level} ${msg}`);
      throw new Error(`${thrown}\n${tail.join("\n")}`, { cause: thrown });
    },
  );
  expect((await askWeb()).headers["x-edited"]).toBe("last-good");

  await mkdir(path.dirname(mainTemplate));
  await writeFile(mainTemplate, await original("haproxy.cfg.njk"));
  await eventually(
    "the template that is back is in force",
    async () => (await askWeb()).headers["x-edited"] === undefined,
  );
  expect((await statusNow(home)).reconciler.inputsProblem).toBeUndefined();
});

test("settings saved while the operator starts, after it has read them, are not lost", async () => {
  expect(await sluice.end()).toBe(0);
  sluice = scene.run(home);
  // Taken behind the reading of the settings, and before the files are watched.
  await eventually("the state directory is locked", () => existsSync(path.join(home.state, "lock")));
  await configure({ services: { balance: "leastconn" } });
  await eventually("they are in force", async () => (await liveConfig(home)).includes("balance leastconn"), 20_000);
});

test("a template edited while no operator runs waits for the catalog: a service newer than the snapshot is not lost", async () => {
  const snapshot = path.join(home.state, "snapshot.json");
  await eventually("the snapshot is written", async () => (await readFile(snapshot, "utf8")).includes("web-1"));
  const older = await readFile(snapshot, "utf8");
  await scene.join(consul, "api", "api-1");
  await eventually("api answers", async () => (await askHost("api.service.local")) === "api-1");
  await eventually("the file has it", async () => (await liveConfig(home)).includes("api-1"));
  await sluice.end("SIGKILL");
  await writeFile(snapshot, older);
  await insert(withHeader("meanwhile"));

  const headers = { host: "api.service.local" };
  const load = scene.load({ port: home.httpPort, keepAlive: 0, oneShot: 4, pauseMs: 1, headers });
  process.kill(consul.pid, "SIGSTOP");
  try {
    sluice = scene.run(home);
    await sluice.logged((line) => line.event === "process-up");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(reloads(0)).toBe(0);
  } finally {
    process.kill(consul.pid, "SIGCONT");
  }
  await sluice.logged((line) => line.event === "inputs-accepted");
  await eventually("the header is there", async () => (await askWeb()).headers["x-edited"] === "meanwhile");
  const report = await load.stop();
  expectNoFailure(report);
  expect(report.bodies).toEqual({ "api-1": report.sent });
  expect(reloads(0)).toBe(1);
});

/** Makes a broken edit under load and sees that it is refused, that it changes nothing, and that endpoints still follow. */
async function refuses(breakIt: () => Promise<unknown>, said: readonly RegExp[]): Promise<void> {
  const before = sluice.lines().length;
  const load = oneShotLoad();
  await breakIt();
  const line = await sluice.logged((one) => one.event === "inputs-refused" && one.level === "error", 15_000, before);
  for (const pattern of said) expect(line.msg).toMatch(pattern);
  const { inputsProblem } = (await statusNow(home)).reconciler;
  for (const pattern of said) expect(inputsProblem).toMatch(pattern);

  const late = await scene.join(consul, "web", "web-late");
  await eventually("an instance that joined takes traffic", () => late.answered() > 5);
  await consul.deregister("web-late");
  await eventually("it has left", async () => (await bodies(home, "web.service.local", 4)).join() === "web-1");
  expectNoFailure(await load.stop());
  expect(reloads(before)).toBe(0);
  expect(await workerPid(home)).toBe(worker);
  expect((await statusNow(home)).reconciler.inputsProblem).toMatch(said[0] ?? /./);
}

async function mends(mendIt: () => Promise<unknown>): Promise<void> {
  const before = sluice.lines().length;
  const load = oneShotLoad();
  await mendIt();
  await sluice.logged((line) => line.event === "inputs-accepted", 15_000, before);
  await eventually("the problem is over", async () => (await statusNow(home)).reconciler.inputsProblem === undefined);
  expectNoFailure(await load.stop());
}

function configure(more: Readonly<Record<string, unknown>>): Promise<void> {
  const http = { ...settings.http, ...(more["http"] as object) };
  return home.configure({ template: mainTemplate, ...more, http });
}

function original(name: string): Promise<string> {
  return readFile(path.join(shipped, name), "utf8");
}

/** Writes the shipped text of a part with one change. */
/** The shipped frontend with a line more. */
async function insert(line: string): Promise<void> {
  const text = await original(path.basename(frontend));
  expect(text).toContain(lastOfFrontend);
  await writeFile(frontend, text.replace(lastOfFrontend, `${lastOfFrontend}\n  ${line}`));
}

function withHeader(value: string): string {
  return `http-response set-header X-Edited ${value}`;
}

function oneShotLoad(): Load {
  return scene.load({ port: home.httpPort, keepAlive: 0, oneShot: 4, pauseMs: 1 });
}

function expectNoFailure(report: LoadReport): void {
  expect(report.failures).toEqual([]);
  expect(report.sent).toBeGreaterThan(20);
}

function askWeb() {
  return ask(home.httpPort, { host: "web.service.local" });
}

async function askHost(host: string): Promise<string> {
  return (await ask(home.httpPort, { host })).body;
}

function reloads(from: number): number {
  return countEvents(sluice, "reloaded", from);
}

function reasons(from: number) {
  const line = sluice.lines().find((one, index) => index >= from && one.event === "reload-wanted");
  return (line?.["reasons"] ?? []) as readonly { code: string; subject: string; sentence: string }[];
}
