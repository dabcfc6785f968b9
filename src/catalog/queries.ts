import { z } from "zod";
import { backoffMs } from "../support/backoff.ts";
import type { Clock } from "../support/clock.ts";
import { toSluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { invalidShape } from "./answers.ts";
import { plainDeadlineMs } from "./blocking-query.ts";
import { type ConsulClient, type ConsulRequest, pathSegment } from "./consul-client.ts";
import { readInstances, sameInstances } from "./health.ts";
import type { Slots } from "./slots.ts";
import type { CatalogService, Instance } from "./types.ts";

/** Prepared queries cannot be waited on (Consul API: Prepared Queries, "Execute": no blocking queries). */
const everyMs = 10_000;
const retry = { baseMs: 500, maxMs: everyMs };

/** The answer of `GET /v1/query/:name/execute`; its nodes are entries as those of `/v1/health/service/:service`. */
const answerSchema = z.object({
  Service: z.string(),
  Nodes: z.array(z.unknown()).nullable(),
  Datacenter: z.string().default(""),
});

/** How a prepared query is doing. */
export interface QueryStatus {
  readonly name: string;
  /** Wall-clock ms; left out before the first good answer. */
  readonly lastGoodAt?: number;
  /** Why what is known of it is old, or is nothing. */
  readonly reason?: string;
}

export interface QueriesOptions {
  readonly client: ConsulClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Bounds the short reads of all together. */
  readonly reads: () => Slots;
  readonly start: (task: Promise<void>) => void;
  readonly onChange: (name: string, answeredAt: number) => void;
}

interface Polled {
  readonly life: AbortController;
  service?: CatalogService;
  lastGoodAt?: number;
  reason?: string;
}

/** Asks prepared queries again and again. Each is a service of the query's name. */
export class Queries {
  private readonly options: QueriesOptions;
  private readonly polled = new Map<string, Polled>();

  constructor(options: QueriesOptions) {
    this.options = options;
  }

  /** Asks these from now on, and no others. @param here the datacenter we are in */
  follow(names: readonly string[], here: string): void {
    const wanted = new Set(names);
    for (const [name, { life }] of this.polled) {
      if (wanted.has(name)) continue;
      life.abort();
      this.polled.delete(name);
      this.options.onChange(name, this.options.clock.now());
    }
    for (const name of wanted) {
      if (this.polled.has(name)) continue;
      const polled: Polled = { life: new AbortController() };
      this.polled.set(name, polled);
      this.options.start(this.poll(name, here, polled));
    }
  }

  stop(): void {
    for (const { life } of this.polled.values()) life.abort();
  }

  /** What a query gave last, as a service; undefined before its first answer, or where it is not asked. */
  service(name: string): CatalogService | undefined {
    return this.polled.get(name)?.service;
  }

  /** Names of those that are asked. */
  names(): Iterable<string> {
    return this.polled.keys();
  }

  /** Sorted by name. */
  statuses(): readonly QueryStatus[] {
    return [...this.polled]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { lastGoodAt, reason }]) => ({
        name,
        ...(lastGoodAt !== undefined && { lastGoodAt }),
        ...(reason !== undefined && { reason }),
      }));
  }

  private async poll(name: string, here: string, polled: Polled): Promise<void> {
    const { clock, random, onChange } = this.options;
    const { signal } = polled.life;
    for (let failures = 0; !signal.aborted; ) {
      let waitMs = everyMs * (0.9 + 0.2 * random());
      try {
        const answeredAt = await this.ask(name, here, polled);
        failures = 0;
        if (answeredAt !== undefined && !signal.aborted) onChange(name, answeredAt);
      } catch (thrown) {
        if (signal.aborted) return;
        this.failed(name, polled, toSluiceError(thrown).message);
        waitMs = Math.max(100, backoffMs(retry, failures, random));
        failures += 1;
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** @returns when the answer had arrived, where it brought something new */
  private async ask(name: string, here: string, polled: Polled): Promise<number | undefined> {
    const { client, clock, logger, reads } = this.options;
    const { signal } = polled.life;
    const answer = await reads().run(
      () => client.get(queryRequest(name), { signal, deadlineMs: plainDeadlineMs }),
      signal,
    );
    const instances = readQuery(answer.body, name, here, polled.service?.instances);
    polled.lastGoodAt = clock.wall();
    const before = polled.service;
    if (polled.reason !== undefined) logger.info({ query: name }, "the prepared query is answered again");
    const wasStale = polled.reason !== undefined;
    delete polled.reason;
    if (before !== undefined && !wasStale && sameInstances(before.instances, instances)) return undefined;
    const key = { datacenter: here, name };
    polled.service = { key, instances, freshness: { asOf: clock.wall(), stale: false } };
    return answer.answeredAt;
  }

  private failed(name: string, polled: Polled, reason: string): void {
    const { clock, logger, onChange } = this.options;
    if (polled.reason === undefined) logger.warn({ query: name, reason }, "keeping what the prepared query gave last");
    polled.reason = reason;
    const { service } = polled;
    if (service === undefined || service.freshness.stale) return;
    polled.service = { ...service, freshness: { asOf: service.freshness.asOf, stale: true, reason } };
    onChange(name, clock.now());
  }
}

export function queryRequest(name: string): ConsulRequest {
  return { path: `/query/${pathSegment(name)}/execute` };
}

/**
 * The instances of a prepared query's answer, which may be of another datacenter than the one we are in.
 *
 * @throws SluiceError ERR_CONSUL_ANSWER_INVALID
 */
export function readQuery(
  body: unknown,
  name: string,
  here: string,
  previous?: readonly Instance[],
): readonly Instance[] {
  const answer = answerSchema.safeParse(body);
  if (!answer.success) throw invalidShape(`/query/${name}/execute`, "it has no Service and Nodes");
  const { Service: entriesOf, Nodes: nodes, Datacenter: datacenter } = answer.data;
  const key = { datacenter: datacenter === "" ? here : datacenter, name };
  return readInstances(nodes ?? [], key, previous, { entriesOf, here }).instances;
}
