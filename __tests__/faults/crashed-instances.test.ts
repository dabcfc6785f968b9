import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { expectEnough, failuresByKind, printLoad } from "../support/fault-report.ts";
import { type InstanceProcess, startInstanceProcess } from "../support/instance-process.ts";
import type { Load } from "../support/load.ts";
import { eventually, runtimeCommand, type SluiceHome, workerPid } from "../support/sluice.ts";
import { answers, countEvents, Scene, serversRunning } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(180_000);

const headers = { host: "web.service.local" };

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test("three of six instances killed -9 while Consul calls them well: every GET is answered", async () => {
  const { home, sluice, instances, load } = await begin(6);
  const slow = scene.load({ port: home.httpPort, keepAlive: 4, oneShot: 4, headers, path: "/slow?ms=150" });
  await sleep(2_000);
  // Two at the same moment, then one more.
  await Promise.all([instances[0]?.kill(), instances[1]?.kill()]);
  await sleep(1_500);
  await instances[2]?.kill();
  await eventually("HAProxy's checks have found all three", async () => (await down(home)).length === 3);
  await sleep(1_500);
  const [report, slowReport] = [await load.stop(), await slow.stop()];

  printLoad("three of six killed -9", report, `${countEvents(sluice, "reloaded")} reloads in all`);
  say(
    `three of six killed -9, answers that take 150 ms: ${slowReport.sent} sent, ${slowReport.failures.length} failed`,
  );
  expect(failuresByKind(report)).toBe("");
  expect(failuresByKind(slowReport)).toBe("");
  // Consul was not told: they are servers still, for the day they are back.
  expect(await serversRunning(home)).toHaveLength(6);
  expectEnough(report);
});

test("three of six that joined at run time killed -9 at the same moment: every GET is answered", async () => {
  const { report } = await killJoined(3);
  printLoad("three of six, joined at run time, killed -9 at once", report);
  expect(failuresByKind(report)).toBe("");
  expectEnough(report);
});

test("five of six killed -9 at the same moment: the sixth serves on, at the cost of a few requests of that moment", async () => {
  const { report, killedMs } = await killJoined(5);
  printLoad("five of six, joined at run time, killed -9 at once", report);
  // A retry goes to the next in turn: some meet only dead ones before these are known to be.
  expect(report.failures.length).toBeLessThanOrEqual(16);
  expect(report.failures.filter(({ atMs }) => atMs > killedMs + 500)).toEqual([]);
  expectEnough(report);
});

test("an instance killed -9 in the middle of its answers costs those answers and no others", async () => {
  const { home, instances, load } = await begin(6);
  const answers = await Promise.all([...Array(12)].map(() => streamed(home, 3_000)));
  const [doomed] = instances;
  await doomed?.kill();
  const ends = await Promise.all(answers.map(async ({ by, ended }) => ({ by, ended: await ended })));
  await sleep(1_000);
  const report = await load.stop();

  const cut = ends.filter(({ by }) => by === doomed?.name);
  const others = ends.filter(({ by }) => by !== doomed?.name);
  printLoad("killed -9 while it answers", report, `${cut.length} of ${ends.length} long answers were its own and cut`);
  expect(failuresByKind(report)).toBe("");
  expect(cut.length).toBeGreaterThan(0);
  // An answer that is cut is not to look like a whole one.
  expect(cut.every(({ ended }) => ended === "cut")).toBe(true);
  expect(others.every(({ ended }) => ended === "whole")).toBe(true);
  expectEnough(report);
});

test("a POST is not carried out twice when its instance is killed -9, and is tried again only when it was not sent", async () => {
  const { home, instances, load } = await begin(6);
  const posts = postOneByOne(home, 8);
  await sleep(1_500);
  for (const instance of instances.slice(0, 3)) {
    await instance.kill();
    await sleep(500);
  }
  await sleep(1_000);
  const { sent, failed } = await posts.stop();
  const report = await load.stop();
  for (const instance of instances.slice(3)) await instance.kill();

  const did = instances.flatMap((instance) => instance.did);
  printLoad("three of six killed -9, with POSTs", report, `${sent} POSTs, ${failed.length} of them failed`);
  expect(failuresByKind(report)).toBe("");
  expect(did.length).toBe(new Set(did).size);
  expect(sent - did.length).toBeLessThanOrEqual(failed.length);
  // At most what each of the three had under way: eight clients, one request each.
  expect(failed.length).toBeLessThanOrEqual(3 * 8);
  expectEnough(report);
});

test("a host that vanishes: what asks it anew goes to another, within the 4 s a client waits", async () => {
  const { home, instances, load } = await begin(6, 1);
  await sleep(3_000);
  // While HAProxy stands still, so that nothing is half-way: the next it hears of both is silence.
  const worker = await workerPid(home);
  process.kill(worker, "SIGSTOP");
  await Promise.all([instances[0]?.vanish(), instances[1]?.vanish()]).finally(() => process.kill(worker, "SIGCONT"));
  await eventually("HAProxy's checks have found both", async () => (await down(home)).length === 2, 30_000);
  await sleep(2_000);
  const report = await load.stop();

  printLoad("two of six hosts vanish", report);
  expect(failuresByKind(report)).toBe("");
  expectEnough(report);
});

test("an instance joins whose host cannot be reached, vouched for by Consul: no request fails for it", async () => {
  const { consul, home, load } = await begin(4);
  const lost = await instance("web-lost", 1);
  await sleep(2_000);
  await lost.vanish();
  await consul.register(registration("web", lost));
  await eventually("it is a server", async () => (await serversRunning(home)).length === 5);
  await eventually("HAProxy's checks have found it", async () => (await down(home)).length === 1, 30_000);
  await sleep(2_000);
  const report = await load.stop();

  printLoad("a host that cannot be reached joins", report);
  expect(failuresByKind(report)).toBe("");
  expectEnough(report);
});

test("an instance that freezes costs what it is asked until Consul's check finds it, and nothing afterwards", async () => {
  const { consul, home, instances, load } = await begin(6);
  for (const { name, port } of instances) {
    const Check = {
      CheckID: `check-${name}`,
      HTTP: `http://127.0.0.1:${port}/`,
      Interval: "1s",
      Timeout: "1s",
      Status: "passing",
    };
    await consul.register(registration("web", { name, port }, { Check }));
  }
  await sleep(2_500);
  const [frozen] = instances;
  const frozenMs = load.report().seconds * 1_000;
  frozen?.freeze();
  await eventually("Consul's check has found it", async () => (await serversRunning(home)).length === 5, 30_000);
  const outMs = load.report().seconds * 1_000;
  await sleep(5_000);
  frozen?.thaw();
  await eventually("it is back", async () => (await serversRunning(home)).length === 6, 30_000);
  await sleep(1_500);
  const report = await load.stop();

  const outAfter = `out after ${Math.round(outMs - frozenMs)} ms`;
  printLoad("one of six freezes", report, outAfter);
  // All that is lost was asked before it was out; a client asks again only when it has given up.
  expect(report.failures.filter(({ atMs }) => atMs > outMs + 200)).toEqual([]);
  expect(report.failures.length).toBeLessThanOrEqual(16);
  // Every client waits once for the frozen one until it gives up.
  expectEnough(report, 500);
});

/** Six instances, of which all but one join at run time, under load; so many of them die at once. */
async function killJoined(count: number) {
  const { consul, home, instances, load } = await begin(1);
  for (const name of ["web-a", "web-b", "web-c", "web-d", "web-e"]) {
    const joined = await instance(name);
    instances.unshift(joined);
    await consul.register(registration("web", joined));
  }
  await eventually("all are in", async () => (await serversRunning(home)).length === 6);
  await sleep(2_000);
  const killedMs = load.report().seconds * 1_000;
  await Promise.all(instances.slice(0, count).map((one) => one.kill()));
  await eventually("HAProxy knows of all who died", async () => (await down(home)).length === count);
  await sleep(2_000);
  return { report: await load.stop(), killedMs };
}

/** So many instances in processes of their own as service `web`, an operator, and sixteen clients. */
async function begin(count: number, backlog?: number) {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const instances: InstanceProcess[] = [];
  for (let index = 0; index < count; index += 1) {
    const one = await instance(`web-${index}`, backlog);
    instances.push(one);
    await consul.register(registration("web", one));
  }
  const sluice = scene.run(home);
  await answers(home, headers.host);
  await eventually("all are in", async () => (await serversRunning(home)).length === count);
  const load: Load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers });
  return { consul, home, sluice, instances, load };
}

async function instance(name: string, backlog?: number): Promise<InstanceProcess> {
  const started = await startInstanceProcess(name, backlog);
  scene.defer(() => started.kill());
  return started;
}

/** The servers that HAProxy's own checks have found dead. */
async function down(home: SluiceHome): Promise<readonly string[]> {
  const lines = (await runtimeCommand(home, "show stat -1 4 -1")).split("\n");
  const names = lines[0]?.split(",") ?? [];
  const [name, status] = [names.indexOf("svname"), names.indexOf("status")];
  return lines
    .map((line) => line.split(","))
    .filter((words) => words[status]?.startsWith("DOWN"))
    .map((words) => words[name] ?? "");
}

/** Asks for an answer that takes so many ms; resolves when it has begun, with who gives it. */
function streamed(home: SluiceHome, ms: number): Promise<{ by: string; ended: Promise<"whole" | "cut"> }> {
  return new Promise((resolve, reject) => {
    const path = `/stream?ms=${ms}`;
    const call = request({ host: "127.0.0.1", port: home.httpPort, path, agent: false, headers }, (response) => {
      const ended = new Promise<"whole" | "cut">((settle) => {
        response.on("end", () => settle("whole"));
        response.on("error", () => settle("cut"));
      });
      response.setEncoding("utf8").once("data", (by: string) => resolve({ by: by.replace(/\.+$/, ""), ended }));
    });
    call.on("error", reject);
    call.end();
  });
}

/** Clients that POST without pause, each request with an ID of its own, and never try again. */
function postOneByOne(home: SluiceHome, clients: number) {
  let sent = 0;
  let stopped = false;
  const failed: string[] = [];
  const post = (agent: Agent, id: string) =>
    new Promise<void>((resolve) => {
      const fail = (what: string) => {
        failed.push(`${id} ${what}`);
        resolve();
      };
      const call = request(
        { host: "127.0.0.1", port: home.httpPort, method: "POST", agent, headers: { ...headers, "x-once": id } },
        (response) => {
          response.resume().on("end", () => (response.statusCode === 200 ? resolve() : fail(`${response.statusCode}`)));
          response.on("error", (error) => fail(error.message));
        },
      );
      call.on("error", (error) => fail(error.message));
      call.end("what is to be done");
    });
  const loops = [...Array(clients).keys()].map(async (client) => {
    const agent = new Agent({ keepAlive: client % 2 === 0, maxSockets: 1 });
    while (!stopped) {
      sent += 1;
      await post(agent, `${client}-${sent}`);
      await sleep(2);
    }
    agent.destroy();
  });
  const stop = async () => {
    stopped = true;
    await Promise.all(loops);
    return { sent, failed };
  };
  scene.defer(stop);
  return { stop };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
