import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { systemErrorCode } from "../support/errors.ts";
import { stateUnusable } from "./unusable.ts";

/** The steps of a write that can fail half-way; tests put a failing one in their place. */
export interface WriteSteps {
  fill(handle: FileHandle, bytes: Buffer): Promise<void>;
  rename(from: string, to: string): Promise<void>;
}

export interface AtomicWriteOptions {
  /** Permissions of a file that is new; one that exists keeps its own. Default: 0600. */
  readonly mode?: number;
  readonly steps?: WriteSteps;
}

const temporary = /^\..+\.[0-9a-f]{12}\.sluice-tmp$/;

const systemSteps: WriteSteps = {
  fill: async (handle, bytes) => {
    await handle.writeFile(bytes);
    await handle.sync();
  },
  rename,
};

/**
 * Replaces a file's content so that a reader, a crash or a power cut sees the old content or the new, never part of
 * one: a temporary file in the same directory, fsync, rename, fsync of the directory. A file that holds these bytes
 * already is left alone.
 *
 * @returns whether anything was written
 * @throws {SluiceError} ERR_STATE_UNUSABLE; the old content is intact then and the temporary file gone
 */
export async function atomicWrite(file: string, content: string, options: AtomicWriteOptions = {}): Promise<boolean> {
  const { mode = 0o600, steps = systemSteps } = options;
  const bytes = Buffer.from(content);
  const directory = path.dirname(file);
  const temp = path.join(directory, `.${path.basename(file)}.${randomBytes(6).toString("hex")}.sluice-tmp`);
  try {
    const before = await existing(file);
    if (before?.bytes?.equals(bytes) === true) return false;
    const handle = await open(temp, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
    try {
      // The process's umask narrows what open was given; a file that exists keeps what its owner chose.
      await handle.chmod(before?.mode ?? mode);
      if (before !== undefined && before.owner !== process.geteuid?.()) await keepOwner(handle, before);
      await steps.fill(handle, bytes);
    } finally {
      await handle.close();
    }
    await steps.rename(temp, file);
    await syncDirectory(directory);
    return true;
  } catch (cause) {
    await rm(temp, { force: true }).catch(() => undefined);
    throw stateUnusable("write", file, cause);
  }
}

/** Removes what a predecessor that was killed in the middle of a write left in a directory. Only under the lock. */
export async function removeLeftovers(directory: string): Promise<readonly string[]> {
  try {
    const names = (await readdir(directory)).filter((name) => temporary.test(name));
    for (const name of names) await rm(path.join(directory, name), { force: true });
    return names.map((name) => path.join(directory, name));
  } catch (cause) {
    throw stateUnusable("clean", directory, cause);
  }
}

/** Makes a rename or removal in a directory outlast a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

interface Existing {
  /** Undefined where the file may be replaced but not read. */
  readonly bytes: Buffer | undefined;
  readonly mode: number;
  readonly owner: number;
  readonly group: number;
}

async function existing(file: string): Promise<Existing | undefined> {
  try {
    const { mode, uid, gid } = await stat(file);
    const bytes = await readFile(file).catch((cause) => {
      if (systemErrorCode(cause) === "EACCES") return undefined;
      throw cause;
    });
    return { bytes, mode: mode & 0o7777, owner: uid, group: gid };
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return undefined;
    throw cause;
  }
}

async function keepOwner(handle: FileHandle, { owner, group }: Existing): Promise<void> {
  await handle.chown(owner, group).catch((cause) => {
    // Only root may give a file away; then it is ours from now on.
    if (systemErrorCode(cause) !== "EPERM") throw cause;
  });
}
