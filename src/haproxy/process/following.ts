import type { Clock } from "../../support/clock.ts";
import type { ChildExit } from "./child-exit.ts";
import { DeathWatch } from "./death-watch.ts";
import type { HaproxyLog } from "./haproxy-log.ts";
import type { ProcessHandle } from "./process-table.ts";

/** The process that is followed. */
interface Followed {
  readonly handle: ProcessHandle;
  readonly suspect: () => void;
  /** Its log is no longer kept bounded, too. */
  readonly release: () => void;
}

/** Follows one process at a time, keeps its log bounded, and tells of its end. */
export class Following {
  readonly #log: HaproxyLog;
  readonly #clock: Clock;
  readonly #listeners = new Set<(detail: string) => void>();
  #followed: Followed | undefined;
  /** Errors in the log behind this place belong to the structure that runs. */
  #logMark = 0;
  /** More than zero while a process is being replaced: its end is then told only where nothing has come of it. */
  #replacing = 0;
  #held: (() => void) | undefined;

  constructor({ log, clock }: { readonly log: HaproxyLog; readonly clock: Clock }) {
    this.#log = log;
    this.#clock = clock;
  }

  get handle(): ProcessHandle | undefined {
    return this.#followed?.handle;
  }

  /** Follows a process that this one has started. */
  child(handle: ProcessHandle, exit: ChildExit): void {
    const followed = this.#follow(
      handle,
      () => undefined,
      () => exit.forget(),
    );
    exit.onEnd((how) => this.#gone(followed, how));
  }

  /**
   * Follows a process that an earlier operator has started.
   *
   * @param socketPath a socket of it that may be held without harm, to learn of its end at once; without one it is
   *   looked for each second, and when something is suspected
   */
  adopted(handle: ProcessHandle, socketPath?: string): void {
    const onEnd = () => this.#gone(followed, "the adopted process ended");
    const watch = new DeathWatch({ handle, socketPath, clock: this.#clock, onEnd });
    const followed = this.#follow(
      handle,
      () => watch.suspect(),
      () => watch.stop(),
    );
  }

  /** Another structure runs from here on: errors that were logged before do not concern it. */
  mark(): void {
    this.#logMark = this.#log.end();
  }

  /** While this runs the end of the followed process is no news: it is told afterwards, if it is followed still. */
  async replacing<T>(work: () => Promise<T>): Promise<T> {
    this.#replacing += 1;
    try {
      return await work();
    } finally {
      this.#replacing -= 1;
      const held = this.#held;
      if (this.#replacing === 0) {
        this.#held = undefined;
        held?.();
      }
    }
  }

  onExit(listener: (detail: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  suspect(): void {
    this.#followed?.suspect();
  }

  /** Lets go of the process without touching it. */
  release(): void {
    this.#followed?.release();
    this.#followed = undefined;
  }

  #follow(handle: ProcessHandle, suspect: () => void, letGo: () => void): Followed {
    this.#followed?.release();
    const endBounding = this.#log.keepBounded(this.#clock);
    const release = () => {
      endBounding();
      letGo();
    };
    const followed: Followed = { handle, suspect, release };
    this.#followed = followed;
    this.mark();
    return followed;
  }

  #gone(followed: Followed, how: string): void {
    if (this.#followed !== followed) return;
    if (this.#replacing > 0) {
      this.#held = () => this.#gone(followed, how);
      return;
    }
    this.release();
    const last = this.#log.wordsSince(this.#logMark).at(-1);
    const detail = `pid ${followed.handle.pid}, ${how}${last === undefined ? "" : `, last error in its log: ${last}`}`;
    for (const listener of [...this.#listeners]) listener(detail);
  }
}
