import { connect } from "node:net";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, systemErrorCode } from "../../support/errors.ts";
import { type ProcessList, parseProc } from "../runtime/observe.ts";

export interface MasterCli {
  /** Path of the master's socket. */
  readonly path: string;
  readonly clock: Clock;
}

/** What the master said before it closed the connection, and whether it did so without a word of the network's. */
export interface MasterAnswer {
  readonly text: string;
  /** True when the connection was reset: up to 2.9 the master forgets its connections when it reloads. */
  readonly reset: boolean;
}

const longestAnswer = 8_000_000;

/**
 * Sends one line to the master CLI and reads until it closes (management guide 9.4). The line must end the
 * connection by itself: `reload` does, others by `;quit`.
 *
 * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE when nobody listens, or the connection stays open for `deadlineMs`: a
 *   master that is loading a configuration takes connections and does not answer them
 */
export function askMaster(
  { path, clock }: MasterCli,
  line: string,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<MasterAnswer> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    let text = "";
    let connected = false;
    const socket = connect({ path });
    const end = (settle: () => void) => {
      cancelDeadline();
      signal?.removeEventListener("abort", onAbort);
      socket.destroy();
      settle();
    };
    const fail = (what: string, cause?: unknown) =>
      end(() =>
        reject(
          new SluiceError("ERR_HAPROXY_UNREACHABLE", `HAProxy's master socket ${path}: ${what}`, {
            retryable: true,
            details: { path },
            ...(cause === undefined ? {} : { cause }),
          }),
        ),
      );
    const onAbort = () => end(() => reject(signal?.reason));
    const cancelDeadline = clock.timer(deadlineMs, () => fail(`no answer to "${line}" within ${deadlineMs} ms`));
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.setEncoding("utf8");
    socket.on("connect", () => {
      connected = true;
      // Not `end`: half-closing interrupts a command that takes its time.
      socket.write(`${line}\n`);
    });
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.length > longestAnswer) fail(`the answer to "${line}" does not end`);
    });
    socket.on("error", (error) => {
      if (connected) end(() => resolve({ text, reset: true }));
      else fail(systemErrorCode(error) ?? error.message, error);
    });
    socket.on("end", () => end(() => resolve({ text, reset: false })));
  });
}

/**
 * The master and its workers.
 *
 * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE, also when the master ends before it answers; ERR_HAPROXY_ANSWER when the
 *   answer is not that of a master
 */
export async function askProcessList(
  master: MasterCli,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<ProcessList> {
  const { text } = await askMaster(master, "show proc;quit", deadlineMs, signal);
  if (text === "") {
    throw new SluiceError(
      "ERR_HAPROXY_UNREACHABLE",
      `HAProxy's master socket ${master.path}: closed without an answer`,
      {
        retryable: true,
        details: { path: master.path },
      },
    );
  }
  return parseProc(text);
}

/**
 * The same, asked again for as long as the master lives and `patienceMs` last: after a start or a reload a master of 2.6
 * refuses connections until some tens of ms after its worker serves (measured), and while it loads it does not answer.
 *
 * @throws {SluiceError} as `askProcessList`
 */
export async function awaitProcessList(
  master: MasterCli,
  patienceMs: number,
  alive: () => boolean,
  signal?: AbortSignal,
): Promise<ProcessList> {
  const { clock } = master;
  const deadline = clock.now() + patienceMs;
  for (let waitMs = 2; ; waitMs = Math.min(50, waitMs * 1.5)) {
    try {
      return await askProcessList(master, Math.max(50, Math.min(1_000, deadline - clock.now())), signal);
    } catch (thrown) {
      if (!(thrown instanceof SluiceError) || clock.now() >= deadline || !alive()) throw thrown;
    }
    await clock.sleep(waitMs, signal);
  }
}
