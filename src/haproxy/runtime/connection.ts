import { connect, type Socket } from "node:net";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";
import { type Command, checkCommand, commandText } from "./command-text.ts";

export interface ConnectionOptions {
  /** Path of the Unix socket. */
  readonly path: string;
  readonly clock: Clock;
  /** How long a batch, or the opening, may take. Default: 5000 ms. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The answers of a batch, in the order of its commands: all of them, or fewer and why the rest is missing. */
export interface BatchAnswers {
  readonly answers: readonly string[];
  readonly failure?: SluiceError;
}

interface PendingBatch {
  readonly count: number;
  readonly answers: string[];
  readonly settle: (failure?: SluiceError) => void;
}

/** What ends an answer in prompt mode. */
const prompt = "\n> ";
const defaultDeadlineMs = 5_000;
/** More than the largest dump known (`show stat json` of 10,000 servers aside, which nothing here asks for). */
const longestAnswer = 64_000_000;

/**
 * One connection to the Runtime API in prompt mode (management guide 9.3, `prompt`). Without it HAProxy from 3.0 on
 * reads one line only, and answers that are empty or end in one or two newlines could not be told apart. Each answer
 * ends where the next prompt begins:
 *
 * ```text
 *   > set server b/s weight 3⏎       ⏎> _                                 (empty answer)
 *   > del server b/s⏎                Server deleted.⏎> _                  (2.6; from 3.0 on one newline more)
 *   > add map @1 F <<⏎k v⏎⏎          + + ⏎> _                             (payload echo, up to 3.0)
 * ```
 *
 * A connection talks to the worker that accepted it, for as long as both live, whatever has been reloaded since.
 * Once an answer is missing nothing on it can be believed any more, so every failure closes it.
 */
export class RuntimeConnection {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #pending: PendingBatch[] = [];
  readonly #closeListeners = new Set<() => void>();
  /** The answer that is being read, but for its last two characters. */
  #parts: string[] = [];
  #partsLength = 0;
  /** The last characters read: the prompt may begin in them. */
  #held = "";
  #open = true;

  private constructor(socket: Socket, { path, clock, deadlineMs = defaultDeadlineMs }: ConnectionOptions) {
    this.#socket = socket;
    this.#path = path;
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => this.#read(chunk));
    socket.on("error", (error) => this.#fail(unreachable(path, error)));
    socket.on("close", () => this.#fail(unreachable(path, undefined, "HAProxy closed the connection")));
  }

  /**
   * Connects and switches to prompt mode.
   *
   * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE, retryable, when nobody answers in time; the signal's reason when it
   *   aborts first
   */
  static async open(options: ConnectionOptions): Promise<RuntimeConnection> {
    const { path, signal } = options;
    signal?.throwIfAborted();
    const connection = new RuntimeConnection(connect({ path }), options);
    // Written before the connection stands: Node sends it as soon as it does.
    const { failure } = await connection.execute([{ line: "prompt" }], signal);
    if (failure !== undefined) throw failure;
    return connection;
  }

  /** False once anything has gone wrong or `close` was called. */
  get open(): boolean {
    return this.#open;
  }

  /** Called once when the connection has ended for whatever reason. Returns the function that unsubscribes. */
  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /**
   * Sends the commands in one write, before it returns, and collects one answer for each. Answers come without the
   * newlines around them and without the echo of a payload. Batches may overlap; they are answered in order.
   *
   * @throws {SluiceError} ERR_VALUE_UNSAFE for a command that would not be read as one command: nothing is sent then.
   *   The signal's reason when it aborts first: what was sent may be executed nevertheless
   */
  execute(commands: readonly Command[], signal?: AbortSignal): Promise<BatchAnswers> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      for (const command of commands) checkCommand(command);
      if (commands.length === 0) return resolve({ answers: [] });
      if (!this.#open) return resolve({ answers: [], failure: unreachable(this.#path, undefined, "connection lost") });

      const answers: string[] = [];
      const onAbort = () => {
        end();
        reject(signal?.reason);
        this.close();
      };
      const cancelDeadline = this.#clock.timer(this.#deadlineMs, () => {
        const missing = `${commands.length - answers.length} of ${commands.length} answers are missing`;
        this.#fail(unreachable(this.#path, undefined, `no answer within ${this.#deadlineMs} ms, ${missing}`));
      });
      const end = () => {
        cancelDeadline();
        signal?.removeEventListener("abort", onAbort);
      };
      const settle = (failure?: SluiceError) => {
        end();
        resolve(failure === undefined ? { answers } : { answers, failure });
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#pending.push({ count: commands.length, answers, settle });
      this.#socket.write(commands.map(commandText).join(""));
    });
  }

  /**
   * Sends one command.
   *
   * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE when its answer does not come; else as `execute`
   */
  async ask(line: string, signal?: AbortSignal): Promise<string> {
    const { answers, failure } = await this.execute([{ line }], signal);
    if (failure !== undefined) throw failure;
    return answers[0] ?? "";
  }

  /** Ends the connection. Batches under way fail. */
  close(): void {
    this.#fail(unreachable(this.#path, undefined, "the connection was closed on our side"));
  }

  /** Looks at each character once: what was searched before is not searched again, but for two characters. */
  #read(chunk: string): void {
    const text = this.#held + chunk;
    let from = 0;
    for (let at = text.indexOf(prompt); at !== -1; at = text.indexOf(prompt, from)) {
      this.#parts.push(text.slice(from, at));
      from = at + prompt.length;
      const answer = this.#parts.join("");
      this.#parts = [];
      this.#partsLength = 0;
      if (!this.#take(answer)) return;
    }
    const kept = Math.max(from, text.length - (prompt.length - 1));
    if (kept > from) this.#parts.push(text.slice(from, kept));
    this.#partsLength += kept - from;
    this.#held = text.slice(kept);
    if (this.#partsLength > longestAnswer) {
      this.#fail(unreachable(this.#path, undefined, `an answer is longer than ${longestAnswer} characters`));
    }
  }

  #take(answer: string): boolean {
    const batch = this.#pending[0];
    if (batch === undefined) {
      this.#fail(unreachable(this.#path, undefined, "HAProxy sent an answer nobody asked for"));
      return false;
    }
    batch.answers.push(withoutFrame(answer));
    if (batch.answers.length === batch.count) {
      this.#pending.shift();
      batch.settle();
    }
    return true;
  }

  #fail(failure: SluiceError): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.destroy();
    for (const batch of this.#pending.splice(0)) batch.settle(failure);
    for (const listener of [...this.#closeListeners]) listener();
  }
}

function withoutFrame(answer: string): string {
  const echo = /^(?:\+ )+/.exec(answer)?.[0].length ?? 0;
  return answer.slice(echo).replace(/^\n+|\n+$/g, "");
}

function unreachable(path: string, cause: unknown, what?: string): SluiceError {
  const code = systemErrorCode(cause);
  const said = what ?? (code === undefined ? String(cause) : `${code}: ${meaning(code)}`);
  return new SluiceError("ERR_HAPROXY_UNREACHABLE", `HAProxy's socket ${path}: ${said}`, {
    ...(cause === undefined ? {} : { cause }),
    retryable: true,
    details: { path, ...(code === undefined ? {} : { code }) },
  });
}

function meaning(code: string): string {
  if (code === "ENOENT") return "there is no such socket; is HAProxy running?";
  if (code === "ECONNREFUSED") return "nobody listens there; HAProxy has ended or is starting";
  if (code === "EACCES") return "permission denied; run Sluice as the user that owns the socket";
  return "the connection broke";
}
