import { X509Certificate } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { type MadeCertificate, makeCertificate, shownTo } from "../support/certificates.ts";
import { failuresByKind, printLoad } from "../support/fault-report.ts";
import { freePort } from "../support/free-port.ts";
import { eventually, workerPid } from "../support/sluice.ts";
import { answers, Scene } from "../support/system.ts";

jest.setTimeout(300_000);

const host = "web.service.local";
const replacements = 50;

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
afterEach(() => scene.end());

test(`a certificate replaced ${replacements} times under load: no handshake fails, no reload`, async () => {
  const consul = await scene.consul();
  const home = await scene.home(consul.address);
  const directory = path.join(home.directory, "certificates");
  const port = await freePort();
  await mkdir(directory);
  await home.configure({ https: { bind: `127.0.0.1:${port}`, certificates: directory } });
  const editions: MadeCertificate[] = [];
  for (let count = 0; count < 8; count += 1) editions.push(await makeCertificate({ names: [host] }));
  const place = async ({ pem }: MadeCertificate) => {
    await writeFile(path.join(home.directory, "new"), pem);
    await rename(path.join(home.directory, "new"), path.join(directory, "web.pem"));
  };
  await place(editions[0] as MadeCertificate);
  for (const name of ["web-1", "web-2"]) await scene.join(consul, "web", name);
  const sluice = scene.run(home);
  await answers(home, host);
  const worker = await workerPid(home);
  const before = sluice.lines().length;

  const load = scene.load({ port, tls: host, oneShot: 16, keepAlive: 4, headers: { host } });
  let slowestMs = 0;
  for (let count = 1; count <= replacements; count += 1) {
    const edition = editions[count % editions.length] as MadeCertificate;
    const shown = new X509Certificate(edition.certificate).fingerprint.replaceAll(":", "");
    const started = performance.now();
    await place(edition);
    await eventually(
      `edition ${count} is shown`,
      async () => (await shownTo(port, host)).fingerprint === shown,
      30_000,
    );
    slowestMs = Math.max(slowestMs, performance.now() - started);
  }
  const report = await load.stop();
  // That one is over is said after traffic flows; that it is wanted, before.
  const wanted = sluice
    .lines()
    .slice(before)
    .filter((line) => line.event === "reload-wanted");
  printLoad(
    `a certificate replaced ${replacements} times, 16 clients with a handshake for each request and 4 that keep theirs`,
    report,
    `${wanted.length} reloads`,
    `at most ${Math.round(slowestMs)} ms from file to clients`,
  );
  expect(failuresByKind(report)).toBe("");
  expect(wanted.map(({ msg }) => msg)).toEqual([]);
  expect(await workerPid(home)).toBe(worker);
  expect(report.sent).toBeGreaterThan(replacements * 20);
});
