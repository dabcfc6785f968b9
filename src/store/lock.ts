import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { chmod, link, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { z } from "zod";
import { SluiceError, systemErrorCode } from "../support/errors.ts";
import { stateUnusable } from "./unusable.ts";

/** A state directory that is ours until released. */
export interface DirectoryLock {
  release(): Promise<void>;
}

export interface LockPaths {
  /** The file that says who holds the directory. */
  readonly file: string;
  /**
   * What the holder's socket is named by: `<this>.<token>`. Alive or not is seen through it where process ids mean
   * nothing.
   */
  readonly socket: string;
}

/** Bytes; twice as many characters. unix(7), sun_path: a socket's path has at most 107, and there are others in it. */
const tokenBytes = 4;

/** A takeover is a matter of milliseconds: one that is older was cut short. */
const takeoverMs = 10_000;

/** Who holds a directory, as the lock file has it. */
const holderSchema = z.object({
  pid: z.number().int().positive(),
  /** proc(5), /proc/<pid>/stat field 22: clock ticks from boot to the process's start. Tells a recycled pid. */
  startTicks: z.string().optional(),
  /** Ticks of two boots do not compare. */
  bootId: z.string().optional(),
  /** A pid of another container is another process. */
  pidNamespace: z.string().optional(),
  /** Tells one lock from the next, also of one process. */
  token: z.string(),
  /** What it is held for, where that is over in a moment. */
  task: z.string().optional(),
});
type Holder = z.output<typeof holderSchema>;

/** What becomes of a directory that somebody else holds just now. */
export interface LockOptions {
  /** What it is taken for, where that is over in a moment: others wait for it. */
  readonly task?: string | undefined;
}

/**
 * Takes a state directory for this process. A lock whose holder is dead is taken over: its pid is gone, or belongs to
 * a process that started later, or the machine was started anew. A holder in another container on this machine is
 * asked over its socket, which listens before the lock appears and until it has gone: in no moment does a lock of the
 * living look like one of the dead.
 *
 * @throws {SluiceError} ERR_STATE_LOCKED with `details.pid`, and retryable where it is held for a moment only; or
 *   ERR_STATE_UNUSABLE
 */
export async function acquireLock(paths: LockPaths, { task }: LockOptions = {}): Promise<DirectoryLock> {
  const token = randomBytes(tokenBytes).toString("hex");
  const us: Holder = { ...identityOf(process.pid), pid: process.pid, token, ...(task !== undefined && { task }) };
  try {
    const server = await listen(socketOf(paths, us));
    try {
      await claim(paths, us);
    } catch (thrown) {
      await release(paths, token, server).catch(() => undefined);
      throw thrown;
    }
    return { release: () => release(paths, token, server) };
  } catch (cause) {
    throw stateUnusable("lock", paths.file, cause);
  }
}

/** One for each lock, so that nobody ever removes or replaces another's. */
function socketOf({ socket }: LockPaths, { token }: Holder): string {
  return `${socket}.${token}`;
}

async function claim(paths: LockPaths, us: Holder): Promise<void> {
  const mine = `${paths.file}.${us.token}`;
  try {
    await writeFile(mine, JSON.stringify(us), { mode: 0o600 });
    // A stale lock goes in the first round, one released meanwhile in any. Who is beaten three times meets the living.
    for (let round = 0; round < 3; round += 1) {
      if (await linked(mine, paths.file)) return;
      const { holder, text } = await readHolder(paths.file);
      if (text === undefined) continue;
      if (holder !== undefined && (await isAlive(holder, paths))) throw locked(paths.file, holder);
      await removeStale(paths.file, text);
      if (holder !== undefined) await rm(socketOf(paths, holder), { force: true });
    }
    throw locked(paths.file, (await readHolder(paths.file)).holder);
  } finally {
    await rm(mine, { force: true });
  }
}

/** A hard link makes the lock appear whole or not at all, and fails where there is one. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (cause) {
    if (systemErrorCode(cause) === "EEXIST") return false;
    throw cause;
  }
}

/** Text undefined: there is no lock. Holder undefined: cut short by a power failure, it names nobody. */
async function readHolder(file: string): Promise<{ holder?: Holder; text?: string }> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return {};
    throw cause;
  }
  try {
    return { holder: holderSchema.parse(JSON.parse(text)), text };
  } catch {
    return { text };
  }
}

/**
 * Removes a lock that was found stale, if it is still that one. Of several that find it so at once only one may, or
 * the second would remove the fresh lock of the first.
 */
async function removeStale(file: string, staleText: string): Promise<void> {
  const guard = `${file}.takeover`;
  try {
    await writeFile(guard, "", { flag: "wx", mode: 0o600 });
  } catch (cause) {
    if (systemErrorCode(cause) !== "EEXIST") throw cause;
    const left = await stat(guard).catch(() => undefined);
    if (left === undefined || Date.now() - left.mtimeMs < takeoverMs) throw locked(file, undefined);
    await rm(guard, { force: true });
    return;
  }
  try {
    if ((await readHolder(file)).text === staleText) await rm(file, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}

async function isAlive(holder: Holder, paths: LockPaths): Promise<boolean> {
  const here = identityOf(process.pid);
  if (holder.bootId !== here.bootId) return false;
  if (holder.pidNamespace !== here.pidNamespace) return answers(socketOf(paths, holder));
  const there = identityOf(holder.pid);
  if (there.startTicks !== undefined && holder.startTicks !== undefined) return there.startTicks === holder.startTicks;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (cause) {
    return systemErrorCode(cause) === "EPERM";
  }
}

/** What tells a process from another of the same pid; empty where there is no /proc. */
function identityOf(pid: number): Pick<Holder, "startTicks" | "bootId" | "pidNamespace"> {
  return {
    startTicks: fromProc(() => {
      // `pid (name) state …`: the name may hold spaces and brackets, so the fields are counted behind its last one.
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    }),
    bootId: fromProc(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    pidNamespace: fromProc(() => readlinkSync("/proc/self/ns/pid")),
  };
}

function fromProc(read: () => string | undefined): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/**
 * Whether somebody listens there. Only unix(7)'s ECONNREFUSED and no file at all say that nobody does; any other failure
 * is one to ask: a queue that is full (EAGAIN), a socket of another user's.
 */
function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const settle = (alive: boolean) => {
      connection.destroy();
      resolve(alive);
    };
    connection.once("connect", () => settle(true));
    connection.once("error", (cause) => {
      const code = systemErrorCode(cause);
      settle(code !== "ECONNREFUSED" && code !== "ENOENT");
    });
  });
}

async function listen(socket: string): Promise<Server> {
  const server = createServer((connection) => connection.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // A failed accept (no file descriptor left) is no reason to end.
  server.on("error", () => undefined);
  server.unref();
  try {
    // Made as the process's umask has it.
    await chmod(socket, 0o600);
  } catch (cause) {
    await closed(server);
    throw cause;
  }
  return server;
}

/** Closing removes the socket's file too. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

async function release(paths: LockPaths, token: string, server: Server): Promise<void> {
  try {
    // While the socket answers nobody takes the lock over, so what is compared is what is removed.
    const { holder } = await readHolder(paths.file);
    if (holder?.token === token) await rm(paths.file, { force: true });
  } finally {
    await closed(server);
  }
}

/** @param holder undefined where it is being taken over, which is over in a moment */
function locked(file: string, holder: Holder | undefined): SluiceError {
  const { pid, task } = holder ?? {};
  const who = pid === undefined ? "another operator" : `${task ?? "the operator"} with pid ${pid}`;
  return new SluiceError(
    "ERR_STATE_LOCKED",
    `${who} runs on this state directory (${file}); stop it, or give this one another haproxy.directory`,
    {
      retryable: holder === undefined || task !== undefined,
      details: { file, ...(pid === undefined ? {} : { pid }) },
    },
  );
}
