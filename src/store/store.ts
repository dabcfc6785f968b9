import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { type Clock, systemClock } from "../support/clock.ts";
import { SluiceError, systemErrorCode } from "../support/errors.ts";
import { type Logger, silentLogger } from "../support/logger.ts";
import { Mutex } from "../support/mutex.ts";
import { atomicWrite, removeLeftovers, syncDirectory } from "./atomic-write.ts";
import { acquireLock, type DirectoryLock } from "./lock.ts";
import { pathBelow, type StatePaths, statePaths } from "./paths.ts";
import { type QuarantineFile, quarantineSchema } from "./quarantine-file.ts";
import { initialState, type ParsedState, parseState, type StateChange, type StoredState } from "./stored-state.ts";
import { stateUnusable } from "./unusable.ts";

export interface StoreOptions {
  /** Told what was set aside or cleaned. Default: nothing. */
  readonly logger?: Logger;
  /** What it is opened for, where that is over in a moment: others that open it wait for that. */
  readonly task?: string;
  readonly clock?: Clock;
  /** Ends the wait for such another: opening rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How long another is waited for that holds it only for a moment. */
const passingMs = 15_000;

/**
 * The state directory, held by one operator. Every write is atomic and on the disk when its promise resolves; writes
 * throw ERR_STATE_UNUSABLE (the old content is intact) and, after `close`, ERR_INTERNAL.
 */
export interface Store {
  readonly paths: StatePaths;
  /** As last saved or, before, as found at the start. */
  state(): StoredState;
  /** Puts a change into state.json. When that fails, `state` stays as it was. */
  saveState(change: StateChange): Promise<void>;
  /** haproxy.cfg; undefined where there is none yet. */
  readConfig(): Promise<string | undefined>;
  writeConfig(text: string): Promise<void>;
  /** @returns the path of the candidate */
  writeCandidate(text: string): Promise<string>;
  /** All map files by absolute path, sorted by it. */
  readMaps(): Promise<ReadonlyMap<string, string>>;
  /** @throws {SluiceError} ERR_VALUE_UNSAFE when the path does not lie below `paths.maps` */
  writeMap(file: string, text: string): Promise<void>;
  /** Removing what is not there is no error. */
  removeMap(file: string): Promise<void>;
  /** The list of certificates and the files in it, by absolute path, sorted. */
  readCertificates(): Promise<ReadonlyMap<string, string>>;
  /** Paths as for maps, below `paths.certificates`. */
  writeCertificate(file: string, text: string): Promise<void>;
  removeCertificate(file: string): Promise<void>;
  /** Assets are named by their content: one that is there is right. Paths as for maps, below `paths.assets`. */
  writeAsset(file: string, text: string): Promise<void>;
  /** Removes all assets but these (absolute paths). */
  pruneAssets(keep: ReadonlySet<string>): Promise<void>;
  /** The last good snapshot as JSON value; undefined where there is none or it is broken. */
  readSnapshot(): Promise<unknown | undefined>;
  writeSnapshot(json: unknown): Promise<void>;
  /** The last good template: its sources by name; undefined where there is none or it is broken. */
  readTemplate(): Promise<Readonly<Record<string, string>> | undefined>;
  writeTemplate(sources: Readonly<Record<string, string>>): Promise<void>;
  /** What was in quarantine; undefined where nothing was kept or it is broken. */
  readQuarantine(): Promise<QuarantineFile | undefined>;
  writeQuarantine(content: unknown): Promise<void>;
  /** Lets another operator have the directory. */
  close(): Promise<void>;
}

const templateSchema = z.record(z.string(), z.string());

/**
 * Opens a state directory: makes what is missing (0700), takes the lock, cleans up after a predecessor that was killed
 * in the middle of a write, and reads state.json, which it migrates when it is of an older schema. A file that is broken
 * is set aside as `<name>.broken-<n>` and said.
 *
 * @throws {SluiceError} ERR_STATE_LOCKED, ERR_STATE_VERSION, ERR_STATE_UNUSABLE
 */
export async function openStore(directory: string, options: StoreOptions = {}): Promise<Store> {
  const logger = options.logger ?? silentLogger;
  const paths = statePaths(directory);
  for (const one of [paths.directory, paths.maps, paths.assets, paths.certificates, paths.sockets])
    await makeDirectory(one);
  const lock = await lockOf(paths, options);
  try {
    for (const one of [
      paths.directory,
      ...(await directoriesBelow(paths.maps)),
      ...(await directoriesBelow(paths.assets)),
      paths.certificates,
    ]) {
      const left = await removeLeftovers(one);
      if (left.length > 0) logger.info({ files: left }, "removed what an operator that was killed left half-written");
    }
    const text = await readText(paths.state);
    const found = text === undefined ? { state: initialState } : parseState(text, paths.state);
    if (found === undefined) await setAside(paths.state, logger);
    else if (text !== undefined && found.olderSchema !== undefined) await migrate(paths.state, text, found, logger);
    return directoryStore(paths, found?.state ?? initialState, lock, logger);
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
}

async function lockOf(paths: StatePaths, { task, clock = systemClock, signal }: StoreOptions): Promise<DirectoryLock> {
  const deadline = clock.now() + passingMs;
  for (;;) {
    try {
      return await acquireLock({ file: paths.lock, socket: paths.lockSocket }, { task });
    } catch (thrown) {
      const passing = thrown instanceof SluiceError && thrown.code === "ERR_STATE_LOCKED" && thrown.retryable;
      if (!passing || clock.now() >= deadline) throw thrown;
    }
    await clock.sleep(50, signal);
  }
}

function directoryStore(paths: StatePaths, found: StoredState, lock: DirectoryLock, logger: Logger): Store {
  const stateTurn = new Mutex();
  let state = found;
  let closed = false;

  const write = async (file: string, text: string): Promise<void> => {
    assertOpen();
    await atomicWrite(file, text);
  };
  const writeBelow = async (directory: string, file: string, text: string): Promise<void> => {
    const full = pathBelow(directory, file);
    assertOpen();
    await makeDirectory(path.dirname(full));
    await atomicWrite(full, text);
  };
  const removeBelow = async (directory: string, file: string): Promise<void> => {
    const full = pathBelow(directory, file);
    assertOpen();
    await remove(full);
  };
  const assertOpen = (): void => {
    if (closed) throw new SluiceError("ERR_INTERNAL", `a write to ${paths.directory} after it was closed`);
  };
  const readJson = async <T>(file: string, shape: z.ZodType<T>): Promise<T | undefined> => {
    const text = await readText(file);
    if (text === undefined) return undefined;
    try {
      return shape.parse(JSON.parse(text));
    } catch {
      await setAside(file, logger);
      return undefined;
    }
  };

  return {
    paths,
    state: () => state,
    saveState: (change) =>
      stateTurn.run(async () => {
        const next = { ...state, ...change };
        await write(paths.state, stateText(next));
        state = next;
      }),
    readConfig: () => readText(paths.config),
    writeConfig: (text) => write(paths.config, text),
    writeCandidate: async (text) => {
      await write(paths.candidate, text);
      return paths.candidate;
    },
    readMaps: () => textsIn(paths.maps),
    writeMap: (file, text) => writeBelow(paths.maps, file, text),
    removeMap: (file) => removeBelow(paths.maps, file),
    readCertificates: () => textsIn(paths.certificates),
    writeCertificate: (file, text) => writeBelow(paths.certificates, file, text),
    removeCertificate: (file) => removeBelow(paths.certificates, file),
    writeAsset: async (file, text) => {
      const full = pathBelow(paths.assets, file);
      if (!(await exists(full))) await writeBelow(paths.assets, file, text);
    },
    pruneAssets: async (keep) => {
      assertOpen();
      const superfluous = (await filesIn(paths.assets)).filter((file) => !keep.has(file));
      for (const file of superfluous) await remove(file);
    },
    readSnapshot: () => readJson(paths.snapshot, z.unknown()),
    writeSnapshot: (json) => write(paths.snapshot, JSON.stringify(json)),
    readTemplate: () => readJson(paths.template, templateSchema),
    readQuarantine: () => readJson(paths.quarantine, quarantineSchema),
    writeQuarantine: (content) => write(paths.quarantine, JSON.stringify(content)),
    writeTemplate: (sources) => write(paths.template, JSON.stringify(sources)),
    close: async () => {
      if (closed) return;
      closed = true;
      // A state that is being saved gets on the disk while the directory is still ours.
      await stateTurn.run(() => undefined);
      await lock.release();
    },
  };
}

/**
 * Writes an older state.json in today's schema. The old file stays as `state.json.v<schema>`, for an older Sluice to be put
 * back. Killed half-way, it is done again.
 */
async function migrate(file: string, text: string, { state, olderSchema }: ParsedState, logger: Logger): Promise<void> {
  const kept = `${file}.v${olderSchema}`;
  await atomicWrite(kept, text);
  await atomicWrite(file, stateText(state));
  logger.info(
    { file, kept, from: olderSchema, to: state.schema },
    `state.json was written by an older Sluice and is now of schema ${state.schema}; the old one is kept as ${kept}`,
  );
}

function stateText(state: StoredState): string {
  return `${JSON.stringify(state, undefined, 2)}\n`;
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw stateUnusable("make", directory, cause);
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return undefined;
    throw stateUnusable("read", file, cause);
  }
}

/** The files below a directory by absolute path, sorted. */
async function textsIn(directory: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const file of await filesIn(directory)) {
    const text = await readText(file);
    if (text !== undefined) texts.set(file, text);
  }
  return texts;
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return false;
    throw stateUnusable("read", file, cause);
  }
}

async function remove(file: string): Promise<void> {
  try {
    await rm(file, { force: true });
    await syncDirectory(path.dirname(file));
  } catch (cause) {
    if (systemErrorCode(cause) !== "ENOENT") throw stateUnusable("remove", file, cause);
  }
}

/** The files below a directory at any depth but for our own with a leading dot, sorted. */
async function filesIn(directory: string): Promise<readonly string[]> {
  return (await entriesBelow(directory)).filter((entry) => entry.isFile).map((entry) => entry.path);
}

async function directoriesBelow(directory: string): Promise<readonly string[]> {
  const below = (await entriesBelow(directory)).filter((entry) => !entry.isFile).map((entry) => entry.path);
  return [directory, ...below];
}

async function entriesBelow(directory: string): Promise<readonly { path: string; isFile: boolean }[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => (entry.isFile() || entry.isDirectory()) && !entry.name.startsWith("."))
      .map((entry) => ({ path: path.join(entry.parentPath, entry.name), isFile: entry.isFile() }))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
  } catch (cause) {
    throw stateUnusable("read", directory, cause);
  }
}

/** Gives a broken file a name under which it harms nobody and can be looked at. */
async function setAside(file: string, logger: Logger): Promise<void> {
  try {
    let number = 1;
    while (await exists(`${file}.broken-${number}`)) number += 1;
    await rename(file, `${file}.broken-${number}`);
    logger.warn(
      { file, kept: `${file}.broken-${number}` },
      "the file is broken and was set aside; Sluice goes on without it",
    );
  } catch (cause) {
    throw stateUnusable("set aside", file, cause);
  }
}
