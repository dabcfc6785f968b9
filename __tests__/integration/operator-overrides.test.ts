import { readFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { eventually, type RunningSluice, type SluiceHome } from "../support/sluice.ts";
import { ask, countEvents, Scene, statusNow } from "../support/system.ts";

/** What an operator writes in Consul's key-value store, and what a request sees of it. */

jest.setTimeout(120_000);

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let sluice: RunningSluice;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address, { haproxy: { onStop: "leave" } });
});
afterEach(() => scene.end());

async function run(): Promise<void> {
  sluice = scene.run(home);
  await sluice.logged((line) => line.event === "reloaded", 60_000);
}

/** A raw value: the document itself, and no JSON text of it. */
async function write(service: string, document: string): Promise<void> {
  const answer = await fetch(`${consul.address}/v1/kv/sluice/services/${service}`, { method: "PUT", body: document });
  expect(await answer.text()).toContain("true");
}
const erase = async (service: string) => {
  expect((await consul.fetch("DELETE", `/v1/kv/sluice/services/${service}`)).status).toBe(200);
};
const status = async (host: string, path = "/") => (await ask(home.httpPort, { host, path })).status;
const becomes = (host: string, wanted: number) =>
  eventually(`${host} is ${wanted}`, async () => (await status(host)) === wanted, 30_000);
const said = async () =>
  (await statusNow(home)).reconciler.excluded.map(({ service, reason }) => `${service}: ${reason}`);

test("an override goes before the tags, changes at run time, and goes with its key", async () => {
  await scene.join(consul, "web", "web-1", { Tags: ["haproxy.host=tagged.example.com"] });
  await write("web", "host: written.example.com");
  await run();
  await becomes("written.example.com", 200);
  // Known with the first configuration: the tag never had its host.
  expect(countEvents(sluice, "reloaded")).toBe(1);
  expect(await status("tagged.example.com")).toBe(404);
  await write("web", '{"host": ["other.example.com", "more.example.com"], "deny": "0.0.0.0/0"}');
  await becomes("other.example.com", 403);
  expect(await status("written.example.com")).toBe(404);
  await erase("web");
  await becomes("tagged.example.com", 200);
  expect(await status("other.example.com")).toBe(404);
  expect(countEvents(sluice, "reloaded")).toBe(1);
});

test("one that cannot be read leaves in force what it said before, and is named; the others go on", async () => {
  await scene.join(consul, "web", "web-1");
  await scene.join(consul, "api", "api-1");
  await write("web", "host: written.example.com");
  await run();
  await becomes("written.example.com", 200);
  await write("web", "host: [written.example");
  await write("api", "host: api.example.com\nnonsense: 1");
  await becomes("api.example.com", 200);
  await eventually("the broken one is named", async () =>
    (await said()).some((line) => /^web: .*neither YAML nor JSON.*still in force/.test(line)),
  );
  expect(await said()).toContainEqual(expect.stringMatching(/^api: .*nonsense is no option/));
  expect(await status("written.example.com")).toBe(200);
});

test("an operator exposes a service without tags, and hides one with them", async () => {
  await scene.join(consul, "plain", "plain-1", { Tags: [] });
  await scene.join(consul, "web", "web-1");
  await run();
  await becomes("web.service.local", 200);
  expect(await status("plain.service.local")).toBe(404);
  await write("plain", "enable: true");
  await becomes("plain.service.local", 200);
  await write("web", "enable: false");
  await becomes("web.service.local", 404);
  await erase("plain");
  await becomes("plain.service.local", 404);
});

test("a restart while Consul is away keeps what was written", async () => {
  await scene.join(consul, "web", "web-1");
  await write("web", "host: written.example.com");
  await run();
  await becomes("written.example.com", 200);
  // It is on the disk with the last good snapshot.
  await eventually("the snapshot is written", async () => {
    const text = await readFile(path.join(home.state, "snapshot.json"), "utf8").catch(() => "");
    return text.includes("written.example.com");
  });
  await sluice.end();
  await consul.stop();
  sluice = scene.run(home);
  await sluice.logged((line) => line.event === "process-up", 60_000);
  expect(await status("written.example.com")).toBe(200);
  expect(countEvents(sluice, "reloaded")).toBe(0);
});
