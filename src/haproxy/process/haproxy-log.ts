import { chmodSync, closeSync, copyFileSync, fstatSync, openSync, readSync, statSync, truncateSync } from "node:fs";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";
import { parseOutput, sentence } from "./haproxy-output.ts";

/** The log begins anew when it is longer than this, in bytes; as much again is kept of what was before. */
const longestLog = 16_777_216;
/** How often that is looked at: with 10,000 requests a second it grows by about 6 MB meanwhile. */
const lookEveryMs = 1_000;
/** Of what was written since a moment, so much is read. */
const longestRead = longestLog;
/** A line of the access log: JSON, or with the date as the Common Log Format and HAProxy's own formats have it. */
const requestLine = /^\{|\[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:/;

/**
 * The file that takes HAProxy's stdout and stderr: the only place where it tells why it did not start or reload; and the
 * access log, where that goes to stdout.
 */
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

  /**
   * Begins it anew when it has grown long, and keeps what was in it beside it, as `<path>.1`. HAProxy goes on writing to
   * the same file: what it writes between the copy and the emptying, some milliseconds, is lost.
   */
  trim(): void {
    try {
      if (statSync(this.path).size <= longestLog) return;
    } catch {
      // A log that is not there is not long.
      return;
    }
    try {
      copyFileSync(this.path, `${this.path}.1`);
      chmodSync(`${this.path}.1`, 0o600);
    } catch {
      // On a full disk room counts for more than old lines.
    }
    try {
      truncateSync(this.path);
    } catch {
      // Tried again soon.
    }
  }

  /** Keeps it bounded from now on. Returns a function that ends that. */
  keepBounded(clock: Clock): () => void {
    const look = () => {
      this.trim();
      cancel = clock.timer(lookEveryMs, look);
    };
    let cancel = clock.timer(lookEveryMs, look);
    return () => cancel();
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
    const lines = this.#textSince(offset).split("\n");
    const words = lines.filter((line) => !requestLine.test(line)).join("\n");
    const { problems } = parseOutput(words, this.#configPath);
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
