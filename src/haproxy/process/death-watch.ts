import { connect, type Socket } from "node:net";
import type { Clock } from "../../support/clock.ts";
import { isAlive, type ProcessHandle } from "./process-table.ts";

export interface DeathWatchOptions {
  readonly handle: ProcessHandle;
  /**
   * A Unix socket the process listens on: its end closes the connection held there. Undefined where a connection would
   * keep it from ending: its end is then seen by the process table alone.
   */
  readonly socketPath: string | undefined;
  readonly clock: Clock;
  /** Called once when the process has ended. */
  readonly onEnd: () => void;
}

const pollMs = 1_000;
/** A process that is killed closes its sockets before it is gone from the process table, by a few ms. */
const suspectedPollMs = 5;
const suspicions = 20;

/**
 * Notices the end of a process that is not a child. A connection held to a master's CLI breaks within a millisecond of
 * its end; but it breaks at each reload too, so that only the process table decides. The table is also looked at each
 * second, should the connection tell nothing.
 */
export class DeathWatch {
  readonly #options: DeathWatchOptions;
  #socket: Socket | undefined;
  #cancelTimer: (() => void) | undefined;
  #suspicions = 0;
  #ended = false;

  constructor(options: DeathWatchOptions) {
    this.#options = options;
    this.#hold();
    this.#schedule();
  }

  /** Something broke that should not: looks at once, and closely for a moment. */
  suspect(): void {
    if (this.#ended) return;
    this.#suspicions = suspicions;
    this.#look();
  }

  stop(): void {
    this.#ended = true;
    this.#cancelTimer?.();
    this.#socket?.destroy();
  }

  #look(): void {
    if (this.#ended) return;
    if (!isAlive(this.#options.handle)) {
      this.stop();
      this.#options.onEnd();
      return;
    }
    if (this.#socket === undefined) this.#hold();
    this.#schedule();
  }

  #schedule(): void {
    this.#cancelTimer?.();
    const soon = this.#suspicions > 0;
    if (soon) this.#suspicions -= 1;
    this.#cancelTimer = this.#options.clock.timer(soon ? suspectedPollMs : pollMs, () => this.#look());
  }

  #hold(): void {
    const { socketPath } = this.#options;
    if (socketPath === undefined) return;
    const socket = connect({ path: socketPath });
    let connected = false;
    this.#socket = socket;
    socket.on("connect", () => {
      connected = true;
    });
    socket.on("error", () => undefined);
    // It has to be read for its end to be seen.
    socket.resume();
    socket.on("close", () => {
      this.#socket = undefined;
      // One that was never made tells nothing new; the next look tries again.
      if (connected) this.suspect();
    });
  }
}
