import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { acquireLock, type DirectoryLock } from "../../../src/store/lock.ts";

let directory: string;
let paths: { readonly file: string; readonly socket: string };
let held: DirectoryLock[];

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "sluice-lock-"));
  paths = { file: path.join(directory, "lock"), socket: path.join(directory, "lock.sock") };
  held = [];
});
afterEach(async () => {
  for (const lock of held) await lock.release();
  rmSync(directory, { recursive: true });
});

async function acquire(): Promise<DirectoryLock> {
  const lock = await acquireLock(paths);
  held.push(lock);
  return lock;
}

/** What this process writes into its lock, as a base to forge others. */
async function ourHolder(): Promise<Record<string, unknown>> {
  const lock = await acquireLock(paths);
  const holder = JSON.parse(readFileSync(paths.file, "utf8"));
  await lock.release();
  return holder;
}

/** The socket of whoever has the lock: its name ends in the holder's token. */
const socketOf = ({ token }: Record<string, unknown>) => `${paths.socket}.${token}`;
const holderNow = (): Record<string, unknown> => JSON.parse(readFileSync(paths.file, "utf8"));
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

const forge = (holder: unknown) => writeFileSync(paths.file, JSON.stringify(holder));

test("what it makes is its owner's alone, whatever the process's umask", async () => {
  const before = process.umask(0);
  try {
    await acquire();
  } finally {
    process.umask(before);
  }
  for (const file of [paths.file, socketOf(holderNow())]) expect(statSync(file).mode & 0o777).toBe(0o600);
});

/** Starts a process of its own, and gives its pid and the way to end it. */
async function stranger(): Promise<{ readonly pid: number; end(): Promise<void> }> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)"], { stdio: "ignore" });
  await once(child, "spawn");
  return {
    pid: child.pid as number,
    end: async () => {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
  };
}

const startTicksOf = (pid: number) =>
  readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ")[19];

describe("the lock of a state directory", () => {
  test("is given once, and again when it was released", async () => {
    const lock = await acquire();
    await expect(acquireLock(paths)).rejects.toMatchObject({
      code: "ERR_STATE_LOCKED",
      message: expect.stringContaining(`pid ${process.pid}`),
      details: { pid: process.pid, file: paths.file },
    });
    await lock.release();
    expect(readdirSync(directory)).toEqual([]);
    await acquire();
  });

  test("of a process that lives is respected, of one that died is taken over", async () => {
    const ours = await ourHolder();
    const other = await stranger();
    try {
      forge({ ...ours, pid: other.pid, startTicks: startTicksOf(other.pid), token: "other" });
      await expect(acquireLock(paths)).rejects.toMatchObject({ code: "ERR_STATE_LOCKED", details: { pid: other.pid } });
    } finally {
      await other.end();
    }
    await acquire();
    expect(holderNow()).toMatchObject({ pid: process.pid });
  });

  test("of a pid that another process has by now is taken over", async () => {
    forge({ ...(await ourHolder()), startTicks: "1", token: "before" });
    await acquire();
  });

  test("of the machine's life before is taken over", async () => {
    forge({ ...(await ourHolder()), bootId: "another-boot", token: "before" });
    await acquire();
  });

  test("where no start time is known, a pid that lives holds it", async () => {
    const { startTicks: _, ...ours } = await ourHolder();
    forge({ ...ours, token: "other" });
    await expect(acquireLock(paths)).rejects.toMatchObject({ code: "ERR_STATE_LOCKED" });
  });

  test("of another container is respected while its socket answers", async () => {
    const other = { ...(await ourHolder()), pidNamespace: "pid:[1]", token: "other" };
    forge(other);
    const server = createServer((connection) => connection.destroy());
    server.listen(socketOf(other));
    await once(server, "listening");
    try {
      await expect(acquireLock(paths)).rejects.toMatchObject({ code: "ERR_STATE_LOCKED" });
    } finally {
      server.close();
      await once(server, "close");
    }
    await acquire();
  });

  test("of another container is respected where its socket cannot be asked", async () => {
    const other = { ...(await ourHolder()), pidNamespace: "pid:[1]", token: "other" };
    forge(other);
    symlinkSync(socketOf(other), socketOf(other));
    await expect(acquireLock(paths)).rejects.toMatchObject({ code: "ERR_STATE_LOCKED" });
  });

  test("of another container that is dead is taken over, and its socket removed", async () => {
    const other = { ...(await ourHolder()), pidNamespace: "pid:[1]", token: "other" };
    forge(other);
    // What a process that was killed leaves refuses as this does.
    writeFileSync(socketOf(other), "");
    await acquire();
    expect(existsSync(socketOf(other))).toBe(false);
  });

  test("the holder's socket answers", async () => {
    await acquire();
    forge({ ...holderNow(), pidNamespace: "pid:[1]" });
    await expect(acquireLock(paths)).rejects.toMatchObject({ code: "ERR_STATE_LOCKED" });
  });

  test("the holder's socket is there whenever the lock is: before it is taken, and until it is given back", async () => {
    const sockets = () => readdirSync(directory).filter((name) => name.startsWith("lock.sock"));
    let over = false;
    let seen = 0;
    const life = acquireLock(paths).then(async (lock) => {
      await nextTurn();
      await lock.release();
      over = true;
    });
    for (; !over; await nextTurn()) {
      if (!existsSync(paths.file)) continue;
      seen += 1;
      expect(sockets()).toHaveLength(1);
    }
    await life;
    expect(seen).toBeGreaterThan(0);
    expect(readdirSync(directory)).toEqual([]);
  });

  test.each(["", "{", '{"pid":"x"}', "null"])("that was cut short (%j) holds nothing", async (text) => {
    writeFileSync(paths.file, text);
    await acquire();
  });

  test("of a dead process goes to one of many who ask at once", async () => {
    forge({ ...(await ourHolder()), startTicks: "1", token: "before" });
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => acquireLock(paths)));
    const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    held.push(...won);
    expect(won).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "ERR_STATE_LOCKED" });
    }
    expect(readdirSync(directory).sort()).toEqual(["lock", path.basename(socketOf(holderNow()))]);
  });

  test("a takeover that was cut short is not waited for for ever", async () => {
    forge({ ...(await ourHolder()), startTicks: "1", token: "before" });
    writeFileSync(`${paths.file}.takeover`, "");
    await expect(acquireLock(paths)).rejects.toMatchObject({ code: "ERR_STATE_LOCKED" });
    utimesSync(`${paths.file}.takeover`, 0, 0);
    await acquire();
    expect(existsSync(`${paths.file}.takeover`)).toBe(false);
  });

  test("releasing leaves a lock alone that is not ours any more", async () => {
    const lock = await acquire();
    forge({ pid: 1, token: "somebody else" });
    await lock.release();
    expect(holderNow()).toEqual({ pid: 1, token: "somebody else" });
  });

  test("is given back when its socket cannot be made", async () => {
    const without = { file: paths.file, socket: path.join(directory, "gone", "lock.sock") };
    await expect(acquireLock(without)).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
    expect(readdirSync(directory)).toEqual([]);
  });

  test("where none can be made, that is told", async () => {
    const nowhere = { file: path.join(directory, "gone", "lock"), socket: paths.socket };
    await expect(acquireLock(nowhere)).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
  });
});
