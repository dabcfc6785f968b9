import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import type { SluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { parseList } from "./answers.ts";
import { BlockingQuery, type WatchStatus } from "./blocking-query.ts";
import type { ConsulClient } from "./consul-client.ts";
import {
  type Expose,
  listRequest,
  metaListRequest,
  namesByMeta,
  readList,
  type ServiceList,
  sameList,
} from "./selection.ts";

const listName = "catalog/services";
const metaListName = "catalog/services by meta";
/**
 * The lists answer at each registration anywhere, at the same moment as the watch of the service it is about: that one
 * goes first. What the lists tell, a service more or less, takes a reload or a second read anyway.
 */
const yieldMs = 5;
/**
 * Consul's servers look at every instance for every key, at each registration anywhere: 94 ms for 3,000 instances
 * (measured with 1.19.2), where the plain list takes 9 ms.
 */
const metaPace = { burst: 3, perSecond: 1 };
const none: ReadonlySet<string> = new Set();

export interface ListWatchOptions {
  readonly client: ConsulClient;
  readonly settings: Pick<Settings["consul"], "wait">;
  /** The setting `services.fabioPrefix` as it is now. */
  readonly fabioPrefix: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** One of the lists says something new. */
  readonly onChange: (answeredAt: number) => void;
  /** The first answer after failures. */
  readonly onRecovery: () => void;
  /** As in `BlockingQueryOptions`. */
  readonly silent: () => boolean;
  /**
   * The index of the list went back, which it does at once when a snapshot is restored. A service's streaming view is
   * restored too, and yet holds its question until an index comes that is beyond the old one, or the time is up.
   */
  readonly onWentBack: () => void;
}

/**
 * Watches which services there are: the list with the tags, and the list of those that an exposing meta key selects,
 * which an agent may be too old to give.
 */
export class ListWatch {
  private readonly options: ListWatchOptions;
  private readonly query: BlockingQuery<ServiceList>;
  private readonly metaQuery: BlockingQuery<ReadonlySet<string> | "unfiltered">;
  private metaRunning = false;
  /** The agent does not answer the list by meta: do without it, until it does. */
  private withoutMeta = false;

  constructor(options: ListWatchOptions) {
    this.options = options;
    const { client, clock, logger, random, settings } = options;
    const common = {
      client,
      clock,
      logger,
      random,
      waitMs: settings.wait,
      yieldMs,
      onFreshness: () => undefined,
      onRecovery: options.onRecovery,
      silent: options.silent,
    };
    this.query = new BlockingQuery<ServiceList>({
      ...common,
      name: listName,
      request: listRequest,
      onWentBack: options.onWentBack,
      scout: true,
      parse: (body) => readList(body, options.fabioPrefix()),
      same: sameList,
      onValue: (_list, { changed, answeredAt }) => {
        if (changed) options.onChange(answeredAt);
      },
    });
    this.metaQuery = new BlockingQuery<ReadonlySet<string> | "unfiltered">({
      ...common,
      name: metaListName,
      pace: metaPace,
      request: metaListRequest,
      parse: (body) => namesByMeta(parseList(body)) ?? "unfiltered",
      same: sameNames,
      onValue: (names, { changed, answeredAt }) => {
        if (names === "unfiltered") this.goWithoutMeta("it ignores the filter, as agents before 1.14 do");
        if (changed) options.onChange(answeredAt);
      },
      onFailure: (error) => this.onMetaFailure(error),
    });
  }

  /** Resolves when the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.query.run(signal);
  }

  runMeta(signal: AbortSignal): Promise<void> {
    this.metaRunning = true;
    return this.metaQuery.run(signal);
  }

  /** As `BlockingQuery.doubt`, of both lists; the next three as there. */
  doubt(reason: string): void {
    for (const query of this.queries()) query.doubt(reason);
  }

  renew(): void {
    for (const query of this.queries()) query.renew();
  }

  wake(): void {
    for (const query of this.queries()) query.wake();
  }

  async refresh(): Promise<void> {
    await Promise.all(this.queries().map((query) => query.refresh()));
  }

  metaRuns(): boolean {
    return this.metaRunning;
  }

  /** Undefined before the first answer. */
  list(): ServiceList | undefined {
    return this.query.value();
  }

  /** Names that a meta key selects; undefined before the first answer of an agent that may give one. */
  byMeta(expose: Expose): ReadonlySet<string> | undefined {
    if (expose === "all") return none;
    const names = this.metaQuery.value();
    if (names === undefined) return this.withoutMeta ? none : undefined;
    return names === "unfiltered" ? none : names;
  }

  /** Connections that the lists hold. */
  count(): number {
    return this.metaRunning ? 2 : 1;
  }

  /** Whether the agent tells which services a meta key selects. */
  knowsMeta(): boolean {
    const names = this.metaQuery.value();
    return names !== undefined && names !== "unfiltered";
  }

  /** As `BlockingQuery.refillLeftMs`, of the list that has longer to go. */
  refillLeftMs(): number {
    return Math.max(this.query.refillLeftMs(), this.metaQuery.refillLeftMs());
  }

  waitingFor(expose: Expose): readonly string[] {
    const waiting: string[] = [];
    if (this.list() === undefined) waiting.push(listName);
    if (this.byMeta(expose) === undefined) waiting.push(metaListName);
    return waiting;
  }

  statuses(): readonly WatchStatus[] {
    return this.queries().map((query) => query.status());
  }

  private queries() {
    return this.metaRunning ? [this.query, this.metaQuery] : [this.query];
  }

  private onMetaFailure(error: SluiceError): void {
    // While the plain list is not answered either, it is Consul that is ill, not the filter that is unknown.
    const listFine = this.list() !== undefined && !this.query.status().stale;
    if (error.code !== "ERR_CONSUL_STATUS" || !listFine || this.withoutMeta || this.metaQuery.value() !== undefined)
      return;
    this.goWithoutMeta(error.message);
    this.options.onChange(this.options.clock.now());
  }

  private goWithoutMeta(reason: string): void {
    if (this.withoutMeta) return;
    this.withoutMeta = true;
    this.options.logger.info({ reason }, "the agent does not list services by meta; only tags expose a service");
  }
}

function sameNames(a: ReadonlySet<string> | "unfiltered", b: ReadonlySet<string> | "unfiltered"): boolean {
  if (a === "unfiltered" || b === "unfiltered") return a === b;
  return a.size === b.size && [...a].every((name) => b.has(name));
}
