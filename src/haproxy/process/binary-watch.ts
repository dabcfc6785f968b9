import { realpathSync, statSync } from "node:fs";
import path from "node:path";
import type { Clock } from "../../support/clock.ts";
import { type BinaryVersion, checkBinary } from "./validate.ts";

export interface BinaryChange {
  readonly now: BinaryVersion;
  readonly was: BinaryVersion;
}

export interface BinaryWatchOptions {
  /** A path, or a name looked up in PATH. */
  readonly binary: string;
  /** What the binary said of itself when it was first asked. */
  readonly version: BinaryVersion;
  readonly clock: Clock;
  /** Called when another file has taken the binary's place and has said what it is; also for the same version. */
  readonly onChange: (change: BinaryChange) => void;
}

/**
 * Notices that HAProxy's binary was replaced under the operator, by an upgrade of its package, say. The process that runs
 * keeps the old one until its next reload, for which the master runs the binary anew (management guide 4); what judges
 * configurations and starts processes is the new one.
 */
export class BinaryWatch {
  readonly #options: BinaryWatchOptions;
  readonly #binary: string;
  #version: BinaryVersion;
  /** Of the file that said `#version`. */
  #identity: string | undefined;

  /** To be made when the binary has just been asked for its version. */
  constructor(options: BinaryWatchOptions) {
    this.#options = options;
    this.#binary = options.binary.includes("/") ? path.resolve(options.binary) : options.binary;
    this.#version = options.version;
    this.#identity = identityOf(this.#binary);
  }

  get version(): BinaryVersion {
    return this.#version;
  }

  /**
   * To be called before the binary is used. Costs a look at the file, and the start of a process only where it is another.
   *
   * @throws {SluiceError} ERR_HAPROXY_MISSING when it is gone, cannot be run or is no HAProxy; ERR_HAPROXY_TOO_OLD. Whatever
   *   runs is then better left alone; the next call looks again.
   */
  async look(signal?: AbortSignal): Promise<void> {
    const { clock, onChange } = this.#options;
    // Taken before it is asked: one that is replaced meanwhile is seen the next time.
    const identity = identityOf(this.#binary);
    if (identity !== undefined && identity === this.#identity) return;
    const now = await checkBinary(this.#binary, clock, signal);
    // Two that look at once see one change.
    if (identity === this.#identity) return;
    const was = this.#version;
    this.#version = now;
    this.#identity = identity;
    onChange({ now, was });
  }
}

/** What tells a file from the one that replaced it; undefined where there is none. */
function identityOf(binary: string): string | undefined {
  for (const file of placesOf(binary)) {
    try {
      const { dev, ino, size, mtimeNs, mode } = statSync(file, { bigint: true });
      if ((mode & 0o111n) === 0n) continue;
      return [realpathSync(file), dev, ino, size, mtimeNs].join(" ");
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Where a program is looked for (execvp(3)). */
function placesOf(binary: string): readonly string[] {
  if (binary.includes("/")) return [binary];
  return (process.env["PATH"] ?? "")
    .split(path.delimiter)
    .filter((directory) => directory !== "")
    .map((directory) => path.join(directory, binary));
}
