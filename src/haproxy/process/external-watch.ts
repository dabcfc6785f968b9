import type { Clock } from "../../support/clock.ts";
import { lifeOf, probeSocket } from "./socket-life.ts";

export interface ExternalWatchOptions {
  readonly masterSocket: string;
  readonly runtimeSocket: string;
  /** The life that is followed, as `lifeOf` had it. */
  readonly life: string;
  readonly clock: Clock;
  /** Called once, in words, when that life is over. */
  readonly onEnd: (how: string) => void;
}

const pollMs = 500;
const probeMs = 1_000;
/** A process that is killed closes one socket after the other. */
const suspectedPollMs = 5;
const suspicions = 20;
/**
 * Of a HAProxy that serves, through reloads too, somebody listens on the runtime socket at any time. One that was told to
 * end when its connections have (SIGUSR1) closes it at once and answers on its master's until the end (measured).
 */
const endingMs = 100;

/**
 * Notices the end of a HAProxy whose process cannot be seen, by its sockets: nobody listens on either of them, or they
 * are another's. Looks twice a second, and closely for a moment when a connection to it broke (`suspect`).
 */
export class ExternalWatch {
  readonly #options: ExternalWatchOptions;
  #cancelTimer: (() => void) | undefined;
  #suspicions = 0;
  #looking = false;
  #over = false;
  /** Since when nobody listens on the runtime socket, while the master is there. */
  #refusedSince: number | undefined;

  constructor(options: ExternalWatchOptions) {
    this.#options = options;
    this.#schedule();
  }

  /** Something broke that should not: looks at once, and closely for a moment. */
  suspect(): void {
    if (this.#over) return;
    this.#suspicions = suspicions;
    this.#cancelTimer?.();
    void this.#look();
  }

  stop(): void {
    this.#over = true;
    this.#cancelTimer?.();
  }

  async #look(): Promise<void> {
    // The look that is under way is followed by another.
    if (this.#over || this.#looking) return;
    this.#looking = true;
    const how = await this.#ended();
    this.#looking = false;
    if (this.#over) return;
    if (how === undefined) this.#schedule();
    else {
      this.stop();
      this.#options.onEnd(how);
    }
  }

  async #ended(): Promise<string | undefined> {
    const { masterSocket, runtimeSocket, life, clock } = this.#options;
    const found = lifeOf(runtimeSocket);
    if (found !== undefined && found !== life) return "another HAProxy has made the sockets anew";
    if ((await probeSocket(runtimeSocket, probeMs, clock)) !== "refuses") {
      this.#refusedSince = undefined;
      return undefined;
    }
    if ((await probeSocket(masterSocket, probeMs, clock)) === "refuses") return "nobody listens on its sockets";
    this.#refusedSince ??= clock.now();
    const late = clock.now() - this.#refusedSince >= endingMs;
    return late ? "its worker takes no more connections" : undefined;
  }

  #schedule(): void {
    const soon = this.#suspicions > 0 || this.#refusedSince !== undefined;
    if (this.#suspicions > 0) this.#suspicions -= 1;
    this.#cancelTimer = this.#options.clock.timer(soon ? suspectedPollMs : pollMs, () => void this.#look());
  }
}
