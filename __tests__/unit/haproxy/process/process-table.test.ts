import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "@jest/globals";
import {
  findOurs,
  findSingle,
  masterArguments,
  masterByPidFile,
  ownProcesses,
  singleArguments,
} from "../../../../src/haproxy/process/ours.ts";
import {
  childrenOf,
  findProcess,
  isAlive,
  signalProcess,
  waitForEnd,
} from "../../../../src/haproxy/process/process-table.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { eventually } from "../../../support/eventually.ts";

const files = { configPath: "/s/haproxy.cfg", masterSocket: "/s/m.sock", pidFile: "/s/haproxy.pid" };

/** A process with this command line behind its own. */
async function started(args: readonly string[]) {
  const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)", "--", ...args], {
    stdio: "ignore",
  });
  await once(child, "spawn");
  // Between fork and exec the command line is still the parent's.
  await eventually(() => findProcess(child.pid ?? 0)?.args.includes("--") ?? false, "the command line");
  return child;
}

test("a process is found, signalled and seen to end", async () => {
  const child = await started(["some", "words"]);
  const handle = findProcess(child.pid ?? 0);
  if (handle === undefined) throw new Error("not found");
  expect(handle.args.slice(-2)).toEqual(["some", "words"]);
  expect(isAlive(handle)).toBe(true);
  expect(handle.parent).toBe(process.pid);
  const parent = findProcess(process.pid);
  if (parent === undefined) throw new Error("this process is not found");
  expect(childrenOf(parent)).toContain(child.pid);
  expect(childrenOf(handle)).toEqual([]);
  expect(await waitForEnd([handle], 0, systemClock)).toBe(false);
  // Another process of the same pid, as after a wrap of pids, is neither it nor signalled.
  const impostor = { ...handle, startedAt: "1" };
  expect(isAlive(impostor)).toBe(false);
  signalProcess(impostor, "SIGKILL");
  expect(isAlive(handle)).toBe(true);
  signalProcess(handle, "SIGKILL");
  expect(await waitForEnd([handle], 20_000, systemClock)).toBe(true);
  expect(findProcess(child.pid ?? 0)).toBeUndefined();
  expect(childrenOf(handle)).toEqual([]);
  signalProcess(handle, "SIGKILL");
});

test("ours is what runs on our configuration and our master socket", async () => {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-pid-"));
  const pidFile = path.join(directory, "haproxy.pid");
  const mine = { ...files, pidFile };
  // As a worker's after a reload.
  const child = await started(["-sf", "12", "-x", "sockpair@3", ...masterArguments(mine)]);
  const { pid } = child;
  try {
    expect(findOurs(pid, mine)?.pid).toBe(pid);
    expect(findOurs(pid, { ...mine, configPath: "/s/other.cfg" })).toBeUndefined();
    expect(findOurs(pid, { ...mine, masterSocket: "/s/m" })).toBeUndefined();
    expect(findOurs(process.pid, mine)).toBeUndefined();
    expect(findOurs(undefined, mine)).toBeUndefined();
    expect(masterByPidFile(mine)).toBeUndefined();
    for (const [content, found] of [
      [`${pid}\n`, pid],
      [`${process.pid}\n`, undefined],
      ["", undefined],
      ["x", undefined],
    ] as const) {
      await writeFile(pidFile, content);
      expect(masterByPidFile(mine)?.pid).toBe(found);
    }
  } finally {
    child.kill("SIGKILL");
    await rm(directory, { recursive: true, force: true });
  }
});

test("one without a master is ours by our configuration and our pid file, and all of them are found, in the order of their start", async () => {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-pid-"));
  const mine = {
    configPath: path.join(directory, "haproxy.cfg"),
    masterSocket: path.join(directory, "m.sock"),
    pidFile: path.join(directory, "haproxy.pid"),
  };
  const children = [];
  try {
    const first = await started(singleArguments(mine));
    children.push(first);
    const master = await started(masterArguments(mine));
    children.push(master);
    // As after a reload.
    const second = await started(["-x", path.join(directory, "r.sock"), "-sf", "12", ...singleArguments(mine)]);
    children.push(second);
    const other = await started(["-f", mine.configPath]);
    children.push(other);
    expect(ownProcesses(mine)).toEqual({
      singles: [first, second].map(({ pid }) => expect.objectContaining({ pid })),
      masters: [expect.objectContaining({ pid: master.pid })],
      workers: [],
    });
    expect(findSingle(first.pid, mine)?.pid).toBe(first.pid);
    expect(findSingle(master.pid, mine)).toBeUndefined();
    expect(findSingle(other.pid, mine)).toBeUndefined();
    expect(findSingle(first.pid, { ...mine, pidFile: "/s/haproxy.pid" })).toBeUndefined();
    expect(findSingle(first.pid, { ...mine, configPath: "/s/haproxy.cfg" })).toBeUndefined();
    expect(findSingle(undefined, mine)).toBeUndefined();
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await rm(directory, { recursive: true, force: true });
  }
});
