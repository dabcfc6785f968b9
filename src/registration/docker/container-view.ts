import type { Clock } from "../../support/clock.ts";
import { fewAtOnce } from "../few-at-once.ts";
import type { Container, Engine } from "./types.ts";

/** What a look at an engine's containers found. */
export interface Look {
  readonly containers: readonly Container[];
  /** Ids of containers that are there and of which nothing is known: the engine has not told yet. */
  readonly unknown: readonly string[];
}

interface Known {
  readonly look: string;
  readonly container: Container;
}

/**
 * The engine answers for one container only when it has done with it, which is seconds where it is taken down on a busy
 * machine, or never: nobody else waits for it longer than that.
 */
const patienceMs = 1_000;
/** Within this time the list shows that a container has ended, or events tell that it was started again. */
const endedForMs = 30_000;

/**
 * The containers that run, of which only those are asked for that may have changed: what the list shows of them is
 * different, or an event named them.
 */
export class ContainerView {
  private readonly engine: Engine;
  private readonly clock: Clock;
  private readonly onLate: () => void;
  private known: ReadonlyMap<string, Known> = new Map();
  private named = new Set<string>();
  private all = false;
  /** When those that ended did so by the engine's clock, ms, and when we heard of it. */
  private readonly ends = new Map<string, { readonly atMs: number; readonly heardAt: number }>();
  /** The answers that are waited for, by container. */
  private readonly asked = new Map<string, Promise<void>>();
  private readonly answers = new Map<string, Known>();

  /** @param onLate an answer came that a look did not wait for */
  constructor(engine: Engine, clock: Clock, onLate: () => void) {
    this.engine = engine;
    this.clock = clock;
    this.onLate = onLate;
  }

  /** An event named this container: what is known of it may be of the past. */
  changed(id: string): void {
    this.named.add(id);
  }

  /** A container has been started: what was told of its end is over. */
  started(id: string): void {
    this.named.add(id);
    this.ends.delete(id);
  }

  /**
   * A container has ended. The engine tells it before it takes the container down, and lists it as running until that is
   * done. More is told on the way, as that it has left its networks: only {@link started} makes it run again.
   *
   * @param atMs by the engine's clock
   */
  ended(id: string, atMs: number): void {
    this.named.add(id);
    this.ends.set(id, { atMs, heardAt: this.clock.now() });
  }

  /** Events may have been missed. */
  allChanged(): void {
    this.all = true;
  }

  /** @throws {SluiceError} as {@link Engine.list}; what had changed counts as changed next time too */
  async look(signal: AbortSignal): Promise<Look> {
    const listed = await this.engine.list(signal);
    const there = new Set(listed.map(({ id }) => id));
    for (const [id, { heardAt }] of this.ends) {
      if (!there.has(id) || this.clock.now() - heardAt >= endedForMs) this.ends.delete(id);
    }
    // What is named from here on may be changed after we have looked.
    const { named, all } = this;
    this.named = new Set();
    this.all = false;
    await fewAtOnce(listed, async ({ id, look }) => {
      if (this.hasEnded(id)) {
        // Asked for when it is listed for longer than that.
        this.named.add(id);
        return;
      }
      const known = this.latest(id);
      const mayHaveChanged = all || named.has(id);
      if (known?.look === look && !mayHaveChanged) return;
      if (!this.asked.has(id)) await this.ask(id, look, signal);
      // The answer that is waited for may be of before the change.
      else if (mayHaveChanged) this.named.add(id);
    });
    signal.throwIfAborted();
    const next = new Map<string, Known>();
    for (const { id } of listed) {
      const found = this.latest(id);
      if (found !== undefined && !this.hasEnded(id)) next.set(id, found);
    }
    this.answers.clear();
    this.known = next;
    return {
      containers: [...next.values()].map(({ container }) => container),
      unknown: [...there].filter((id) => !next.has(id) && !this.hasEnded(id)),
    };
  }

  /** Resolves when the engine has answered, or nobody waits any more. An answer that fails is asked for again. */
  private async ask(id: string, look: string, signal: AbortSignal): Promise<void> {
    let late = false;
    const answer = this.engine.inspect(id, signal).then(
      (container) => {
        // Removed: an id does not come back.
        if (container === undefined) this.ended(id, Number.POSITIVE_INFINITY);
        else this.answers.set(id, { look, container });
      },
      () => void this.named.add(id),
    );
    this.asked.set(
      id,
      answer.finally(() => {
        this.asked.delete(id);
        if (late && !signal.aborted) this.onLate();
      }),
    );
    await new Promise<void>((resolve) => {
      const stopTimer = this.clock.timer(patienceMs, () => {
        late = true;
        resolve();
      });
      void answer.then(() => {
        stopTimer();
        resolve();
      });
    });
  }

  /** Whether it has, in the run that we know of. */
  private hasEnded(id: string): boolean {
    const end = this.ends.get(id);
    const startedAtMs = this.latest(id)?.container.startedAtMs;
    return end !== undefined && !(startedAtMs !== undefined && startedAtMs > end.atMs);
  }

  private latest(id: string): Known | undefined {
    return this.answers.get(id) ?? this.known.get(id);
  }
}
