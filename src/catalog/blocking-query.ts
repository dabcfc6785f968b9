import { type BackoffPolicy, backoffMs } from "../support/backoff.ts";
import type { Clock } from "../support/clock.ts";
import { SluiceError, toSluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { indexOf, isFiltered } from "./answers.ts";
import type { ConsulAnswer, ConsulClient, ConsulRequest } from "./consul-client.ts";
import { isDefiniteRefusal, isTurnedAway, refusalDetails } from "./refusal.ts";
import { TokenBucket } from "./token-bucket.ts";

/** How long the servers hold a request while they have no leader: `rpc_hold_timeout`, Consul's default. */
const rpcHoldMs = 7_000;
const deadlineSlackMs = 3_000;
/** Deadline of a request that does not block, ms. */
export const plainDeadlineMs = rpcHoldMs + deadlineSlackMs;

/** After the index went back, the catalog may be one that its agents have yet to fill again: they do so within a minute. */
const refillMs = 60_000;
/** While an answer is held back, Consul is asked again at least this often. */
const heldWaitMs = 10_000;

const localBackoff: BackoffPolicy = { baseMs: 50, maxMs: 500 };
const remoteBackoff: BackoffPolicy = { baseMs: 100, maxMs: 10_000 };
/** A request that is refused for what it is will not be answered soon. */
const refusalBackoff: BackoffPolicy = { baseMs: 1_000, maxMs: 30_000 };
/** A token without rights or a limit that is reached: hundreds of watches meet it at the same moment. */
const turnedAwayBackoff: BackoffPolicy = { baseMs: 500, maxMs: 5_000 };

const refillReason =
  "Consul's index went back and less is listed than before: its catalog was lost or restored, and may fill again";

export interface BlockingQueryOptions<T> {
  /** For logs and status. */
  readonly name: string;
  readonly client: ConsulClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
  readonly request: ConsulRequest;
  /** The longest Consul may hold a request, ms. */
  readonly waitMs: number;
  /** How long an answer waits before it is looked at, ms: for what must not stand in the way of others. Default: not at all. */
  readonly yieldMs?: number;
  /** Normalises; gets the believed value, so that unchanged parts keep their identity. Throws on a wrong shape. */
  readonly parse: (body: unknown, previous: T | undefined) => T;
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
  /** After each failed request; the query goes on by itself. */
  readonly onFailure?: (error: SluiceError) => void;
}

export interface AnswerNote {
  /** False when the value says the same as the one before. */
  readonly changed: boolean;
  /** Why the value is stale all the same; left out: it is fresh. */
  readonly reason?: string;
  /** Monotonic ms at which the answer had arrived. */
  readonly answeredAt: number;
}

export interface WatchStatus {
  readonly name: string;
  /** Wall-clock ms; absent before the first good answer. */
  readonly lastGoodAt?: number;
  readonly stale: boolean;
  readonly reason?: string;
  /** Consul's index, decimal; "0" before the first good answer. */
  readonly index: string;
  readonly answers: number;
  readonly errors: number;
}

/**
 * One question that is asked for ever (Consul API: Blocking Queries). Only its signal ends it: whatever Consul or a
 * proxy in front of it answers, the last good value stays and the next question is asked after a wait that fits.
 *
 *     question ── answer ──▶ index lower than before? ─▶ ask anew without index, forget the answer
 *                              │ same, but early      ─▶ read once without index
 *                              │ same, other body     ─▶ rights changed, not the catalog: keep the value, stale
 *                              ▼ higher
 *                            went back a short while ago? ─▶ what is missing may come again: keep it beside, stale
 *                            all gone? ─▶ believed only when a second read agrees ─▶ value
 */
export class BlockingQuery<T> {
  private readonly options: BlockingQueryOptions<T>;
  private readonly bucket: TokenBucket;
  /** What the next question carries; 0: answer at once. */
  private index = 0n;
  /** Index of the last good answer. */
  private seen = 0n;
  /** The last good answer, believed or not. */
  private answered: T | undefined;
  /** The last one that was believed. */
  private believed: T | undefined;
  private wentBackAt: number | undefined;
  /** What was believed when the index went back, less what was answered since. */
  private outstanding: T | undefined;
  private held = false;
  private earlyAnswers = 0;
  private failures = 0;
  /** Consul could not be reached since the last good answer. */
  private lost = false;
  private staleReason: string | undefined;
  private lastGoodAt: number | undefined;
  private answers = 0;
  private errors = 0;

  constructor(options: BlockingQueryOptions<T>) {
    this.options = options;
    const { clock, random } = options;
    this.bucket = new TokenBucket({ burst: 5, perSecond: 10, clock, random });
  }

  /** Resolves when the signal aborts, never before, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const delayMs = this.bucket.take();
        if (delayMs > 0) await this.options.clock.sleep(delayMs, signal);
        await this.ask(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        await this.recover(toSluiceError(thrown), signal);
      }
    }
  }

  /** The value that is believed; undefined before the first. */
  value(): T | undefined {
    return this.believed;
  }

  status(): WatchStatus {
    return {
      name: this.options.name,
      stale: this.staleReason !== undefined,
      index: this.seen.toString(),
      answers: this.answers,
      errors: this.errors,
      ...(this.lastGoodAt === undefined ? {} : { lastGoodAt: this.lastGoodAt }),
      ...(this.staleReason === undefined ? {} : { reason: this.staleReason }),
    };
  }

  /** Ms for which it is not to be believed that something is gone, because the index went back a short while ago; 0: believe it. */
  refillLeftMs(): number {
    if (this.wentBackAt === undefined) return 0;
    return Math.max(0, this.wentBackAt + refillMs - this.options.clock.now());
  }

  private async ask(signal: AbortSignal): Promise<void> {
    const { client, clock, request } = this.options;
    const blocking = this.index > 0n;
    const waitMs = Math.round(
      (this.held ? Math.min(heldWaitMs, this.options.waitMs) : this.options.waitMs) * this.jitter(),
    );
    const query = blocking ? { ...request.query, index: this.index.toString(), wait: `${waitMs}ms` } : request.query;
    const askedAt = clock.now();
    const answer = await client.get(
      { path: request.path, ...(query === undefined ? {} : { query }) },
      { signal, deadlineMs: blocking ? blockingDeadlineMs(waitMs) : plainDeadlineMs },
    );
    const { yieldMs } = this.options;
    if (blocking && yieldMs !== undefined) await clock.sleep(yieldMs, signal);
    const early = blocking && answer.answeredAt - askedAt < 0.9 * waitMs;
    const settling = this.judge(answer, early, signal);
    // Awaiting nothing would cost a turn of the event queue between this answer and the next question.
    if (settling !== undefined) await settling;
  }

  /** +-10 %, so that watches which began together do not stay together: streaming answers have no jitter of their own. */
  private jitter(): number {
    return 0.9 + 0.2 * this.options.random();
  }

  private judge(answer: ConsulAnswer, early: boolean, signal: AbortSignal): Promise<void> | undefined {
    const index = this.indexOf(answer);
    const value = this.options.parse(answer.body, this.believed);
    this.answers += 1;
    if (index < this.seen) {
      this.goBack(index, value);
      return undefined;
    }
    const repeated = index === this.seen;
    if (repeated && early) return this.reread(signal);
    if (repeated && this.answered !== undefined && !this.options.same(this.answered, value)) {
      // A connection that was lost may mean another Consul, whose index is the same by chance.
      if (this.lost) this.goBack(index, value);
      else this.contradict(answer);
      return undefined;
    }
    this.earlyAnswers = 0;
    this.failures = 0;
    this.lost = false;
    this.index = index;
    this.seen = index;
    this.answered = value;
    this.lastGoodAt = this.options.clock.wall();
    return this.settle(value, answer.answeredAt, signal);
  }

  private goBack(index: bigint, value: T): void {
    const { clock, logger, name, same } = this.options;
    // A streaming view may be behind the index of a plain read; only another body tells of another catalog.
    if (this.answered === undefined || !same(this.answered, value)) {
      const change = { watch: name, from: this.seen.toString(), to: index.toString() };
      logger.info(change, "Consul's index does not go on; reading anew");
      this.wentBackAt = clock.now();
      this.outstanding = this.believed;
    }
    this.lost = false;
    this.index = 0n;
    this.seen = 0n;
  }

  /**
   * Consul gave the same index before the time was up: after a restored snapshot the old data may be served under the
   * old index for ever, and only a read without an index tells.
   */
  private async reread(signal: AbortSignal): Promise<void> {
    const { client, clock, request } = this.options;
    const attempt = this.earlyAnswers;
    this.earlyAnswers += 1;
    // The first one is answered at once; a server that keeps doing it is asked less and less often.
    if (attempt > 0) await clock.sleep(backoffMs(this.policy(), attempt - 1, this.options.random), signal);
    const answer = await client.get(request, { signal, deadlineMs: plainDeadlineMs });
    const count = this.earlyAnswers;
    const settling = this.judge(answer, false, signal);
    this.earlyAnswers = count;
    if (settling !== undefined) await settling;
  }

  /** Another body under the same index: what the token may see has changed, not the catalog. */
  private contradict(answer: ConsulAnswer): void {
    this.failures = 0;
    this.held = true;
    this.index = this.seen;
    const filtered = isFiltered(answer.headers) ? ", and it says that ACLs filter it" : "";
    this.setStale(
      `Consul's answer to ${this.options.request.path} changed while its index ${this.seen} did not${filtered}: check the rights of consul.token`,
    );
  }

  private settle(value: T, answeredAt: number, signal: AbortSignal): Promise<void> | undefined {
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
    this.held = true;
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

  private async doubt(value: T, answeredAt: number, signal: AbortSignal): Promise<void> {
    this.held = true;
    if (this.refillLeftMs() > 0) {
      this.setStale(refillReason);
      return;
    }
    const confirmed = (await this.options.confirm?.(signal)) ?? true;
    if (confirmed !== true) {
      this.setStale(confirmed);
      return;
    }
    this.believe(value, answeredAt);
  }

  private believe(value: T, answeredAt: number): void {
    const changed = this.believed === undefined || !this.options.same(this.believed, value);
    const wasStale = this.staleReason !== undefined;
    this.held = false;
    this.believed = value;
    this.staleReason = undefined;
    this.options.onValue(value, { changed, answeredAt });
    if (wasStale) this.options.onFreshness(undefined);
  }

  private indexOf(answer: ConsulAnswer): bigint {
    const index = indexOf(answer.headers);
    if (index !== undefined) return index;
    throw new SluiceError(
      "ERR_CONSUL_ANSWER_INVALID",
      `Consul's answer to ${this.options.request.path} has no index, which is how it says that it has no data`,
      { retryable: true, details: { noData: true } },
    );
  }

  private setStale(reason: string): void {
    if (this.staleReason === reason) return;
    this.noteStale(reason);
    this.options.onFreshness(reason);
  }

  private noteStale(reason: string): void {
    if (this.staleReason === undefined) {
      this.options.logger.warn({ watch: this.options.name, reason }, "keeping the last good answer of Consul");
    }
    this.staleReason = reason;
  }

  private async recover(error: SluiceError, signal: AbortSignal): Promise<void> {
    this.errors += 1;
    this.index = 0n;
    if (error.code === "ERR_CONSUL_UNREACHABLE" || (refusalDetails(error).status ?? 0) >= 500) this.lost = true;
    this.setStale(error.message);
    this.options.onFailure?.(error);
    const policy = isDefiniteRefusal(error) ? refusalBackoff : isTurnedAway(error) ? turnedAwayBackoff : this.policy();
    const waitMs = Math.max(
      backoffMs(policy, this.failures, this.options.random),
      refusalDetails(error).retryAfterMs ?? 0,
    );
    this.failures += 1;
    try {
      await this.options.clock.sleep(waitMs, signal);
    } catch {
      // Only the signal ends a sleep early; the loop sees it.
    }
  }

  private policy(): BackoffPolicy {
    return this.options.client.endpoint.loopback ? localBackoff : remoteBackoff;
  }
}

/** The servers add up to a sixteenth of `wait`, and hold a request while they have no leader. */
export function blockingDeadlineMs(waitMs: number): number {
  return 1.13 * waitMs + rpcHoldMs + deadlineSlackMs;
}
