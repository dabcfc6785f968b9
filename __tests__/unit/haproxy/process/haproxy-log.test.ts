import { appendFileSync, closeSync, statSync, writeFileSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { haproxyEnvironment } from "../../../../src/haproxy/process/environment.ts";
import { HaproxyLog } from "../../../../src/haproxy/process/haproxy-log.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

let directory: string;
let log: HaproxyLog;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "sluice-log-"));
  log = new HaproxyLog(path.join(directory, "haproxy.log"), path.join(directory, "haproxy.cfg"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

test("tells the errors written behind a place, each once", () => {
  expect(log.end()).toBe(0);
  expect(log.wordsSince(0)).toEqual([]);
  writeFileSync(log.path, "[ALERT]    (1) : old\n");
  const end = log.end();
  expect(log.wordsSince(end)).toEqual([]);
  appendFileSync(log.path, "[WARNING]  (1) : w\n[ALERT]    (1) : new\n[ALERT]    (2) : new\n");
  expect(log.wordsSince(end)).toEqual(["new"]);
  expect(log.wordsSince(0)).toEqual(["old", "new"]);
  // Emptied meanwhile: all that is there came later.
  expect(log.wordsSince(1_000_000)).toEqual(["old", "new"]);
});

test("errors are found among lines of an access log", () => {
  const requests = [
    '{"time":"2026-11-21T10:57:01.123Z","client":"127.0.0.1","path":"[ALERT]    (1) : no"}',
    '127.0.0.1 - - [21/Nov/2026:10:57:01 +0000] "GET / HTTP/1.1" 200 72 service=web',
    "127.0.0.1:40102 [21/Nov/2026:10:57:01.123] http web/one 0/0/0/0/0 200 72",
  ].join("\n");
  const flood = `${requests}\n`.repeat(5_000);
  writeFileSync(log.path, `${flood}[ALERT]    (1) : one\n${requests}\n   | more of it\n${flood}`);
  expect(log.wordsSince(0)).toEqual(["one; more of it"]);
});

const longest = 16_777_216;

test("is private, is appended to, and begins anew at a start once it is long", () => {
  writeFileSync(log.path, "x".repeat(1_000), { mode: 0o644 });
  closeSync(log.open());
  expect(statSync(log.path).size).toBe(1_000);
  expect(statSync(log.path).mode & 0o777).toBe(0o600);
  writeFileSync(log.path, "x".repeat(longest + 1));
  closeSync(log.open());
  expect(statSync(log.path).size).toBe(0);
});

test("is emptied under a process that writes to it, without leaving a hole; what was in it is kept once", () => {
  log.trim();
  const descriptor = log.open();
  writeSync(descriptor, "x".repeat(longest));
  log.trim();
  expect(statSync(log.path).size).toBe(longest);
  writeSync(descriptor, "x");
  log.trim();
  writeSync(descriptor, "[ALERT]    (1) : new\n");
  expect(log.wordsSince(0)).toEqual(["new"]);
  closeSync(descriptor);
  expect(statSync(`${log.path}.1`).size).toBe(longest + 1);
  expect(statSync(`${log.path}.1`).mode & 0o777).toBe(0o600);
});

test("is kept bounded until that is ended", async () => {
  const clock = new ManualClock();
  const end = log.keepBounded(clock);
  writeFileSync(log.path, "x".repeat(longest + 1));
  await clock.advance(1_000);
  expect(statSync(log.path).size).toBe(0);
  writeFileSync(log.path, "x".repeat(longest + 1));
  end();
  await clock.advance(10_000);
  expect(statSync(log.path).size).toBe(longest + 1);
});

test("a log that cannot be written is an error that says where", () => {
  const nowhere = new HaproxyLog(path.join(directory, "none", "haproxy.log"), "/x");
  expect(() => nowhere.open()).toThrow(expect.objectContaining({ code: "ERR_STATE_UNUSABLE" }));
});

test("HAProxy's environment has no settings and no tokens of ours", () => {
  const environment = { PATH: "/bin", CONSUL_HTTP_TOKEN: "secret", SLUICE_STATS_PASSWORD: "secret", HOME: "/" };
  expect(haproxyEnvironment(environment)).toEqual({ PATH: "/bin", HOME: "/" });
});
