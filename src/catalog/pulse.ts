import type { Clock } from "../support/clock.ts";
import { type SluiceError, toSluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import type { ConsulClient } from "./consul-client.ts";
import { refusalDetails } from "./refusal.ts";

const everyMs = 1_000;
const deadlineMs = 2_000;
/** For the second look before an outage is said: a stall of our own looks like a silence of Consul's. */
const secondLookMs = 500;
/** While Consul is away: a new attempt, on a connection of its own, beside those that may wait on a dead path. */
const retryEveryMs = 300;
/** How long the beat from before the outage may come after one that was asked now. */
const lateMs = 100;
/** How long our own stall may keep the answer on an old connection from us, once a new one is answered. */
const stallMs = 1_000;
/** The longest that beat is waited for. */
const outlastMs = 24 * 60 * 60 * 1_000;

export interface PulseOptions {
  /** A client of its own: its one connection is kept, and none of the watches waits for it. */
  readonly client: ConsulClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Consul does not answer, or not rightly; again when the reason is another one. */
  readonly onLost: (reason: string) => void;
  /**
   * It answers again.
   *
   * @param survived whether a connection from before the outage is answered too; else whatever was asked before may wait
   *   on one that is dead for good
   */
  readonly onBack: (survived: boolean) => void;
}

/** Why Consul is not to be believed right now. */
export interface Outage {
  /** Wall-clock ms of the last sign that all was well. */
  readonly since: number;
  readonly reason: string;
}

/** What is wrong with a beat. `kind` tells outages apart, for the words change more often. */
interface Trouble {
  readonly kind: "silent" | "leaderless" | "unreadable";
  readonly what: string;
}

const unanswered: Trouble = { kind: "silent", what: `no answer within ${deadlineMs} ms` };

/**
 * Asks Consul once a second for its leader (Consul API: Status), which takes no rights and no work. A blocking query is
 * silent for a minute whether all is quiet or Consul is frozen; this tells the two apart.
 */
export class Pulse {
  private readonly options: PulseOptions;
  private fineAt: number;
  private current: (Outage & { readonly kind: Trouble["kind"] }) | undefined;

  constructor(options: PulseOptions) {
    this.options = options;
    this.fineAt = options.clock.wall();
  }

  /** Whether Consul gives no answer at all, so that nothing is won by asking it. */
  silent(): boolean {
    return this.current?.kind === "silent";
  }

  /** Undefined while Consul answers. */
  outage(): Outage | undefined {
    return this.current === undefined ? undefined : { since: this.current.since, reason: this.current.reason };
  }

  /** Resolves when the signal aborts, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.options;
    while (!signal.aborted) {
      const kept = new AbortController();
      const onAbort = () => kept.abort();
      signal.addEventListener("abort", onAbort, { once: true });
      // Not given up while Consul is silent: whether it is answered at last tells of all connections of its age.
      const first = this.beat(outlastMs, kept.signal);
      await this.follow(first, signal);
      kept.abort();
      signal.removeEventListener("abort", onAbort);
      await first;
      if (signal.aborted) return;
      this.fineAt = clock.wall();
      await clock.sleep(everyMs, signal).catch(() => undefined);
    }
  }

  /** Resolves when all is well, or the signal aborts. */
  private async follow(first: Promise<Trouble | undefined>, signal: AbortSignal): Promise<void> {
    const trouble = await this.within(first, deadlineMs);
    if (trouble === undefined || signal.aborted) return;
    const again = await this.beat(secondLookMs, signal);
    if (signal.aborted) return;
    if (again !== undefined) {
      this.lose(again);
      await this.untilBack(signal);
      if (signal.aborted) return;
      this.options.logger.info({ since: iso(this.current?.since ?? this.fineAt) }, "Consul answers again");
      this.current = undefined;
      const late = await this.within(first, lateMs);
      if (!signal.aborted) this.options.onBack(late?.kind !== "silent");
    } else if (trouble === unanswered) {
      // A new connection is answered, and the old one is not: others may have died with it.
      const late = await this.within(first, stallMs);
      if (late === unanswered && !signal.aborted) this.options.onBack(false);
    }
  }

  private async untilBack(signal: AbortSignal): Promise<void> {
    const { clock } = this.options;
    const back = new AbortController();
    const either = AbortSignal.any([signal, back.signal]);
    const attempts = new Set<Promise<void>>();
    while (!either.aborted) {
      const attempt: Promise<void> = this.beat(deadlineMs, either).then((trouble) => {
        attempts.delete(attempt);
        if (either.aborted) return;
        if (trouble === undefined) back.abort();
        else this.lose(trouble);
      });
      attempts.add(attempt);
      await clock.sleep(retryEveryMs, either).catch(() => undefined);
    }
    await Promise.all(attempts);
  }

  /** @returns what comes of the beat, or `unanswered` where nothing has come in that time */
  private within(beat: Promise<Trouble | undefined>, ms: number): Promise<Trouble | undefined> {
    return new Promise((resolve) => {
      const cancel = this.options.clock.timer(ms, () => resolve(unanswered));
      void beat.then((trouble) => {
        cancel();
        resolve(trouble);
      });
    });
  }

  private lose({ kind, what }: Trouble): void {
    if (this.current?.kind === kind) return;
    const since = this.current?.since ?? this.fineAt;
    const reason = `${sentence[kind]} since ${iso(since)}: ${what}`;
    this.current = { since, reason, kind };
    this.options.logger.warn({ reason }, "keeping all that Consul said last");
    this.options.onLost(reason);
  }

  /** @returns undefined where all is well */
  private async beat(withinMs: number, signal: AbortSignal): Promise<Trouble | undefined> {
    try {
      const { body } = await this.options.client.get({ path: "/status/leader" }, { signal, deadlineMs: withinMs });
      if (body === "") return { kind: "leaderless", what: "it knows of none" };
      if (typeof body === "string" && /:\d+$/.test(body)) return undefined;
      return { kind: "unreadable", what: "what it says of its leader is no address" };
    } catch (thrown) {
      return troubleOf(toSluiceError(thrown));
    }
  }
}

const sentence = {
  silent: "Consul has not answered",
  leaderless: "Consul has had no leader",
  unreadable: "Consul's answers could not be read",
} as const;

/** A refusal is an answer: what the token or the number of connections lets through is for the watches to find out. */
function troubleOf(error: SluiceError): Trouble | undefined {
  const { status } = refusalDetails(error);
  if (status !== undefined) return status >= 500 ? { kind: "leaderless", what: error.message } : undefined;
  return { kind: error.code === "ERR_CONSUL_ANSWER_INVALID" ? "unreadable" : "silent", what: error.message };
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
