import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import type { SluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { indexOf, isFiltered } from "./answers.ts";
import { BlockingQuery, plainDeadlineMs, type WatchStatus } from "./blocking-query.ts";
import type { ConsulAnswer, ConsulClient } from "./consul-client.ts";
import { joinInstances, missingInstances, readInstances, sameInstances } from "./health.ts";
import { isDefiniteRefusal, isUnusableAnswer } from "./refusal.ts";
import { type CatalogSettings, exposes, healthRequest, isOddName, plainHealthRequest } from "./selection.ts";
import type { Slots } from "./slots.ts";
import type { CatalogService, Instance, ServiceKey } from "./types.ts";
import type { Witnesses } from "./witnesses.ts";

export interface ServiceWatchOptions {
  readonly key: ServiceKey;
  readonly client: ConsulClient;
  /** Bounds the short reads of all watches together. */
  readonly reads: Slots;
  readonly witnesses: Witnesses;
  readonly settings: Pick<Settings["consul"], "wait">;
  /** What of the settings says how instances are read, as it is now. */
  readonly reading: () => Pick<CatalogSettings, "fabioPrefix" | "zoneMeta">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** New instances, or the first answer. Called in the turn in which the answer arrived. */
  readonly onChange: (service: CatalogService, answeredAt: number) => void;
  /** The same instances, but how far they can be believed has changed. */
  readonly onFreshness: (service: CatalogService) => void;
  /** The first answer after failures. */
  readonly onRecovery: () => void;
  /** As in `BlockingQueryOptions`. */
  readonly silent: () => boolean;
}

/** Watches the health of one service until its signal aborts. */
export class ServiceWatch {
  private readonly options: ServiceWatchOptions;
  private readonly query: BlockingQuery<readonly Instance[]>;
  private current: CatalogService | undefined;
  /** Some entries of the last answer could not be used, and that was said. */
  private complained = false;
  private rereading = false;

  constructor(options: ServiceWatchOptions) {
    this.options = options;
    const { key, settings, client, clock, logger, random, reads } = options;
    this.query = new BlockingQuery<readonly Instance[]>({
      name: key.name,
      client,
      clock,
      logger,
      random,
      reads,
      waitMs: settings.wait,
      // Not `passing`: it hides maintenance. Default consistency: the leader's word, or the agent's streaming view.
      request: healthRequest(key.name),
      parse: (body, previous) => this.read(body, previous),
      same: sameInstances,
      vanished: (previous, next) => previous.length > 0 && next.length === 0,
      confirm: (signal) => this.confirmEmpty(signal),
      missing: missingInstances,
      join: joinInstances,
      onValue: (instances, { changed, answeredAt, reason }) => {
        if (!changed && this.current !== undefined) return;
        const asOf = clock.wall();
        const freshness = reason === undefined ? { asOf, stale: false } : { asOf, stale: true, reason };
        this.current = { key, instances, freshness };
        options.onChange(this.current, answeredAt);
      },
      onFreshness: (reason) => this.freshen(reason),
      onRecovery: options.onRecovery,
      silent: options.silent,
      onFailure: (error) => {
        if (this.current !== undefined || !isOwnFault(error, key.name)) return;
        const freshness = { asOf: clock.wall(), stale: true, reason: error.message, unanswered: true };
        this.current = { key, instances: [], freshness };
        options.onChange(this.current, clock.now());
      },
    });
  }

  /** Resolves when the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.query.run(signal);
  }

  /** Undefined before the first answer. */
  service(): CatalogService | undefined {
    return this.current;
  }

  status(): WatchStatus {
    return this.query.status();
  }

  /** As `BlockingQuery.doubt`; the next three as there. */
  doubt(reason: string): void {
    this.query.doubt(reason);
  }

  renew(): void {
    this.query.renew();
  }

  wake(): void {
    this.query.wake();
  }

  refresh(): Promise<void> {
    return this.query.refresh();
  }

  /**
   * Reads the service past any streaming view, and takes what that says for an answer like any other. While such a read
   * is under way, no second one is made.
   *
   * @throws SluiceError as `ConsulClient.get` and `readInstances`; the signal's reason when it aborts
   */
  async reread(signal: AbortSignal): Promise<void> {
    if (this.rereading) return;
    this.rereading = true;
    try {
      await this.query.offer(await this.readPlainly(signal), signal);
    } finally {
      this.rereading = false;
    }
  }

  /**
   * Asks a second time, and never the streaming view, whether the service has no instance. Who has left in good order
   * is looked up beside it, for whoever is told next that there is none.
   *
   * @returns true, or why that is not to be believed
   * @throws SluiceError as `ConsulClient.get` and `readInstances`
   */
  async confirmEmpty(signal: AbortSignal): Promise<true | string> {
    const [found] = await Promise.all([this.look(signal), this.options.witnesses.learnDeparted()]);
    if (typeof found === "string") return found;
    return found.length === 0 || `Consul said that no instance is left, and a second read lists ${found.length}`;
  }

  /**
   * Asks whether the service is still there and exposed, for the lists alone do not tell: they answer one after the
   * other, and the one by meta may have lost a service that is gone before the other does.
   *
   * @param byMeta whether a meta key exposes a service, beside its tags
   * @throws SluiceError as `ConsulClient.get` and `readInstances`
   */
  async confirmExposure(byMeta: boolean, signal: AbortSignal): Promise<"gone" | "exposed" | "not-exposed" | "unknown"> {
    const found = await this.look(signal);
    if (typeof found === "string") return "unknown";
    if (found.length === 0) return "gone";
    return found.some((instance) => exposes(instance, byMeta, this.options.reading().fabioPrefix))
      ? "exposed"
      : "not-exposed";
  }

  /** The instances, or why Consul's word that there are none is not to be believed. */
  private async look(signal: AbortSignal): Promise<readonly Instance[] | string> {
    const { key, witnesses } = this.options;
    const [answer, blind] = await Promise.all([this.readPlainly(signal), witnesses.blind()]);
    const { instances } = readInstances(answer.body, key);
    if (instances.length > 0) return instances;
    if (isFiltered(answer.headers))
      return "Consul lists no instance and says that ACLs filter its answer: check consul.token";
    if (indexOf(answer.headers) === undefined)
      return "Consul lists no instance and its answer has no index: it has no data";
    return blind ?? instances;
  }

  private readPlainly(signal: AbortSignal): Promise<ConsulAnswer> {
    const { key, client, reads } = this.options;
    const request = plainHealthRequest(key.name);
    return reads.run(() => client.get(request, { signal, deadlineMs: plainDeadlineMs }), signal);
  }

  private read(body: unknown, previous: readonly Instance[] | undefined): readonly Instance[] {
    const { instances, unusable } = readInstances(body, this.options.key, previous, this.options.reading());
    const [first] = unusable;
    if (first !== undefined && !this.complained) {
      this.options.logger.warn(
        { service: this.options.key.name, count: unusable.length, first },
        "instances are left out because Consul's entry of them does not have the documented shape; register them anew",
      );
    }
    this.complained = first !== undefined;
    return instances;
  }

  private freshen(reason: string | undefined): void {
    if (this.current === undefined || (reason === undefined && !this.current.freshness.stale)) return;
    const { clock, onFreshness } = this.options;
    const asOf = reason === undefined ? clock.wall() : (this.status().lastGoodAt ?? this.current.freshness.asOf);
    const { unanswered } = this.current.freshness;
    const freshness =
      reason === undefined
        ? { asOf, stale: false }
        : { asOf, stale: true, reason, ...(unanswered === undefined ? {} : { unanswered }) };
    this.current = { ...this.current, freshness };
    onFreshness(this.current);
  }
}

/**
 * Whether a failure is the service's own, so that it must not keep all others waiting: Consul took a name that it
 * cannot be asked for, or what it answers for this one cannot be read.
 */
export function isOwnFault(error: SluiceError, name: string): boolean {
  return isUnusableAnswer(error) || (isDefiniteRefusal(error) && isOddName(name));
}
