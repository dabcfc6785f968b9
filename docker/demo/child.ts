import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Clock } from "../../src/support/clock.ts";

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** File that gets all the child prints. */
  readonly log?: string;
}

/** How many of its last lines a child is quoted with when it ends unasked. */
const keptLines = 15;

/**
 * A process of the demo, in a process group of its own: Ctrl-C reaches the demo alone, which then stops the others in
 * order, and what a child leaves behind in its group can be ended with it. Its standard input is a pipe that closes
 * when the demo is gone, however that came about.
 */
export class Child {
  readonly name: string;
  /** How it ended, in words: `exit code 1`, `signal SIGKILL`, or why it could not be started. */
  readonly ended: Promise<string>;
  private readonly process: ChildProcess;
  private readonly lines: string[] = [];
  private readonly listeners = new Set<(line: string) => void>();
  private over = false;

  constructor(name: string, options: ChildOptions) {
    this.name = name;
    this.process = spawn(options.command, options.args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    // It may be gone before the pipe is.
    this.process.stdin?.on("error", () => undefined);
    const log = options.log === undefined ? undefined : createWriteStream(options.log, { flags: "a" });
    log?.on("error", () => undefined);
    for (const stream of [this.process.stdout, this.process.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => {
        log?.write(`${line}\n`);
        this.lines.push(line);
        if (this.lines.length > keptLines) this.lines.shift();
        for (const listener of this.listeners) listener(line);
      });
    }
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.over = true;
        log?.end();
        resolve(how);
      };
      this.process.once("error", (error) => end(error.message));
      // `close` comes when the output has been read, but never while a grandchild holds the pipe: `exit` decides then.
      this.process.once("close", (code, signal) => end(describeEnd(code, signal)));
      this.process.once("exit", (code, signal) => setTimeout(() => end(describeEnd(code, signal)), 500).unref());
    });
  }

  get running(): boolean {
    return !this.over && this.process.exitCode === null && this.process.signalCode === null;
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  get lastLines(): readonly string[] {
    return this.lines;
  }

  /** Tells of each line from now on. */
  onLine(listener: (line: string) => void): void {
    this.listeners.add(listener);
  }

  /** The first line that matches, or undefined when the child ends without one. */
  async line(pattern: RegExp): Promise<RegExpExecArray | undefined> {
    for (const line of this.lines) {
      const match = pattern.exec(line);
      if (match !== null) return match;
    }
    return new Promise((resolve) => {
      const listener = (line: string) => {
        const match = pattern.exec(line);
        if (match === null) return;
        this.listeners.delete(listener);
        resolve(match);
      };
      this.listeners.add(listener);
      void this.ended.then(() => {
        this.listeners.delete(listener);
        resolve(undefined);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.process.kill(signal);
  }

  /** Asks it to end, waits up to `graceMs`, then ends it and what is left of its group. */
  async stop(signal: NodeJS.Signals, graceMs: number, clock: Clock): Promise<void> {
    this.signal(signal);
    const waited = new AbortController();
    await Promise.race([this.ended, clock.sleep(graceMs, waited.signal).catch(() => undefined)]);
    waited.abort();
    this.kill();
    await this.ended;
  }

  /** Ends it and its group at once, without waiting. */
  kill(): void {
    if (this.process.pid === undefined) return;
    try {
      process.kill(-this.process.pid, "SIGKILL");
    } catch {
      // Nobody is left in the group.
    }
  }
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}
