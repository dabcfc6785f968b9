import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { ConsulWorld } from "../support/consul-world.ts";
import { expectEnough } from "../support/fault-report.ts";
import { Scene } from "../support/system.ts";

jest.setTimeout(180_000);

const management = "00000000-0000-4000-8000-00000000000a";
// What a token may do is remembered for half a minute by default, which is not what is tested here.
const acl = `acl { enabled = true default_policy = "deny" policy_ttl = "1s" token_ttl = "1s" role_ttl = "1s" tokens { initial_management = "${management}" agent = "${management}" } }`;
const services = 'service_prefix "" { policy = "read" }';
const nodes = 'node_prefix "" { policy = "read" }';
const full = `${services} ${nodes}`;

let scene: Scene;
let consul: ConsulAgent;
let tokenFile: string;
let world: ConsulWorld;
let policy: string;
let accessor: string;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul({ extraArgs: ["-hcl", acl], token: management });
  policy = ((await consul.put("/v1/acl/policy", { Name: "watcher", Rules: full })) as { ID: string }).ID;
  const directory = (await scene.home(consul.address)).directory;
  tokenFile = path.join(directory, "token");
  accessor = await newToken();
  // Waits are short, so that what a token has lost is seen at the end of one.
  world = await ConsulWorld.begin(scene, consul, consul.address, { consul: { tokenFile, wait: "2s" } });
});
afterEach(() => scene.end());

/** Makes a token, and writes it where the operator reads it. */
async function newToken(): Promise<string> {
  const token = (await consul.put("/v1/acl/token", { Policies: [{ Name: "watcher" }] })) as {
    readonly AccessorID: string;
    readonly SecretID: string;
  };
  await writeFile(tokenFile, token.SecretID);
  return token.AccessorID;
}

async function setRules(rules: string): Promise<void> {
  await consul.put(`/v1/acl/policy/${policy}`, { Name: "watcher", Rules: rules });
}

const narrowed: readonly (readonly [what: string, rules: string])[] = [
  ["the nodes", services],
  ["one service", `service "web" { policy = "deny" } ${full}`],
  ["all services", nodes],
  ["everything", 'key "nothing" { policy = "read" }'],
];

test.each(narrowed)(
  "a token that loses %s takes no instance away, and has its changes once it has its rights",
  async (what, rules) => {
    world.load();
    await setRules(rules);
    const { stale } = await world.catalogSays("web is stale", (catalog) =>
      catalog.stale.some(({ name }) => name === "web"),
    );
    const reason = stale.find(({ name }) => name === "web")?.reason ?? "";
    expect(reason).toMatch(/consul\.token/);
    // The catalog goes on changing, which the token is not to see.
    await world.join(consul, "web", "web-late");
    await consul.deregister("web-4");
    await sleep(4_000);
    const still = world.members.find(({ web }) => web.name === "web-4")?.web;
    const answered = still?.answered() ?? 0;
    await sleep(500);
    expect(still?.answered()).toBeGreaterThan(answered);

    await setRules(full);
    const from = performance.now();
    const servedMs = await world.servedBy("web-late", from);
    await world.fresh();
    const freshMs = Math.round(performance.now() - from);
    const report = await world.end(
      `a token loses ${what}`,
      `change applied ${servedMs} ms after it has its rights again, all fresh after ${freshMs} ms`,
      `said: ${reason}`,
    );
    expect(report.failures).toEqual([]);
    expectEnough(report);
  },
);

test("a token that is deleted takes no instance away, and the next one in its file is used at once", async () => {
  world.load();
  expect((await consul.fetch("DELETE", `/v1/acl/token/${accessor}`)).status).toBe(200);
  await world.allStale(/403/);
  await world.join(consul, "web", "web-late");
  await sleep(5_000);
  const from = performance.now();
  await newToken();
  const servedMs = await world.servedBy("web-late", from);
  await world.fresh();
  const freshMs = Math.round(performance.now() - from);
  const report = await world.end(
    "a token is deleted",
    `change applied ${servedMs} ms after the next one is there, all fresh after ${freshMs} ms`,
  );
  expect(report.failures).toEqual([]);
  expect(servedMs).toBeLessThan(2_500);
  expectEnough(report);
});

test("an operator that starts again without a token, which sees nothing, leaves all as it is", async () => {
  world.load();
  await world.sluice.end("SIGKILL");
  await writeFile(tokenFile, "");
  const next = scene.run(world.home);
  const waits = await world.catalogSays(
    "it waits",
    ({ waitingFor, stale }) => waitingFor.length > 0 || stale.length > 0,
  );
  expect(waits.waitingFor).toContain("catalog/services");
  await sleep(5_000);
  expect(next.lines().filter(({ event }) => event === "reloaded")).toEqual([]);
  const from = performance.now();
  await newToken();
  await world.join(consul, "web", "web-late");
  const servedMs = await world.servedBy("web-late", from);
  const report = await world.end(
    "an operator starts again without its token",
    `new instance served ${servedMs} ms after the token is there`,
  );
  expect(report.failures).toEqual([]);
  expectEnough(report);
});
