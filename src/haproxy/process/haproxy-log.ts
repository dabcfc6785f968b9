import { chmodSync, closeSync, fstatSync, openSync, readSync, statSync, truncateSync } from "node:fs";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";
import { parseOutput, sentence } from "./haproxy-output.ts";

/** The log is emptied when it is longer than this, in bytes. */
const longestLog = 1_048_576;
/** Of what was written since a moment, so much is read. */
const longestRead = 65_536;

/** The file that takes HAProxy's stdout and stderr: the only place where it tells why it did not start or reload. */
export class HaproxyLog {
  readonly path: string;
  readonly #configPath: string;

  constructor(path: string, configPath: string) {
    this.path = path;
    this.#configPath = configPath;
  }

  /**
   * Opens it for a process that is started. Appending, so that emptying it later leaves no hole.
   *
   * @returns a file descriptor the caller closes
   * @throws {SluiceError} ERR_STATE_UNUSABLE
   */
  open(): number {
    try {
      const descriptor = openSync(this.path, "a", 0o600);
      chmodSync(this.path, 0o600);
      this.trim();
      return descriptor;
    } catch (thrown) {
      throw new SluiceError(
        "ERR_STATE_UNUSABLE",
        `HAProxy's log ${this.path} cannot be written (${systemErrorCode(thrown) ?? String(thrown)}); make it writable`,
        { cause: thrown, details: { path: this.path } },
      );
    }
  }

  /** Empties it when it has grown long: HAProxy writes a line for each server that comes or goes. */
  trim(): void {
    try {
      if (statSync(this.path).size > longestLog) truncateSync(this.path);
    } catch {
      // A log that is not there is not long.
    }
  }

  /** Where it ends now, for `wordsSince`. */
  end(): number {
    try {
      return statSync(this.path).size;
    } catch {
      return 0;
    }
  }

  /** The errors HAProxy wrote behind that place, in sentences; empty where it wrote none, or not here. */
  wordsSince(offset: number): readonly string[] {
    const { problems } = parseOutput(this.#textSince(offset), this.#configPath);
    return [...new Set(problems.map(sentence))];
  }

  #textSince(offset: number): string {
    try {
      const descriptor = openSync(this.path, "r");
      try {
        const { size } = fstatSync(descriptor);
        const from = Math.max(offset > size ? 0 : offset, size - longestRead);
        const buffer = Buffer.alloc(size - from);
        const length = readSync(descriptor, buffer, 0, buffer.length, from);
        return buffer.toString("utf8", 0, length);
      } finally {
        closeSync(descriptor);
      }
    } catch {
      return "";
    }
  }
}
