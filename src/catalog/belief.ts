import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";

/**
 * After the index went back, the catalog may be one that its agents have yet to fill again. Each does so with its next
 * full synchronisation, one to two minutes after the last in a cluster of up to 128 nodes (Consul: agent/ae).
 */
const refillMs = 150_000;

export const refillReason =
  "Consul's index went back and less is listed than before: its catalog was lost or restored, and may fill again";

export interface BeliefOptions<T> {
  /** For logs. */
  readonly name: string;
  /** What is asked, for messages. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly same: (a: T, b: T) => boolean;
  /**
   * Whether a value may take the place of another only after a second, differently made read says the same. Left out:
   * never.
   */
  readonly vanished?: (previous: T, next: T) => boolean;
  /** That second read; true when it agrees, else why the value is not to be believed. */
  readonly confirm?: (signal: AbortSignal) => Promise<true | string>;
  /**
   * For a value made of parts: what of `outstanding` an answer lacks, undefined where it has all of it. With `join` it
   * says what to believe while a catalog that lost its data may fill again. Left out: the answer as it is.
   */
  readonly missing?: (outstanding: T, answered: T) => T | undefined;
  /** The answer with the missing parts beside its own. */
  readonly join?: (answered: T, missing: T) => T;
  /** A good answer that is believed. Called in the same turn in which its last byte arrived. */
  readonly onValue: (value: T, answer: AnswerNote) => void;
  /** Freshness changed without a new value: stale with a reason, or (undefined) fresh again. */
  readonly onFreshness: (reason: string | undefined) => void;
  /** The index went back: the catalog is another one than before, or an older state of it. */
  readonly onWentBack?: () => void;
}

export interface AnswerNote {
  /** False when the value says the same as the one before. */
  readonly changed: boolean;
  /** Why the value is stale all the same; left out: it is fresh. */
  readonly reason?: string;
  /** Monotonic ms at which the answer had arrived. */
  readonly answeredAt: number;
}

/** One answer, read. */
export interface Heard<T> {
  readonly value: T;
  readonly index: bigint;
  /** It came long before the time to wait was up. */
  readonly early: boolean;
  /** It was asked for beside the watch, without an index and past any streaming view. */
  readonly plain: boolean;
  /** Consul says that ACLs filter it. */
  readonly filtered: boolean;
  /** Monotonic ms. */
  readonly answeredAt: number;
}

/**
 * What is to be asked next: go on from the index of this answer, believed or held; ask without an index, since this
 * answer told of another catalog; or read once without an index, since it says nothing.
 */
export type Judgement = "good" | "contradicted" | "anew" | "reread";

/**
 * What to believe of the answers to one question, in the order in which they come.
 *
 *     answer ──▶ index lower than before? ─▶ ask anew without index, forget the answer
 *              │ same, but early          ─▶ read once without index
 *              │ same, other body         ─▶ rights changed, not the catalog: keep the value, stale
 *              ▼ higher
 *            went back a short while ago? ─▶ what is missing may come again: keep it beside, stale
 *            all gone? ─▶ believed only when a second read agrees ─▶ value
 */
export class Belief<T> {
  private readonly options: BeliefOptions<T>;
  /** Index of the last good answer; 0: none, or another catalog's. */
  private seen = 0n;
  /** The last good answer, believed or not. */
  private answered: T | undefined;
  /** The last one that was believed. */
  private believed: T | undefined;
  private wentBackAt: number | undefined;
  /** What was believed when the index went back, less what was answered since. */
  private outstanding: T | undefined;
  private holding = false;
  /** Consul could not be reached since the last good answer. */
  private lost = false;
  private staleReason: string | undefined;
  private goodAt: number | undefined;
  private count = 0;

  constructor(options: BeliefOptions<T>) {
    this.options = options;
  }

  /** Undefined before the first. */
  value(): T | undefined {
    return this.believed;
  }

  index(): bigint {
    return this.seen;
  }

  /** Whether an answer is held back, so that Consul should be asked again soon. */
  held(): boolean {
    return this.holding;
  }

  /** Why the value is stale; undefined: it is fresh. */
  reason(): string | undefined {
    return this.staleReason;
  }

  /** Wall-clock ms of the last good answer. */
  lastGoodAt(): number | undefined {
    return this.goodAt;
  }

  /** Answers so far. */
  answers(): number {
    return this.count;
  }

  /** Ms for which it is not to be believed that something is gone, because the index went back a short while ago; 0: believe it. */
  refillLeftMs(): number {
    if (this.wentBackAt === undefined) return 0;
    return Math.max(0, this.wentBackAt + refillMs - this.options.clock.now());
  }

  /** Judges an answer. At once, but for a value that has to be confirmed. */
  judge(heard: Heard<T>, signal: AbortSignal): Judgement | Promise<Judgement> {
    const { index, value } = heard;
    this.count += 1;
    if (index < this.seen) return this.goBack(index, value);
    const repeated = index === this.seen;
    if (repeated && heard.early) return "reread";
    if (repeated && this.answered !== undefined && !this.options.same(this.answered, value)) {
      // A connection that was lost may mean another Consul, whose index is the same by chance.
      return this.lost ? this.goBack(index, value) : this.contradict(heard);
    }
    this.lost = false;
    this.seen = index;
    this.answered = value;
    this.goodAt = this.options.clock.wall();
    return this.settle(value, heard.answeredAt, signal) ?? "good";
  }

  /** Consul could not be asked: what it says next may be another one's word. */
  lose(): void {
    this.lost = true;
  }

  /** The value is in doubt from now on, until the next good answer. */
  setStale(reason: string): void {
    if (this.staleReason === reason) return;
    this.noteStale(reason);
    this.options.onFreshness(reason);
  }

  /** As `setStale` of a value that is fresh, without a line in the log: said once for all watches. */
  doubtQuietly(reason: string): void {
    if (this.staleReason !== undefined || this.believed === undefined) return;
    this.staleReason = reason;
    this.options.onFreshness(reason);
  }

  private goBack(index: bigint, value: T): Judgement {
    const { clock, logger, name, same } = this.options;
    // A streaming view may be behind the index of a plain read; only another body tells of another catalog.
    if (this.answered === undefined || !same(this.answered, value)) {
      const change = { watch: name, from: this.seen.toString(), to: index.toString() };
      logger.info(change, "Consul's index does not go on; reading anew");
      this.wentBackAt = clock.now();
      this.outstanding = this.believed;
    }
    this.lost = false;
    this.seen = 0n;
    this.options.onWentBack?.();
    return "anew";
  }

  /**
   * Another body under the same index: what the token may see has changed, not the catalog. Or, where a plain read
   * brought it, a view has lost what the catalog has: that comes back.
   */
  private contradict({ value, plain, filtered, answeredAt }: Heard<T>): Judgement {
    this.holding = true;
    const reason = `Consul's answer to ${this.options.path} changed while its index ${this.seen} did not${filtered ? ", and it says that ACLs filter it" : ""}: check the rights of consul.token`;
    const more = plain ? this.joined(value) : undefined;
    if (more === undefined) {
      this.setStale(reason);
    } else {
      this.answered = value;
      this.believed = more;
      this.noteStale(reason);
      this.options.onValue(more, { changed: true, answeredAt, reason });
    }
    return "contradicted";
  }

  /** What is believed and what is answered together; undefined where the latter adds nothing. */
  private joined(value: T): T | undefined {
    const { missing, join, same } = this.options;
    if (this.believed === undefined || missing === undefined || join === undefined) return undefined;
    if (missing(value, this.believed) === undefined) return undefined;
    const lacking = missing(this.believed, value);
    const more = lacking === undefined ? value : join(value, lacking);
    return same(this.believed, more) ? undefined : more;
  }

  private settle(value: T, answeredAt: number, signal: AbortSignal): Promise<Judgement> | undefined {
    const { vanished } = this.options;
    if (this.outstanding !== undefined && this.keepMissing(this.outstanding, value, answeredAt)) return undefined;
    if (this.believed !== undefined && vanished?.(this.believed, value) === true) {
      return this.doubt(value, answeredAt, signal);
    }
    this.believe(value, answeredAt);
    return undefined;
  }

  /**
   * While a catalog may fill again, keeps what an answer lacks beside it. What was answered and then left is gone.
   *
   * @returns false where nothing is missing any more, or the time to wait for it is over
   */
  private keepMissing(outstanding: T, value: T, answeredAt: number): boolean {
    const { missing, join, same, onValue } = this.options;
    this.outstanding = this.refillLeftMs() > 0 ? missing?.(outstanding, value) : undefined;
    if (this.outstanding === undefined || join === undefined) return false;
    this.holding = true;
    const joined = join(value, this.outstanding);
    if (this.believed !== undefined && same(this.believed, joined)) {
      this.setStale(refillReason);
      return true;
    }
    this.believed = joined;
    this.noteStale(refillReason);
    onValue(joined, { changed: true, answeredAt, reason: refillReason });
    return true;
  }

  private async doubt(value: T, answeredAt: number, signal: AbortSignal): Promise<Judgement> {
    this.holding = true;
    if (this.refillLeftMs() > 0) {
      this.setStale(refillReason);
      return "good";
    }
    const asked = this.count;
    const confirmed = (await this.options.confirm?.(signal)) ?? true;
    // An answer that came meanwhile is the younger one.
    if (this.count !== asked) return "good";
    if (confirmed === true) this.believe(value, answeredAt);
    else this.setStale(confirmed);
    return "good";
  }

  private believe(value: T, answeredAt: number): void {
    const changed = this.believed === undefined || !this.options.same(this.believed, value);
    const wasStale = this.staleReason !== undefined;
    this.holding = false;
    this.believed = value;
    this.staleReason = undefined;
    this.options.onValue(value, { changed, answeredAt });
    if (wasStale) this.options.onFreshness(undefined);
  }

  private noteStale(reason: string): void {
    if (this.staleReason === undefined) {
      this.options.logger.warn({ watch: this.options.name, reason }, "keeping the last good answer of Consul");
    }
    this.staleReason = reason;
  }
}
