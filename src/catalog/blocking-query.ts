import { type BackoffPolicy, backoffMs } from "../support/backoff.ts";
import { SluiceError, toSluiceError } from "../support/errors.ts";
import { indexOf, isFiltered } from "./answers.ts";
import { Belief, type BeliefOptions, type Judgement } from "./belief.ts";
import type { ConsulAnswer, ConsulClient, ConsulRequest } from "./consul-client.ts";
import { isDefiniteRefusal, isTooLarge, isTurnedAway, refusalDetails } from "./refusal.ts";
import type { Slots } from "./slots.ts";
import { TokenBucket } from "./token-bucket.ts";

/** How long the servers hold a request while they have no leader: `rpc_hold_timeout`, Consul's default. */
const rpcHoldMs = 7_000;
const deadlineSlackMs = 3_000;
/** Deadline of a request that does not block, ms. */
export const plainDeadlineMs = rpcHoldMs + deadlineSlackMs;

/** While an answer is held back, Consul is asked again at least this often. */
const heldWaitMs = 10_000;

const localBackoff: BackoffPolicy = { baseMs: 50, maxMs: 500 };
const remoteBackoff: BackoffPolicy = { baseMs: 100, maxMs: 10_000 };
/** A request that is refused for what it is will not be answered soon. */
const refusalBackoff: BackoffPolicy = { baseMs: 1_000, maxMs: 30_000 };
/** A token without rights, a limit that is reached, answers too large: hundreds of watches meet it at the same moment. */
const turnedAwayBackoff: BackoffPolicy = { baseMs: 500, maxMs: 5_000 };
/** While Consul gives no answer at all, which others find out, and tell when that is over. */
const silentBackoff: BackoffPolicy = { baseMs: 10_000, maxMs: 30_000 };
/** The one that finds out for all of them when that is over. */
const scoutBackoff: BackoffPolicy = { baseMs: 250, maxMs: 500 };

export interface BlockingQueryOptions<T> extends Omit<BeliefOptions<T>, "path"> {
  readonly client: Pick<ConsulClient, "get" | "endpoint">;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
  readonly request: ConsulRequest;
  /** The longest Consul may hold a request, ms. */
  readonly waitMs: number;
  /** How long an answer waits before it is looked at, ms: for what must not stand in the way of others. Default: not at all. */
  readonly yieldMs?: number;
  /** How often it is asked at most: so many at once, then so many a second. Default: 5, 10. */
  readonly pace?: { readonly burst: number; readonly perSecond: number };
  /** Bounds what is asked anew at the same moment as all others. Default: not bounded. */
  readonly reads?: Slots;
  /** Asks again soon even where Consul turns requests away, for the others, which are woken by its first answer. */
  readonly scout?: boolean;
  /** Whether Consul is known to give no answer at all; `wake` or `renew` is called when it does again. Default: never. */
  readonly silent?: () => boolean;
  /** Normalises; gets the believed value, so that unchanged parts keep their identity. Throws on a wrong shape. */
  readonly parse: (body: unknown, previous: T | undefined) => T;
  /** After each failed request; the query goes on by itself. */
  readonly onFailure?: (error: SluiceError) => void;
  /** The first answer after failures: others that failed may be answered too. */
  readonly onRecovery?: () => void;
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
 * proxy in front of it answers, the last good value stays and the next question is asked after a wait that fits. What
 * to believe of the answers is `Belief`'s.
 */
export class BlockingQuery<T> {
  private readonly options: BlockingQueryOptions<T>;
  private readonly belief: Belief<T>;
  private readonly bucket: TokenBucket;
  /** What the next question carries; 0: answer at once. */
  private index = 0n;
  private earlyAnswers = 0;
  private failures = 0;
  private errors = 0;
  /** Ends the request or the sleep under way, and nothing else. */
  private turn = new AbortController();
  private sleeping = false;
  /** The signal it runs by. */
  private life: AbortSignal | undefined;
  /** All watches ask at once: this question takes its turn. */
  private inTurn = false;

  constructor(options: BlockingQueryOptions<T>) {
    this.options = options;
    this.belief = new Belief({ ...options, path: options.request.path });
    const { clock, random, pace = { burst: 5, perSecond: 10 } } = options;
    this.bucket = new TokenBucket({ ...pace, clock, random });
  }

  /** Resolves when the signal aborts, never before, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.life = signal;
    const onAbort = () => this.turn.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    while (!signal.aborted) {
      if (this.turn.signal.aborted) this.turn = new AbortController();
      const turn = this.turn.signal;
      try {
        const delayMs = this.bucket.take();
        if (delayMs > 0) await this.options.clock.sleep(delayMs, turn);
        await this.ask(turn);
      } catch (thrown) {
        if (!turn.aborted) await this.recover(toSluiceError(thrown), turn);
      }
    }
    signal.removeEventListener("abort", onAbort);
  }

  /** The value that is believed; undefined before the first. */
  value(): T | undefined {
    return this.belief.value();
  }

  status(): WatchStatus {
    const reason = this.belief.reason();
    const lastGoodAt = this.belief.lastGoodAt();
    return {
      name: this.options.name,
      stale: reason !== undefined,
      index: this.belief.index().toString(),
      answers: this.belief.answers(),
      errors: this.errors,
      ...(lastGoodAt === undefined ? {} : { lastGoodAt }),
      ...(reason === undefined ? {} : { reason }),
    };
  }

  /** Ms for which it is not to be believed that something is gone, because the index went back a short while ago; 0: believe it. */
  refillLeftMs(): number {
    return this.belief.refillLeftMs();
  }

  /** Consul has fallen silent: the value is stale until the next good answer. */
  doubt(reason: string): void {
    this.belief.doubtQuietly(reason);
  }

  /**
   * Gives up the request under way, which may wait on a connection that is dead for good, and asks anew at once, without
   * an index and in turn with all others that do.
   */
  renew(): void {
    this.belief.lose();
    this.index = 0n;
    this.inTurn = true;
    this.turn.abort(new Error("asked anew"));
  }

  /**
   * Asks anew beside the request under way, which is thought to be alive, in turn with all others that do: the answer
   * makes the value fresh again. Never rejects.
   */
  async refresh(): Promise<void> {
    const signal = this.life;
    if (signal === undefined || signal.aborted) return;
    if (this.sleeping) {
      this.wake();
      return;
    }
    const { client, request, reads } = this.options;
    const ask = () => client.get(request, { signal, deadlineMs: plainDeadlineMs });
    try {
      await this.offer(await (reads === undefined ? ask() : reads.run(ask, signal)), signal);
    } catch {
      if (!signal.aborted) this.renew();
    }
  }

  /** Ends the wait after a failure, if it waits for that. */
  wake(): void {
    if (!this.sleeping) return;
    this.inTurn = true;
    this.turn.abort(new Error("woken"));
  }

  /**
   * Takes an answer to the same question that was asked for beside the watch: without an index, past any streaming view.
   *
   * @throws SluiceError ERR_CONSUL_ANSWER_INVALID, and what `parse` and `confirm` throw
   */
  async offer(answer: ConsulAnswer, signal: AbortSignal): Promise<void> {
    const judgement = await this.judge(answer, { early: false, plain: true }, signal);
    // The request under way may wait for an index of another catalog.
    if (judgement === "anew") this.renew();
  }

  private async ask(signal: AbortSignal): Promise<void> {
    const { client, clock, request, reads } = this.options;
    const blocking = this.index > 0n;
    const { waitMs: longestMs } = this.options;
    const waitMs = Math.round((this.belief.held() ? Math.min(heldWaitMs, longestMs) : longestMs) * this.jitter());
    const query = blocking ? { ...request.query, index: this.index.toString(), wait: `${waitMs}ms` } : request.query;
    const whole = { ...request, ...(query === undefined ? {} : { query }) };
    const limits = { signal, deadlineMs: blocking ? blockingDeadlineMs(waitMs) : plainDeadlineMs };
    const inTurn = this.inTurn && !blocking && reads !== undefined;
    const askedAt = clock.now();
    const answer = await (inTurn ? reads.run(() => client.get(whole, limits), signal) : client.get(whole, limits));
    this.inTurn = false;
    const { yieldMs } = this.options;
    if (blocking && yieldMs !== undefined) await clock.sleep(yieldMs, signal);
    const early = blocking && answer.answeredAt - askedAt < 0.9 * waitMs;
    const judging = this.judge(answer, { early, plain: false }, signal);
    // Awaiting nothing would cost a turn of the event queue between this answer and the next question.
    const judgement = typeof judging === "string" ? judging : await judging;
    if (judgement === "reread") await this.readAnew(signal);
    else this.goOn(judgement);
  }

  /** +-10 %, so that watches which began together do not stay together: streaming answers have no jitter of their own. */
  private jitter(): number {
    return 0.9 + 0.2 * this.options.random();
  }

  private judge(
    answer: ConsulAnswer,
    how: { readonly early: boolean; readonly plain: boolean },
    signal: AbortSignal,
  ): Judgement | Promise<Judgement> {
    const { headers, body, answeredAt } = answer;
    const index = this.indexOf(answer);
    const value = this.options.parse(body, this.belief.value());
    return this.belief.judge({ value, index, answeredAt, filtered: isFiltered(headers), ...how }, signal);
  }

  private goOn(judgement: Judgement): void {
    this.index = judgement === "anew" ? 0n : this.belief.index();
    if (judgement === "anew") return;
    const failed = this.failures > 0;
    this.failures = 0;
    if (judgement === "good") this.earlyAnswers = 0;
    if (failed) this.options.onRecovery?.();
  }

  /**
   * Consul gave the same index before the time was up: after a restored snapshot the old data may be served under the
   * old index for ever, and only a read without an index tells.
   */
  private async readAnew(signal: AbortSignal): Promise<void> {
    const { client, clock, request } = this.options;
    const attempt = this.earlyAnswers;
    this.earlyAnswers += 1;
    // The first one is answered at once; a server that keeps doing it is asked less and less often.
    if (attempt > 0) await clock.sleep(backoffMs(this.policy(), attempt - 1, this.options.random), signal);
    const answer = await client.get(request, { signal, deadlineMs: plainDeadlineMs });
    const count = this.earlyAnswers;
    this.goOn(await this.judge(answer, { early: false, plain: false }, signal));
    this.earlyAnswers = count;
  }

  private indexOf(answer: ConsulAnswer): bigint {
    const index = indexOf(answer.headers);
    if (index !== undefined) return index;
    // A store that nothing was ever written to has this index, and holds a query on it until something is (measured).
    if (answer.body === undefined && answer.headers["x-consul-index"] === "1") return 1n;
    throw new SluiceError(
      "ERR_CONSUL_ANSWER_INVALID",
      `Consul's answer to ${this.options.request.path} has no index, which is how it says that it has no data`,
      { retryable: true, details: { noData: true } },
    );
  }

  private async recover(error: SluiceError, signal: AbortSignal): Promise<void> {
    this.errors += 1;
    this.index = 0n;
    if (error.code === "ERR_CONSUL_UNREACHABLE" || (refusalDetails(error).status ?? 0) >= 500) this.belief.lose();
    this.belief.setStale(error.message);
    this.options.onFailure?.(error);
    const waitMs = Math.max(
      backoffMs(this.policyAfter(error), this.failures, this.options.random),
      refusalDetails(error).retryAfterMs ?? 0,
    );
    this.failures += 1;
    this.sleeping = true;
    // Only its end, or a call to ask again now, ends the sleep early; the loop sees which.
    await this.options.clock.sleep(waitMs, signal).catch(() => undefined);
    this.sleeping = false;
  }

  private policyAfter(error: SluiceError): BackoffPolicy {
    if (isDefiniteRefusal(error)) return refusalBackoff;
    if (this.options.silent?.() === true) return silentBackoff;
    if (isTurnedAway(error) || isTooLarge(error)) return this.options.scout === true ? scoutBackoff : turnedAwayBackoff;
    return this.policy();
  }

  private policy(): BackoffPolicy {
    return this.options.client.endpoint.loopback ? localBackoff : remoteBackoff;
  }
}

/** The servers add up to a sixteenth of `wait`, and hold a request while they have no leader. */
export function blockingDeadlineMs(waitMs: number): number {
  return 1.13 * waitMs + rpcHoldMs + deadlineSlackMs;
}
