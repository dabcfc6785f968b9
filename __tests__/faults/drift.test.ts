import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import { startInstanceProcess } from "../support/instance-process.ts";
import {
  eventually,
  type RunningSluice,
  runtimeCommand,
  type SluiceHome,
  sluiceCommand,
  workerPid,
} from "../support/sluice.ts";
import { answers, countEvents, mapRunning, Scene, serversRunning } from "../support/system.ts";
import { registration } from "../support/web-instance.ts";

jest.setTimeout(180_000);

const headers = { host: "web.service.local" };
const host = headers.host;

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

/** Something a person does on the socket, and what the operator says of it. */
interface Hand {
  readonly commands: readonly string[];
  readonly said: readonly string[];
}

test("what somebody changes on the socket is named and set right at the resync, without a reload or a failed request", async () => {
  const { home, sluice, names, place, load } = await begin({ resync: "1s" });
  const [worker, before] = [await workerPid(home), await stateOf(home)];
  for (const hand of hands(names, place)) {
    const from = sluice.lines().length;
    for (const command of hand.commands) await runtimeCommand(home, command);
    await isSaid(sluice, hand, from);
    // One that was sent elsewhere is made anew once HAProxy has closed its idle connections, which 2.6 takes its time for.
    await eventually(`${hand.commands.join("; ")} is set right`, async () => same(await stateOf(home), before), 60_000);
  }
  await sleep(500);
  const report = await load.stop();
  reportLoad("a server is changed, sent elsewhere, deleted, added by hand", report, `${reloads(sluice)} reload in all`);
  expect(failuresByKind(report)).toBe("");
  expect(await workerPid(home)).toBe(worker);
  expect(reloads(sluice)).toBe(1);
  // Set right once, it is not found again.
  const from = sluice.lines().length;
  await sleep(2_500);
  expect(countEvents(sluice, "drift", from)).toBe(0);
});

test("entries of a map too: at once where a person asks for it", async () => {
  const { home, sluice, load } = await begin({ resync: "1h" });
  const map = path.join(home.state, "maps", "routes.map");
  const before = await mapRunning(home, "routes.map");
  const hands: readonly Hand[] = [
    {
      commands: [`add map ${map} more.service.local/ web`],
      said: [`${map} more.service.local/: "web", should be not there`],
    },
    { commands: [`set map ${map} other.service.local/ web`], said: [`other.service.local/: "web", should be "other"`] },
    { commands: [`del map ${map} other.service.local/`], said: [`other.service.local/: not there, should be "other"`] },
    {
      commands: [`clear map ${map}`, `add map ${map} ${host}/ web`],
      said: [`other.service.local/: not there, should be "other"`],
    },
  ];
  for (const hand of hands) {
    const from = sluice.lines().length;
    for (const command of hand.commands) await runtimeCommand(home, command);
    const asked = performance.now();
    const { code } = await sluiceCommand(["resync", "--settings", home.settingsFile]);
    expect(code).toBe(0);
    await isSaid(sluice, hand, from);
    await eventually("the map is as it was", async () => same(await mapRunning(home, "routes.map"), before));
    // Long before the next resync by itself; most of it is the start of the command.
    expect(performance.now() - asked).toBeLessThan(30_000);
  }
  const report = await load.stop();
  reportLoad("a map is changed by hand", report, `${reloads(sluice)} reload in all`);
  // Between `clear` and `add` nothing leads to the service: that is the hand's own doing.
  expect(report.failures.filter(({ what }) => what !== "404")).toEqual([]);
  expect(report.failures.length).toBeLessThan(report.sent / 20);
  expect(reloads(sluice)).toBe(1);
});

/** @param names of the servers of `web`; @param place an address where another service answers */
function hands([one = "", two = "", three = "", four = ""]: readonly string[], place: number): readonly Hand[] {
  return [
    { commands: [`set server web/${one} weight 77`], said: [`web/${one}: weight 77, should be weight 1`] },
    { commands: [`set server web/${two} state maint`], said: [`web/${two}: maintenance, should be ready`] },
    { commands: [`set server web/${three} state drain`], said: [`web/${three}: drain, should be ready`] },
    {
      commands: [`set server web/${four} addr 127.0.0.1 port ${place}`],
      said: [`web/${four}: 127.0.0.1:${place}, should be 127.0.0.1:${four.split(":")[1]}`],
    },
    {
      commands: [`set server web/${one} state maint`, `shutdown sessions server web/${one}`, `del server web/${one}`],
      said: [`web/${one}: `],
    },
    {
      commands: [`add server web/stranger 127.0.0.1:${place} weight 1`, "set server web/stranger state ready"],
      said: [`web/stranger: 127.0.0.1:${place}, should be not there`],
    },
    {
      commands: [`set server web/${two} weight 9`, `set server web/${three} state maint`],
      said: [`web/${two}: weight 9, should be weight 1`, `web/${three}: maintenance, should be ready`],
    },
  ];
}

/** Each sentence is in some event; two commands may be found by two resyncs. */
async function isSaid(sluice: RunningSluice, { said }: Hand, from: number): Promise<void> {
  for (const words of said) {
    await sluice.logged((line) => line.event === "drift" && line.msg.includes(words), 30_000, from);
  }
}

/** Four instances of `web` and one of `other`, an operator and sixteen clients of `web`. */
async function begin(settings: Readonly<Record<string, unknown>>) {
  const consul = await scene.consul();
  const home = await scene.home(consul.address, settings);
  const names: string[] = [];
  for (let index = 0; index < 4; index += 1) {
    const one = await startInstanceProcess(`web-${index}`);
    scene.defer(() => one.kill());
    names.push(`web-${index}_127.0.0.1:${one.port}`);
    await consul.register(registration("web", one));
  }
  const other = await scene.join(consul, "other", "other-0");
  const sluice = scene.run(home);
  await answers(home, host);
  await eventually("all are in", async () => (await serversRunning(home)).length === 5);
  await sluice.logged((line) => line.event === "file-written" || line.event === "reloaded");
  const load = scene.load({ port: home.httpPort, keepAlive: 8, oneShot: 8, headers });
  await sleep(1_500);
  return { home, sluice, names, place: other.port, load };
}

/** The servers, those in maintenance and drain marked, without what is only on its way out. */
async function stateOf(home: SluiceHome): Promise<readonly string[]> {
  const rows = (await runtimeCommand(home, "show servers state")).split("\n").filter((row) => /^\d+ \S/.test(row));
  return rows
    .map((row) => row.split(" "))
    .map((words) => `${words[1]}/${words[3]} ${words[4]}:${words[18]} weight ${words[7]} admin ${words[6]}`)
    .sort();
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.join("\n") === b.join("\n");
}

function reloads(sluice: RunningSluice): number {
  return countEvents(sluice, "reloaded");
}
