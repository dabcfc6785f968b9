import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { acquireLock } from "../../src/store/lock.ts";

jest.setTimeout(120_000);

const program = fileURLToPath(new URL("../support/lock-holder.ts", import.meta.url));
/** A container's: the first process in it has pid 1 in there, and ends with the one that is killed here. */
const namespace = ["--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];
const root = process.getuid?.() === 0;

let directory: string;
let paths: { readonly file: string; readonly socket: string };
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-lock-ns-"));
  paths = { file: path.join(directory, "lock"), socket: path.join(directory, "lock.sock") };
});
afterEach(async () => {
  for (const child of children.splice(0)) await end(child);
  rmSync(directory, { recursive: true });
});

test("an operator's container that is killed and started anew takes over at once; while one lives, no other gets in", async () => {
  if (!root) return expect(root).toBe(false);
  const first = await holder();
  expect(first.said).toBe("held 1");
  // Neither one with the same pid in another namespace, nor one of the machine itself.
  expect((await holder()).said).toBe("ERR_STATE_LOCKED");
  await expect(acquireLock(paths)).rejects.toMatchObject({ code: "ERR_STATE_LOCKED" });

  await end(first.child);
  const second = await holder();
  expect(second.said).toBe("held 1");
  await end(second.child);
  const ours = await acquireLock(paths);
  expect((await holder()).said).toBe("ERR_STATE_LOCKED");
  await ours.release();
});

/** What another process in a namespace of its own was told. */
async function holder(): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const loader = import.meta.resolve("tsx");
  const command = [process.execPath, "--import", loader, program, paths.file, paths.socket];
  const child = spawn("unshare", [...namespace, ...command], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [said] = await once(child.stdout?.setEncoding("utf8") ?? child, "data");
  return { child, said: String(said).trim() };
}

/** Kills it, and waits for what is in the namespace, which ends a moment behind. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  child.kill("SIGKILL");
  // Its standard output is closed when the last that has it has ended.
  await closed;
}
