import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import type { Logger } from "../support/logger.ts";
import { indexOf, isFiltered, parseHealth } from "./answers.ts";
import { BlockingQuery, plainDeadlineMs, type WatchStatus } from "./blocking-query.ts";
import type { ConsulClient } from "./consul-client.ts";
import { normaliseInstances, sameInstance } from "./health.ts";
import { isDefiniteRefusal } from "./refusal.ts";
import { healthRequest, isOddName, plainHealthRequest } from "./selection.ts";
import type { Slots } from "./slots.ts";
import type { CatalogService, Instance, ServiceKey } from "./types.ts";

export interface ServiceWatchOptions {
  readonly key: ServiceKey;
  readonly client: ConsulClient;
  /** Bounds the short reads of all watches together. */
  readonly reads: Slots;
  readonly settings: Pick<Settings["consul"], "wait">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** New instances, or the first answer. Called in the turn in which the answer arrived. */
  readonly onChange: (service: CatalogService, answeredAt: number) => void;
  /** The same instances, but how far they can be believed has changed. */
  readonly onFreshness: (service: CatalogService) => void;
}

/** Watches the health of one service until its signal aborts. */
export class ServiceWatch {
  private readonly options: ServiceWatchOptions;
  private readonly query: BlockingQuery<readonly Instance[]>;
  private current: CatalogService | undefined;

  constructor(options: ServiceWatchOptions) {
    this.options = options;
    const { key, settings, client, clock, logger, random } = options;
    this.query = new BlockingQuery<readonly Instance[]>({
      name: key.name,
      client,
      clock,
      logger,
      random,
      waitMs: settings.wait,
      // Not `passing`: it hides maintenance. Default consistency: the leader's word, or the agent's streaming view.
      request: healthRequest(key.name),
      parse: (body, previous) => normaliseInstances(parseHealth(body), key, previous),
      same: sameInstances,
      vanished: (previous, next) => previous.length > 0 && next.length === 0,
      confirm: (signal) => this.confirmEmpty(signal),
      onValue: (instances, { changed, answeredAt }) => {
        if (!changed && this.current !== undefined) return;
        this.current = { key, instances, freshness: { asOf: clock.wall(), stale: false } };
        options.onChange(this.current, answeredAt);
      },
      onFreshness: (reason) => this.freshen(reason),
      onFailure: (error) => {
        if (this.current !== undefined || !isDefiniteRefusal(error) || !isOddName(key.name)) return;
        // Consul took this name and cannot be asked for it: it must not keep all others waiting.
        this.current = { key, instances: [], freshness: { asOf: clock.wall(), stale: true, reason: error.message } };
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

  /**
   * Asks a second time, and never the streaming view, whether the service has no instance.
   *
   * @returns true, or why that is not to be believed
   * @throws SluiceError as `ConsulClient.get` and `parseHealth`
   */
  async confirmEmpty(signal: AbortSignal): Promise<true | string> {
    const { key, client, reads } = this.options;
    const request = plainHealthRequest(key.name);
    const answer = await reads.run(() => client.get(request, { signal, deadlineMs: plainDeadlineMs }), signal);
    const left = normaliseInstances(parseHealth(answer.body), key).length;
    if (left > 0) return `Consul said that no instance is left, and a second read lists ${left}`;
    if (isFiltered(answer.headers))
      return "Consul lists no instance and says that ACLs filter its answer: check consul.token";
    if (indexOf(answer.headers) === undefined)
      return "Consul lists no instance and its answer has no index: it has no data";
    return true;
  }

  private freshen(reason: string | undefined): void {
    if (this.current === undefined || (reason === undefined && !this.current.freshness.stale)) return;
    const { clock, onFreshness } = this.options;
    const asOf = reason === undefined ? clock.wall() : (this.status().lastGoodAt ?? this.current.freshness.asOf);
    const freshness = reason === undefined ? { asOf, stale: false } : { asOf, stale: true, reason };
    this.current = { ...this.current, freshness };
    onFreshness(this.current);
  }
}

function sameInstances(a: readonly Instance[], b: readonly Instance[]): boolean {
  if (a === b) return true;
  return (
    a.length === b.length &&
    a.every((instance, index) => {
      const other = b[index];
      return other !== undefined && (instance === other || sameInstance(instance, other));
    })
  );
}
