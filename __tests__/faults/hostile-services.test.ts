// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is what HAProxy and shells take for a variable

import { cp, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { parseConfig } from "../../src/haproxy/config/parse.ts";
import { safeName } from "../../src/routing/names.ts";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { expectEnough, failuresByKind, printLoad } from "../support/fault-report.ts";
import { eventually, liveConfig, type SluiceHome } from "../support/sluice.ts";
import { answers, ask, Scene, serversRunning, statusNow } from "../support/system.ts";
import { registration, type WebInstance } from "../support/web-instance.ts";

jest.setTimeout(180_000);

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

const sources = fileURLToPath(new URL("../../haproxy/", import.meta.url));
const headers = { host: "web.service.local" };
/** A join is to be served within so many ms of its registration. */
const servedMs = 100;
const ownSections = [
  "global",
  "defaults",
  ...["sluice", "sluice_backend_http", "sluice_backend_tcp"].map((name) => `defaults ${name}`),
  "frontend sluice_stats",
  "frontend sluice_http",
  ...["no_route", "rate_1s", "rate_10s", "rate_1m"].map((name) => `backend sluice_${name}`),
];

/** A backend as somebody may write it who trusts what he reads: names and meta stand in quotes, and are not escaped. */
const trusting = `{% from "server.njk" import server -%}
backend {{ b.name | token }}
  balance {{ b.balance | words }}
  http-request set-header X-Service "{{ b.sources[0].name }}"
{% for s in b.servers %}{% if loop.first and s.meta.team %}
  http-response set-header X-Team "{{ s.meta.team }}"
{% endif %}{% endfor %}
{% for s in b.servers %}
  {{ server(b, s) }}
{% endfor %}
`;

test("two services whose values break a trusting template cost themselves alone, are named, and are released when mended", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const template = path.join(home.directory, "template");
  await cp(sources, template, { recursive: true });
  await writeFile(path.join(template, "backend.njk"), trusting);
  await home.configure({ template: path.join(template, "haproxy.cfg.njk") });
  for (const name of ["web-1", "web-2", "web-3", "web-4"]) await scene.join(consul, "web", name);
  const shop = [
    await scene.join(consul, "shop", "shop-1", team("ok")),
    await scene.join(consul, "shop", "shop-2", team("ok")),
  ];
  const sluice = scene.run(home);
  await answers(home, headers.host);
  await answers(home, "shop.service.local");
  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers });
  const shopLoad = scene.load({
    port: home.httpPort,
    keepAlive: 1,
    oneShot: 1,
    headers: { host: "shop.service.local" },
    pauseMs: 5,
  });

  // One that comes, and one that was well: each time with another value, so that each time it is tried and refused.
  const stranger = await scene.instance("stranger-1");
  const times: number[] = [];
  for (let count = 0; count < 10; count += 1) {
    await consul.register(registration('say "hello', stranger, team(`%[no_such_fetch_${count}]`)));
    for (const one of shop) await consul.register(registration("shop", one, team(`"\\nbind :${count} %[`)));
    times.push(await joinAndServe(consul, home, `web-x${count}`));
    await sleep(250);
  }
  await becomes(async () => {
    const { quarantined } = (await statusNow(home)).reconciler;
    return quarantined.map(({ service, keeps }) => `${service} ${keeps}`).sort();
  }, ['say "hello left-out', "shop last-good"]);
  for (const { reason, since } of (await statusNow(home)).reconciler.quarantined) {
    expect(reason).not.toBe("");
    expect(Date.parse(since)).toBeGreaterThan(Date.now() - 60_000);
  }
  expect(await sections(home)).toEqual([...ownSections, "backend shop", "backend web"].sort());
  expect(await binds(home)).toEqual([`127.0.0.1:${home.httpPort}`, `127.0.0.1:${home.statsPort}`].sort());
  expect((await ask(home.httpPort, { host: "shop.service.local" })).headers["x-team"]).toBe("ok");
  // Its endpoints go on being followed, with what it said before.
  const third = await scene.join(consul, "shop", "shop-3", team("%[also_wrong"));
  await eventually("the third of shop is in", async () =>
    (await serversRunning(home)).some((server) => server.includes(third.name)),
  );

  // One mends its values, the other leaves.
  for (const one of [...shop, third]) await consul.register(registration("shop", one, team("mended")));
  await consul.deregister(stranger.name);
  await stranger.stop();
  await eventually(
    "nobody is in quarantine",
    async () => (await statusNow(home)).reconciler.quarantined.length === 0,
    20_000,
  );
  await eventually(
    "shop has its new team",
    async () => (await ask(home.httpPort, { host: "shop.service.local" })).headers["x-team"] === "mended",
    20_000,
  );
  const [report, shopReport] = [await load.stop(), await shopLoad.stop()];

  printLoad(
    "two hostile services, a trusting template",
    report,
    joins(times),
    `shop: ${shopReport.sent} sent, ${shopReport.failures.length} failed`,
  );
  expect(failuresByKind(report)).toBe("");
  expect(failuresByKind(shopReport)).toBe("");
  expect(median(times)).toBeLessThan(servedMs);
  expect(sluice.lines().filter(({ code }) => code === "ERR_INTERNAL")).toEqual([]);
  expectEnough(report);
});

test("names, ids, tags, addresses and ports of any content: what can be carried is, the rest is named, others notice nothing", async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address, { services: { remember: "3s" }, resync: "1s" });
  for (const name of ["web-1", "web-2", "web-3", "web-4"]) await scene.join(consul, "web", name);
  const first = scene.run(home);
  await answers(home, headers.host);
  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers });

  const times: number[] = [];
  for (const [count, hostile] of hostiles.entries()) {
    await consul.register({ ...usual, ...hostile });
    times.push(await joinAndServe(consul, home, `web-x${count}`));
  }
  const backends = hostiles.map(({ Name }) => `backend ${safeName(Name)}`);
  const expected = [...ownSections, "backend web", ...backends].sort();
  await becomes(() => sections(home), expected);
  expect(await binds(home)).toEqual([`127.0.0.1:${home.httpPort}`, `127.0.0.1:${home.statsPort}`].sort());
  const { reconciler, catalog } = await statusNow(home);
  const named = new Set([
    ...reconciler.excluded.map(({ service }) => service),
    ...catalog.stale.map(({ name }) => name),
  ]);

  // They are there when the next operator starts, too.
  await first.end("SIGKILL");
  const second = scene.run(home);
  await second.logged(({ event }) => event === "process-up", 30_000);
  times.push(await joinAndServe(consul, home, "web-after"));
  for (const { ID } of hostiles) await consul.deregister(ID);
  // They are forgotten, and nothing of them is left.
  await becomes(() => sections(home), [...ownSections, "backend web"].sort());
  await becomes(async () => (await statusNow(home)).reconciler.excluded.map(({ reason }) => reason), []);
  const report = await load.stop();

  printLoad(`${hostiles.length} hostile registrations`, report, joins(times), `${named.size} services named`);
  expect(failuresByKind(report)).toBe("");
  expect(median(times)).toBeLessThan(servedMs);
  for (const { Name } of refused) expect([...named]).toContain(Name);
  expect([...first.lines(), ...second.lines()].filter(({ code }) => code === "ERR_INTERNAL")).toEqual([]);
  expectEnough(report);
});

interface Hostile {
  readonly Name: string;
  readonly ID: string;
  readonly [field: string]: unknown;
}

const injection = 'x\nbackend evil\n  server evil 127.0.0.1:1\nfrontend evil\n  bind :1"';
const usual = { Tags: ["haproxy.enable=true"], Address: "127.0.0.1", Port: 1 };
/** Those that get a server. */
const carried: readonly Hostile[] = [
  { Name: 'quote"s', ID: "h-quotes" },
  { Name: "sp ace # and ; more", ID: "h-space" },
  { Name: "${HOME} $(id) %[env(HOME)]", ID: "h-variables" },
  { Name: "n".repeat(300), ID: "h-long" },
  { Name: "\u202egnp.exe", ID: "h-rtl" },
  { Name: "sluice_http", ID: "h-own" },
  {
    Name: "tags",
    ID: "h-tags",

    Tags: ["haproxy.enable=true", injection, "haproxy.panic=\nserve", "\0"],
  },
  { Name: "big-tag", ID: "h-big", Tags: ["haproxy.enable=true", "t".repeat(100_000)] },
  { Name: "id", ID: 'h-"id# ;' },
];
/** Those that get none: HAProxy has an empty backend for each, which answers with 503. */
const refused: readonly Hostile[] = [
  { Name: "address", ID: "h-address", Address: injection },
  { Name: "address-word", ID: "h-word", Address: "1.2.3.4:80 backup" },
  { Name: "port-none", ID: "h-port-0", Port: 0 },
  { Name: "port-below", ID: "h-port-1", Port: -1 },
  { Name: "port-above", ID: "h-port-70000", Port: 70_000 },
  { Name: injection, ID: "h-newline" },
  { Name: "nul\0nul", ID: "h-nul" },
];
const hostiles = [...carried, ...refused];

function team(value: string) {
  return { Meta: { team: value } };
}

/** An instance of `web` joins: ms from when Consul has taken its registration to its first answer. */
async function joinAndServe(consul: ConsulAgent, home: SluiceHome, name: string): Promise<number> {
  const web: WebInstance = await scene.join(consul, "web", name);
  const registered = performance.now();
  while (web.answered() === 0) {
    if (performance.now() - registered > 20_000) {
      throw new Error(`${name} is not served: ${JSON.stringify(await statusNow(home))}`);
    }
    await sleep(2);
  }
  return performance.now() - registered;
}

function joins(times: readonly number[]): string {
  return `joins served after ${Math.round(median(times))} ms (median of ${times.length}), at most ${Math.round(Math.max(...times))} ms`;
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

async function sections(home: SluiceHome): Promise<readonly string[]> {
  const found = parseConfig(await liveConfig(home)).sections;
  return found.map(({ kind, name }) => (name === undefined ? kind : `${kind} ${name}`)).sort();
}

async function binds(home: SluiceHome): Promise<readonly string[]> {
  const lines = parseConfig(await liveConfig(home)).sections.flatMap(({ lines }) => lines);
  return lines.flatMap(({ words }) => (words[0] === "bind" ? words.slice(1) : [])).sort();
}

/** Waits until it is so; where it does not come to be, the difference is shown. */
async function becomes(read: () => Promise<readonly string[]>, expected: readonly string[]): Promise<void> {
  const isSo = async () => JSON.stringify(await read()) === JSON.stringify(expected);
  await eventually("it is so", isSo, 30_000).catch(() => undefined);
  expect(await read()).toEqual(expected);
}
