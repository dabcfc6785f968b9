import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { Page } from "playwright-core";
import { startBrowser } from "../support/browser.ts";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { type InstanceProcess, startInstanceProcess } from "../support/instance-process.ts";
import { picture } from "../support/pictures.ts";
import { eventually, type SluiceHome } from "../support/sluice.ts";
import { type StatsTableRow, statsTable } from "../support/stats-table.ts";
import { answers, Scene, serversRunning } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(300_000);

const patienceMs = 60_000;
const host = "web.service.local";
const credentials = { user: "admin", password: "looked-at" };

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let instances: readonly InstanceProcess[];
/** The servers' names on the stats page, by the instances'. */
let servers: ReadonlyMap<string, string>;

/** Five instances of `web` behind Sluice, under load. */
beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address, { stats: credentials });
  instances = await Promise.all([1, 2, 3, 4, 5].map((number) => startInstanceProcess(`web-${number}`)));
  for (const instance of instances) {
    scene.defer(() => instance.kill());
    await consul.register(registration("web", instance));
  }
  servers = new Map(instances.map(({ name, port }) => [name, `${name}_127.0.0.1:${port}`]));
  const sluice = scene.run(home);
  // Where others are at work on the machine, a start takes its time.
  await sluice.logged((line) => line.event === "reloaded", patienceMs);
  await answers(home, host, patienceMs);
  await eventually("all five serve", async () => (await serversRunning(home)).length === 5, patienceMs);
  scene.load({ port: home.httpPort, keepAlive: 4, oneShot: 4, headers: { host }, pauseMs: 25 });
});

afterEach(() => scene.end());

describe("HAProxy's stats page", () => {
  test("is shown to nobody without the password", async () => {
    const browser = await startBrowser({ user: credentials.user, password: "guessed" });
    scene.defer(() => browser.stop());
    const page = await browser.context.newPage();
    const answer = await page.goto(statsAddress());
    expect(answer?.status()).toBe(401);
    expect(await statsTable(page, "web")).toEqual([]);
  });

  test("has a row for each instance, by name and in green, and its counters rise", async () => {
    const page = await openStats();
    const first = await statsTable(page, "web");
    expect(first.map(({ name }) => name).sort()).toEqual([...servers.values()].sort());
    for (const row of first) {
      expect(row.colour).toBe("active_up");
      expect(row.status).toMatch(/ UP$/);
    }
    await rowsBecome(page, "all count more requests", (rows) =>
      rows.every(({ name, requests }) => requests > (first.find((row) => row.name === name)?.requests ?? Infinity)),
    );
    await rowsBecome(page, "a thousand requests", (rows) => rows.every(({ requests }) => requests >= 200));
    const heading = await page.locator("h3").first().boundingBox();
    await picture(page, "stats-page", { top: Math.floor(heading?.y ?? 0), height: 280 });
  });

  test("shows an instance in maintenance as drained, one that leaves until its last answer is given, and a failed one in red", async () => {
    const page = await openStats();
    await consul.put("/v1/agent/service/maintenance/web-1?enable=true");
    await rowsBecome(page, "web-1 drains", (rows) => {
      const row = rowOf(rows, "web-1");
      return row?.colour === "active_draining" && row.weight.startsWith("0");
    });

    const stream = await streamFromAnother();
    await consul.deregister(stream.name);
    await rowsBecome(page, "the one that leaves is in maintenance", (rows) => {
      const row = rowOf(rows, stream.name);
      return row?.colour === "maintain" && / MAINT$/.test(row.status);
    });
    expect(await stream.finished).toBe("complete");
    await rowsBecome(page, "it is gone", (rows) => rowOf(rows, stream.name) === undefined);
    expect(await statsTable(page, "web")).toHaveLength(4);

    const failing = instances.find(({ name }) => name !== "web-1" && name !== stream.name);
    await failing?.kill();
    await rowsBecome(page, "the one that does not answer is down", (rows) => {
      const row = rowOf(rows, failing?.name ?? "");
      return row?.colour === "active_down" && / DOWN\b/.test(row.status);
    });
  });
});

describe("Consul's own page", () => {
  test("has the same instances", async () => {
    const browser = await startBrowser();
    scene.defer(() => browser.stop());
    const page = await browser.context.newPage();
    await page.goto(`${consul.address}/ui/dc1/services/web/instances`);
    for (const name of servers.keys()) await page.getByText(name, { exact: true }).first().waitFor();
    await page.goto(`${consul.address}/ui/dc1/services`);
    await page.getByText("5 instances").waitFor();
    await page.locator("h1").click();
    await picture(page, "consul-services", { height: 340 });
  });
});

function statsAddress(): string {
  return `http://127.0.0.1:${home.statsPort}/haproxy_stats?scope=web`;
}

async function openStats(): Promise<Page> {
  const browser = await startBrowser(credentials);
  scene.defer(() => browser.stop());
  const page = await browser.context.newPage();
  // Wide enough for all columns.
  await page.setViewportSize({ width: 1360, height: 800 });
  await page.goto(statsAddress());
  return page;
}

/** Waits until the page, loaded anew each time, has such rows. */
async function rowsBecome(page: Page, what: string, test: (rows: readonly StatsTableRow[]) => boolean): Promise<void> {
  await eventually(
    what,
    async () => {
      await page.reload();
      return test(await statsTable(page, "web"));
    },
    patienceMs,
  );
}

function rowOf(rows: readonly StatsTableRow[], instance: string): StatsTableRow | undefined {
  return rows.find(({ name }) => name === servers.get(instance));
}

/** An answer that takes its time: the name of the instance that gives it, and how it ends. */
async function streamFromAnother() {
  const request = get({
    host: "127.0.0.1",
    port: home.httpPort,
    path: "/stream?ms=12000",
    headers: { host },
    agent: false,
  });
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  const [name] = (await once(answer.setEncoding("utf8"), "data")) as [string];
  const finished = new Promise<string>((resolve) => {
    answer.on("end", () => resolve("complete"));
    answer.on("error", (error) => resolve(error.message));
  });
  return { name: name.replaceAll(".", ""), finished };
}
