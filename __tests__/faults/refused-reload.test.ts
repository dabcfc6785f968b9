import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { haproxyBinary } from "../support/binaries.ts";
import { failuresByKind, reportLoad } from "../support/fault-report.ts";
import { freePort } from "../support/free-port.ts";
import type { OwnTemplate } from "../support/own-template.ts";
import { loadOnTemplate } from "../support/served-pool.ts";
import { eventually, liveConfig, type SluiceHome, workerPid } from "../support/sluice.ts";
import { answers, countEvents, Scene, serversRunning } from "../support/system.ts";

jest.setTimeout(180_000);

const headers = { host: "web.service.local" };

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

/** Each passes `haproxy -c`. The first word is where the lines are put. */
interface Fault {
  readonly part: "global" | "frontend";
  readonly lines: string;
  readonly said: RegExp;
}

test("what this machine cannot run is refused before any reload, and nobody notices", async () => {
  const { home, sluice, template, load } = await begin();
  const tcp = createServer().listen(0, "127.0.0.1");
  await once(tcp, "listening");
  scene.defer(() => new Promise((resolve) => tcp.close(resolve)));
  const udp = createSocket("udp4").bind(0, "127.0.0.1");
  await once(udp, "listening");
  scene.defer(() => new Promise((resolve) => udp.close(() => resolve(undefined))));
  const held = (tcp.address() as AddressInfo).port;
  const logs = `log-forward logs\n  dgram-bind 127.0.0.1:${udp.address().port}\n  log 127.0.0.1:9 local0\nglobal`;
  const faults: readonly Fault[] = [
    { part: "frontend", lines: `bind 127.0.0.1:${held}`, said: /in use by another process/ },
    { part: "frontend", lines: `bind :${held}`, said: /in use by another process/ },
    { part: "frontend", lines: `bind 192.0.2.77:${await freePort()}`, said: /not an address of this machine/ },
    { part: "frontend", lines: `bind ${home.directory}/none/web.sock`, said: /there is no directory/ },
    { part: "global", lines: `stats socket ${home.directory}/none/stats.sock`, said: /there is no directory/ },
    { part: "global", lines: logs, said: /in use by another process/ },
    // All of these end HAProxy 2.6 altogether.
    { part: "global", lines: `chroot ${home.directory}/none`, said: /no such directory/ },
    { part: "global", lines: "chroot /", said: /CAP_SYS_CHROOT/ },
    { part: "global", lines: "uid 4711", said: /CAP_SETUID/ },
    { part: "global", lines: "gid 4711", said: /CAP_SETGID/ },
    { part: "global", lines: "ulimit-n 1000000000", said: /open files/ },
  ];
  const worker = await workerPid(home);
  const file = await liveConfig(home);
  for (const fault of faults) await refused({ home, sluice, template }, fault);
  await sleep(500);
  const report = await load.stop();

  reportLoad(
    `${faults.length} structures that cannot be run`,
    report,
    `${countEvents(sluice, "reloaded")} reload in all`,
  );
  expect(failuresByKind(report)).toBe("");
  expect(report.slowestMs).toBeLessThan(1_500);
  expect(await workerPid(home)).toBe(worker);
  expect(await liveConfig(home)).toBe(file);
  expect(countEvents(sluice, "reloaded")).toBe(1);
});

test("a reload that fails all the same leaves the old worker and file; endpoints and the next structure go on", async () => {
  const { consul, home, sluice, template, load } = await begin();
  const worker = await workerPid(home);
  const file = await liveConfig(home);
  // HAProxy puts a socket of before aside by a hard link, which a directory cannot have.
  await mkdir(path.join(home.directory, "web.sock"));
  await refused(
    { home, sluice, template },
    { part: "frontend", lines: `bind ${home.directory}/web.sock`, said: /web\.sock/ },
  );
  expect(await workerPid(home)).toBe(worker);
  expect(await liveConfig(home)).toBe(file);

  await scene.join(consul, "web", "web-new");
  await eventually("an instance joins", async () => (await serversRunning(home)).length === 5);
  expect(await workerPid(home)).toBe(worker);
  await template.writeEdition(1);
  await scene.join(consul, "api", "api-1");
  await answers(home, "api.service.local", 60_000);
  expect(await workerPid(home)).not.toBe(worker);
  const report = await load.stop();

  reportLoad("a reload that fails, and the next", report, `${countEvents(sluice, "reloaded")} reloads in all`);
  expect(failuresByKind(report)).toBe("");
});

/** A pool under load, with an HAProxy that has no rights of root. */
const begin = () =>
  loadOnTemplate(scene, headers.host, async (home) => ({
    reload: { minInterval: "50ms" },
    haproxy: { binary: await powerless(home) },
  }));

/** HAProxy without the rights that root has, also where the tests are run by root: a program that starts it so. */
async function powerless(home: SluiceHome): Promise<string> {
  if (process.geteuid?.() !== 0) return haproxyBinary;
  const program = path.join(home.directory, "haproxy");
  const rights = ["setuid", "setgid", "sys_chroot", "sys_resource"].map((name) => `-${name}`).join(",");
  await writeFile(program, `#!/bin/sh\nexec setpriv --bounding-set=${rights} ${haproxyBinary} "$@"\n`);
  await chmod(program, 0o755);
  return program;
}

/** Puts the fault into the template, waits until it is refused, and takes it out again. */
async function refused(
  { sluice, template }: Pick<Awaited<ReturnType<typeof begin>>, "home" | "sluice"> & { readonly template: OwnTemplate },
  { part, lines, said }: Fault,
): Promise<void> {
  const write = part === "global" ? template.writeGlobal : template.writeFrontend;
  const before = sluice.lines().length;
  await write(lines);
  const { msg } = await sluice.logged((line) => line.event === "inputs-refused", 30_000, before);
  expect(msg).toMatch(said);
  const mended = sluice.lines().length;
  await (part === "global" ? write("# nothing") : template.writeEdition(0));
  await sluice.logged((line) => line.event === "inputs-accepted", 30_000, mended);
}
