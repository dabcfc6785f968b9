import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { ChildExit } from "../../../../src/haproxy/process/child-exit.ts";
import { Following } from "../../../../src/haproxy/process/following.ts";
import { HaproxyLog } from "../../../../src/haproxy/process/haproxy-log.ts";
import type { ProcessHandle } from "../../../../src/haproxy/process/process-table.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

let directory: string;
let following: Following;
let told: string[];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-following-"));
  const log = new HaproxyLog(path.join(directory, "haproxy.log"), "/s/haproxy.cfg");
  following = new Following({ log, clock: new ManualClock() });
  told = [];
  following.onExit((detail) => told.push(detail));
});
afterEach(() => {
  following.release();
  rmSync(directory, { recursive: true, force: true });
});

test("the end of a child is told once, with the last error it logged since it was followed", () => {
  writeFileSync(path.join(directory, "haproxy.log"), "[ALERT]    (11) : of one before\n");
  const one = child();
  following.child(handle(11), one.exit);
  writeFileSync(path.join(directory, "haproxy.log"), "[ALERT]    (11) : cannot go on\n", { flag: "a" });
  one.end("exit code 1");
  one.end("exit code 1");
  expect(told).toEqual(["pid 11, exit code 1, last error in its log: cannot go on"]);
  expect(following.handle).toBeUndefined();
});

test("while it is replaced its end is no news once another is followed", async () => {
  const [old, next] = [child(), child()];
  following.child(handle(11), old.exit);
  await following.replacing(async () => {
    old.end("exit code 0");
    expect(told).toEqual([]);
    following.child(handle(12), next.exit);
  });
  expect(told).toEqual([]);
  next.end("ended by SIGKILL");
  expect(told).toEqual(["pid 12, ended by SIGKILL"]);
});

test("where nothing has come of the replacement its end is told afterwards", async () => {
  const old = child();
  following.child(handle(11), old.exit);
  await expect(
    following.replacing(async () => {
      old.end("ended by SIGKILL");
      throw new Error("not taken");
    }),
  ).rejects.toThrow("not taken");
  expect(told).toEqual(["pid 11, ended by SIGKILL"]);
});

test("nothing is told of one that was let go", () => {
  const one = child();
  following.child(handle(11), one.exit);
  following.release();
  one.end("exit code 0");
  expect(told).toEqual([]);
});

function handle(pid: number): ProcessHandle {
  return { pid, parent: process.pid, startedAt: "1", args: [] };
}

function child(): { readonly exit: ChildExit; end(how: string): void } {
  let tell: ((how: string) => void) | undefined;
  return {
    exit: {
      how: () => undefined,
      onEnd: (listener) => {
        tell = listener;
      },
      forget: () => {
        tell = undefined;
      },
    },
    end: (how) => tell?.(how),
  };
}
