import { type FSWatcher, readFileSync, realpathSync, type Stats, statSync, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Clock } from "./clock.ts";
import { hexDigest } from "./digest.ts";

export interface FileWatchOptions {
  /** The files to watch, absolute; asked again at each scan, so that files of a directory may come and go. */
  readonly paths: () => readonly string[];
  readonly clock: Clock;
  /** Called with the files whose content changed, came or went, sorted. What it throws goes to `onError`. It must not wait for `rescan`. */
  readonly onChange: (changed: readonly string[]) => void | Promise<void>;
  /** What `paths` or `onChange` threw. Default: ignored; the watch goes on either way. */
  readonly onError?: (thrown: unknown) => void;
  /** How often the files are read without being told of a change. Default: 2000 ms. */
  readonly pollMs?: number;
}

export interface FileWatch {
  /** Reads the files now; resolves when `onChange` was called, if it had to be. */
  rescan(): Promise<void>;
  /** No callback begins after it. */
  close(): void;
}

/** A directory watched, and which directory that was: one of the same name made anew has to be watched anew. */
interface WatchedDirectory {
  readonly watcher: FSWatcher;
  readonly identity: string;
}

const coalesceMs = 20;
const missing = "missing";

/**
 * Watches the content of files. Events of the file system only say when to look: what counts is whether the bytes
 * differ from those seen before, so that a touch, a rename by an editor, or a swap of symbolic links with the same
 * content is no change. Directories are watched, not files, since a watched file is lost when it is replaced; a slow
 * poll covers file systems without events. A file that is away for less than `pollMs` counts as being there: editors
 * delete and write anew.
 *
 * The files are read once before it returns: every later change is told.
 */
export function watchFiles(options: FileWatchOptions): FileWatch {
  const { clock, onChange, onError = () => undefined, pollMs = 2_000 } = options;
  const digests = new Map<string, string>();
  const missingSince = new Map<string, number>();
  const directories = new Map<string, WatchedDirectory>();
  let closed = false;
  let cancelPoll: (() => void) | undefined;
  let cancelCoalesce: (() => void) | undefined;
  let scanning: Promise<void> = Promise.resolve();

  const paths = (): readonly string[] => {
    try {
      return options.paths();
    } catch (thrown) {
      onError(thrown);
      return [...digests.keys()];
    }
  };

  const scan = async (): Promise<void> => {
    if (closed) return;
    const found = paths();
    // Watched first, read second: what changes between the two brings an event and another scan.
    watchDirectories(found);
    const changed: string[] = [];
    for (const file of found) {
      if (seen(file, await digestOf(file))) changed.push(file);
    }
    const listed = new Set(found);
    for (const file of [...digests.keys()].filter((known) => !listed.has(known))) {
      if (seen(file, missing)) changed.push(file);
      if (digests.get(file) === missing) digests.delete(file);
    }
    if (closed || changed.length === 0) return;
    try {
      await onChange(changed.sort());
    } catch (thrown) {
      onError(thrown);
    }
  };

  /** Takes note of what a file holds now. True when that is a change. */
  const seen = (file: string, digest: string): boolean => {
    const before = digests.get(file);
    if (digest !== missing) missingSince.delete(file);
    else if (before !== undefined && before !== missing) {
      const since = missingSince.get(file);
      if (since === undefined) missingSince.set(file, clock.now());
      if (since === undefined || clock.now() - since < pollMs) return false;
      missingSince.delete(file);
    }
    digests.set(file, digest);
    return before === undefined ? digest !== missing : before !== digest;
  };

  const rescan = (): Promise<void> => {
    scanning = scanning.then(scan);
    return scanning;
  };

  const onEvent = (): void => {
    if (closed || cancelCoalesce !== undefined) return;
    cancelCoalesce = clock.timer(coalesceMs, () => {
      cancelCoalesce = undefined;
      void rescan();
    });
  };

  const watchDirectories = (files: readonly string[]): void => {
    const wanted = new Set(files.flatMap(directoriesOf));
    for (const [directory, { watcher, identity }] of directories) {
      if (wanted.has(directory) && identityOf(directory) === identity) continue;
      watcher.close();
      directories.delete(directory);
    }
    for (const directory of wanted) {
      const identity = identityOf(directory);
      if (directories.has(directory) || identity === undefined) continue;
      try {
        const watcher = watch(directory, { persistent: false }, onEvent);
        watcher.on("error", () => {
          watcher.close();
          directories.delete(directory);
        });
        directories.set(directory, { watcher, identity });
      } catch {
        // Gone meanwhile, or no watches left (ENOSPC): the poll goes on, and the next scan tries again.
      }
    }
  };

  const poll = (): void => {
    cancelPoll = clock.timer(pollMs, () => {
      void rescan().then(() => {
        if (!closed) poll();
      });
    });
  };

  const atStart = paths();
  watchDirectories(atStart);
  for (const file of atStart) digests.set(file, digestNow(file));
  poll();

  return {
    rescan,
    close: () => {
      closed = true;
      cancelPoll?.();
      cancelCoalesce?.();
      for (const { watcher } of directories.values()) watcher.close();
      directories.clear();
    },
  };
}

/** Where a change of the file shows: its own directory (a link swapped there), and that of what the link leads to. */
function directoriesOf(file: string): readonly string[] {
  try {
    return [path.dirname(file), path.dirname(realpathSync(file))];
  } catch {
    return [path.dirname(file)];
  }
}

function identityOf(directory: string): string | undefined {
  const stats = statsOf(directory);
  return stats?.isDirectory() === true ? `${stats.dev}:${stats.ino}` : undefined;
}

/** Undefined for what is not there, may not be read, or is a link in a circle. */
function statsOf(entry: string): Stats | undefined {
  try {
    return statSync(entry, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

async function digestOf(file: string): Promise<string> {
  // Opening a pipe would wait for its writer.
  if (statsOf(file)?.isFile() !== true) return missing;
  try {
    return digest(await readFile(file));
  } catch {
    return missing;
  }
}

function digestNow(file: string): string {
  if (statsOf(file)?.isFile() !== true) return missing;
  try {
    return digest(readFileSync(file));
  } catch {
    return missing;
  }
}

function digest(bytes: Buffer): string {
  return hexDigest(bytes.toString("base64"), 32);
}
