import { watch } from "node:fs";
import { chmod, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { openStore } from "../../src/store/store.ts";
import { freePort } from "../support/free-port.ts";
import { eventually, processesOf, runtimeCommand, type SluiceHome } from "../support/sluice.ts";
import { answers, ask, bodies, countEvents, Scene, statusNow } from "../support/system.ts";

jest.setTimeout(120_000);

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

describe("Consul is not there at the start", () => {
  test("the operator waits and says so, and serves once Consul appears", async () => {
    const port = await freePort();
    const home = await scene.home(`http://127.0.0.1:${port}`);
    const sluice = scene.run(home);

    const line = await sluice.logged((one) => one.level === "warn" && String(one["reason"]).includes("ECONNREFUSED"));
    expect(line).toMatchObject({ watch: "catalog/services" });
    const waiting = await statusNow(home);
    expect(waiting.ready).toBe(false);
    expect(waiting.reasons.join("; ")).toContain("the catalog has not answered yet: catalog/services");
    // Nothing is known of what to serve: an HAProxy without services would answer 404 where it should not answer at all.
    await expect(ask(home.httpPort)).rejects.toThrow("ECONNREFUSED");

    const consul = await scene.consul({ httpPort: port });
    await scene.join(consul, "web", "web-1");
    await answers(home, "web.service.local");
    // Traffic flows a moment before the operator has read back that it does.
    await eventually("the operator says that it is ready", async () => (await statusNow(home)).ready);
  });

  test("the last good state is served from the live file, and from the snapshot where the file is gone", async () => {
    const consul = await scene.consul();
    const home = await scene.home(consul.address);
    await scene.join(consul, "web", "web-1");
    const first = scene.run(home);
    await answers(home, "web.service.local");
    await expectFiles(home, ["haproxy.cfg", "snapshot.json"]);
    expect(await first.end()).toBe(0);
    await expect(ask(home.httpPort)).rejects.toThrow("ECONNREFUSED");
    await consul.stop();

    const second = scene.run(home);
    await answers(home, "web.service.local");
    expect(await bodies(home, "web.service.local", 4)).toEqual(["web-1"]);
    expect((await statusNow(home)).reasons.join("; ")).toContain("the catalog has not answered yet");
    expect(await second.end()).toBe(0);

    await rm(path.join(home.state, "haproxy.cfg"));
    scene.run(home);
    await answers(home, "web.service.local");
    expect(await bodies(home, "web.service.local", 4)).toEqual(["web-1"]);
  });
});

test("told to stop while it waits for `sluice bootstrap` to give the state directory free, it ends at once, with 0", async () => {
  const home = await scene.home("http://127.0.0.1:1");
  const store = await openStore(home.state, { task: "sluice bootstrap" });
  scene.defer(() => store.close());
  const asked = watch(home.state);
  scene.defer(async () => asked.close());
  // Whoever asks for the lock writes its claim beside it.
  const claimed = new Promise<void>((resolve) => {
    asked.on("change", (_type, name) => void (String(name).startsWith("lock.") && resolve()));
  });
  const sluice = scene.run(home);
  await claimed;
  expect(await sluice.end()).toBe(0);
  expect(sluice.lines().filter(({ level }) => level === "error" || level === "fatal")).toEqual([]);
});

describe("the haproxy binary", () => {
  test("that is not there ends the start with a message that says what is needed", async () => {
    const home = await scene.home("http://127.0.0.1:1", { haproxy: { binary: "/nonexistent/haproxy" } });
    const sluice = scene.run(home);
    expect(await sluice.ended).toBe(1);
    const { error } = sluice.lines().at(-1) as unknown as { error: { code: string; message: string } };
    expect(error.code).toBe("ERR_HAPROXY_MISSING");
    expect(error.message).toContain("/nonexistent/haproxy");
    expect(error.message).toContain("haproxy.binary");
  });

  test("that is too old ends the start with both versions named", async () => {
    const home = await scene.home("http://127.0.0.1:1");
    const binary = path.join(home.directory, "haproxy-2.4");
    const version = "HAProxy version 2.4.22-f8e3218 2023/02/14 - https://haproxy.org/";
    await writeFile(binary, `#!/bin/sh\necho '${version}'\n`);
    await chmod(binary, 0o755);
    await home.configure({ haproxy: { binary } });
    const sluice = scene.run(home);
    expect(await sluice.ended).toBe(1);
    const { error } = sluice.lines().at(-1) as unknown as { error: { code: string; message: string } };
    expect(error.code).toBe("ERR_HAPROXY_TOO_OLD");
    expect(error.message).toContain("2.4.22");
    expect(error.message).toContain("2.6");
  });
});

test("hosts lead to their services; strangers get the 404 page, a service without servers the 503 page", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  await scene.join(consul, "web", "web-1");
  await scene.join(consul, "api", "api-1");
  await scene.join(consul, "hidden", "hidden-1", { Tags: [] });
  const sluice = scene.run(home);
  await answers(home, "web.service.local");
  await answers(home, "api.service.local");

  for (const host of [
    "web.service.local",
    "WEB.Service.Local",
    `web.service.local:${home.httpPort}`,
    "web.service.local.",
  ]) {
    expect({ host, ...(await ask(home.httpPort, { host })) }).toMatchObject({ host, status: 200, body: "web-1" });
  }
  expect(await ask(home.httpPort, { host: "api.service.local" })).toMatchObject({ status: 200, body: "api-1" });
  for (const host of ["hidden.service.local", "nobody.service.local", "web"]) {
    const answer = await ask(home.httpPort, { host });
    expect({ host, status: answer.status }).toEqual({ host, status: 404 });
    expect(answer.body).toContain("There is nothing here");
  }

  await consul.put("/v1/agent/check/update/check-api-1", { Status: "critical" });
  let answer = await ask(home.httpPort, { host: "api.service.local" });
  for (let tries = 0; tries < 200 && answer.status !== 503; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 25));
    answer = await ask(home.httpPort, { host: "api.service.local" });
  }
  expect(answer.status).toBe(503);
  expect(answer.body).toContain("Not available right now");
  expect(answer.headers["retry-after"]).toBe("5");
  expect(await ask(home.httpPort, { host: "web.service.local" })).toMatchObject({ status: 200, body: "web-1" });
  // From start to end: HAProxy was started once and never reloaded.
  expect(countEvents(sluice, "reloaded")).toBe(1);
});

test("the stats page asks for user and password, and names each server", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address, { stats: { user: "olga", password: "a b#\"'c" } });
  const instance = await scene.join(consul, "web", "web-1");
  scene.run(home);
  await answers(home, "web.service.local");

  const page = "/haproxy_stats";
  expect((await ask(home.statsPort, { path: page })).status).toBe(401);
  expect((await ask(home.statsPort, { path: page, auth: "admin:admin" })).status).toBe(401);
  const answer = await ask(home.statsPort, { path: page, auth: "olga:a b#\"'c" });
  expect(answer.status).toBe(200);
  expect(answer.body).toContain(`web-1_127.0.0.1:${instance.port}`);
  expect(await ask(home.statsPort)).toMatchObject({ status: 302, headers: { location: page } });
  // The page is not to be had where the traffic is.
  expect((await ask(home.httpPort, { path: page, host: "web.service.local" })).body).toBe("web-1");
});

describe("SIGTERM", () => {
  test("with onStop stop leaves nothing running and both ports free", async () => {
    const consul = await scene.consul();
    const home = await scene.home(consul.address);
    await scene.join(consul, "web", "web-1");
    const sluice = scene.run(home);
    await answers(home, "web.service.local");
    expect((await processesOf(home)).length).toBeGreaterThanOrEqual(2);

    expect(await sluice.end()).toBe(0);
    expect(await processesOf(home)).toEqual([]);
    for (const port of [home.httpPort, home.statsPort]) await expectFree(port);
    const left = [...(await readdir(home.state)), ...(await readdir(path.join(home.state, "sockets")))];
    expect(left.filter((name) => /^lock|^admin|^lock\.sock|\.tmp/.test(name))).toEqual([]);
    expect(sluice.errors()).toBe("");
  });

  test("with onStop leave lets HAProxy serve on: no request fails", async () => {
    const consul = await scene.consul();
    const home = await scene.home(consul.address, { haproxy: { onStop: "leave" } });
    await scene.join(consul, "web", "web-1");
    const sluice = scene.run(home);
    await answers(home, "web.service.local");
    const load = scene.load({
      port: home.httpPort,
      keepAlive: 2,
      oneShot: 2,
      headers: { host: "web.service.local" },
      pauseMs: 2,
    });
    expect(await sluice.end()).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const report = await load.stop();
    expect(report.failures).toEqual([]);
    expect(report.sent).toBeGreaterThan(50);
    expect(await runtimeCommand(home, "show info")).toContain("Stopping: 0");
  });
});

/** Waits for files of the state directory: the snapshot follows a second behind. */
async function expectFiles(home: SluiceHome, names: readonly string[]): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    const there = await readdir(home.state);
    if (names.every((name) => there.includes(name))) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  expect(await readdir(home.state)).toEqual(expect.arrayContaining([...names]));
}

async function expectFree(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}
