import { existsSync } from "node:fs";
import { chmod, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { checkBinary } from "../../src/haproxy/process/validate.ts";
import { haproxyBinary, otherHaproxyBinaries } from "../support/binaries.ts";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { eventually, liveConfig, type RunningSluice, type SluiceHome, workerPid } from "../support/sluice.ts";
import { answers, ask, Scene, serversInFile, serversRunning, statusNow } from "../support/system.ts";

jest.setTimeout(120_000);

const host = "web.service.local";

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let sluice: RunningSluice;
let binary: string;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address);
  binary = path.join(home.directory, "haproxy");
  await link(haproxyBinary);
  const template = path.join(home.directory, "template", "main.njk");
  await mkdir(path.dirname(template));
  await writeFile(
    template,
    `{% include "global.njk" %}
{% include "defaults.njk" %}
{% include "frontend-http.njk" %}
{% for b in backends %}
{{ backend(b) }}
{% endfor %}
`,
  );
  await writeFile(
    path.join(path.dirname(template), "backend.njk"),
    `{% from "server.njk" import server -%}
backend {{ b.name | token }}
  http-response set-header X-HAProxy {{ haproxy.version | format }}
{% for s in b.servers %}
  {{ server(b, s) }}
{% endfor %}
`,
  );
  await home.configure({ haproxy: { binary }, template });
  await scene.join(consul, "web", "web-1");
  sluice = scene.run(home);
  await answers(home, host);
});
afterEach(() => scene.end());

/** Another program in the binary's place, at once. */
async function link(target: string): Promise<void> {
  await symlink(target, `${binary}.new`);
  await rename(`${binary}.new`, binary);
}

/** HAProxy as it is, with another version on its lips. */
async function posing(version: string): Promise<string> {
  const file = path.join(home.directory, `haproxy-${version}`);
  await writeFile(
    file,
    `#!/bin/sh\n[ "$1" = -v ] && exec echo "HAProxy version ${version} 2026/10/17"\nexec '${haproxyBinary}' "$@"\n`,
  );
  await chmod(file, 0o755);
  return file;
}

/** A real binary of a newer version, where there is one. */
async function newerThan(text: string): Promise<{ readonly binary: string; readonly text: string } | undefined> {
  const all = await Promise.all(
    otherHaproxyBinaries().map(async (one) => ({ binary: one, text: (await checkBinary(one)).text })),
  );
  return all.find((one) => one.text.localeCompare(text, "en", { numeric: true }) > 0);
}

const told = async () => (await ask(home.httpPort, { host })).headers["x-haproxy"];

test("another version is noticed with the next change; templates follow, and the next reload brings it", async () => {
  const was = (await checkBinary(haproxyBinary)).text;
  expect(await told()).toBe(was);
  const real = await newerThan(was);
  const next = real ?? { binary: await posing("9.9.9"), text: "9.9.9" };
  await link(next.binary);
  const seen = sluice.lines().length;

  await scene.join(consul, "web", "web-2");
  const said = await sluice.logged((line) => line.event === "binary-changed", 30_000, seen);
  expect(said).toMatchObject({ now: next.text, was, level: "info" });
  await eventually("the template's version follows", async () => (await told()) === next.text, 30_000);
  await eventually("the file has all", async () => {
    const { reconciler } = await statusNow(home);
    return reconciler.fileLagMs === undefined && (await serversInFile(home)).length === 2;
  });
  expect(await serversRunning(home)).toEqual(await serversInFile(home));
  if (real !== undefined) {
    await eventually("the worker is of the new version", async () => {
      const { reconciler } = await statusNow(home);
      return reconciler.haproxy.version === next.text;
    });
  }
  process.stdout.write(`binary upgrade: from ${was} to ${next.text}${real ? "" : " (posing)"}\n`);

  // The state directory knows who accepted the file: also the next life says that it is another one.
  await sluice.end();
  await link(haproxyBinary);
  sluice = scene.run(home);
  expect(await sluice.logged((line) => line.event === "binary-changed")).toMatchObject({ now: was, was: next.text });
  await answers(home, host);
});

test.each([
  ["gone", "ERR_HAPROXY_MISSING", () => rm(binary)],
  ["too old", "ERR_HAPROXY_TOO_OLD", async () => link(await posing("2.2.9"))],
] as const)("one that is %s is said, and what runs is left alone", async (_how, code, breakIt) => {
  const worker = await workerPid(home);
  const text = await liveConfig(home);
  await breakIt();
  const seen = sluice.lines().length;

  await scene.join(consul, "web", "web-2");
  await sluice.logged((line) => line.event === "reconcile-failed" && line["code"] === code, 30_000, seen);
  // A change of endpoints goes on without the binary; a new service needs it.
  await eventually("web-2 serves", async () => (await ask(home.httpPort, { host })).body.includes("web-2"));
  await scene.join(consul, "api", "api-1");
  for (let count = 0; count < 50; count += 1) expect((await ask(home.httpPort, { host })).status).toBe(200);
  expect(await workerPid(home)).toBe(worker);
  expect(await liveConfig(home)).toBe(text);
  expect(sluice.process.exitCode).toBeNull();

  await link(haproxyBinary);
  await answers(home, "api.service.local", 30_000);
  await answers(home, host);
  await eventually("the file has all", async () => (await serversInFile(home)).length === 3);
  expect(existsSync(path.join(home.state, "haproxy.cfg"))).toBe(true);
});
