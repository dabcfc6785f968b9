import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { acquireLock } from "../../src/store/lock.ts";

jest.setTimeout(120_000);

const support = (file: string) => fileURLToPath(new URL(`../support/${file}`, import.meta.url));
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
  expect(readdirSync(directory)).toEqual([]);
});

test("containers that ask at the same moment, again and again, never hold it together", async () => {
  if (!root) return expect(root).toBe(false);
  const rounds = 150;
  const contenders = [1, 2].map(() => inNamespace("lock-contender.ts", path.join(directory, "held"), String(rounds)));
  for (const { said } of contenders) expect(await said()).toBe("ready");
  const start = Date.now() + 100;
  for (const { child } of contenders) child.stdin.write(`${start}\n`);
  for (const { said } of contenders) expect(JSON.parse(await said())).toEqual({ held: rounds, twice: 0 });
  expect(readdirSync(directory)).toEqual([]);
});

/** What another process in a namespace of its own was told. */
async function holder(): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const { child, said } = inNamespace("lock-holder.ts");
  return { child, said: await said() };
}

/** A process with the lock's paths and these arguments; `said` gives its next line, empty where it has ended. */
function inNamespace(program: string, ...args: readonly string[]) {
  const loader = import.meta.resolve("tsx");
  const command = [process.execPath, "--import", loader, support(program), paths.file, paths.socket, ...args];
  const child = spawn("unshare", [...namespace, ...command], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return { child, said: async () => (await lines.next()).value ?? "" };
}

/** Kills it, and waits for what is in the namespace, which ends a moment behind. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  child.kill("SIGKILL");
  // Its standard output is closed when the last that has it has ended.
  await closed;
}
