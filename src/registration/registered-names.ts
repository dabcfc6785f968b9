import { registeredMeta } from "../settings/options/registered-meta.ts";
import { backoffMs } from "../support/backoff.ts";
import type { Clock } from "../support/clock.ts";
import { type SluiceError, toSluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";
import { Wake } from "../support/wake.ts";
import type { AdvertisedPlace } from "./advertised-place.ts";
import type { Registered, Registration, ServiceAgent } from "./agent-client.ts";

export interface RegisteredNamesOptions {
  readonly agent: ServiceAgent;
  readonly place: AdvertisedPlace;
  /** The machine's name: with the port it tells several HAProxies of one agent apart. */
  readonly host: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
}

/** An agent may forget (a restart without its data), so what is there is looked at again so often. */
const lookAgainMs = 10_000;
/** An agent that connects in vain for so long forgets the name: HAProxy is gone, and nobody is there to say so. */
const forgetAfterMs = 600_000;
const retry = { baseMs: 500, maxMs: 30_000 };
/** How long the last deregistrations may take. */
const farewellMs = 2_000;

/**
 * Keeps HAProxy registered with the local agent under the names that services ask for (Fabio's `register=`), and takes
 * away those nobody asks for any more. Each pass starts from what the agent has and touches only what is ours.
 */
export class RegisteredNames {
  private readonly options: RegisteredNamesOptions;
  private readonly own: string;
  private readonly bell = new Wake();
  private wanted: readonly string[] | undefined;

  constructor(options: RegisteredNamesOptions) {
    this.options = options;
    this.own = `${options.host}:${options.place.port}`;
  }

  /** What is wanted from now on; the newest counts. */
  want(names: readonly string[]): void {
    if (this.wanted !== undefined && sameNames(this.wanted, names)) return;
    this.wanted = names;
    this.bell.ring();
  }

  /**
   * Runs until the signal aborts; what is registered stays, for HAProxy may go on without its operator. Never rejects.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, random } = this.options;
    let failures = 0;
    while (!signal.aborted) {
      const { wanted } = this;
      let waitMs: number | undefined;
      try {
        if (wanted !== undefined) await this.settle(wanted, signal);
        if (failures > 0) logger.info({ names: wanted }, "the names to register are registered again");
        failures = 0;
        // While nothing is wanted there is nothing that could be forgotten.
        waitMs = wanted === undefined || wanted.length === 0 ? undefined : lookAgainMs;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = toSluiceError(thrown);
        // Only leftovers of an earlier run could be left: not worth asking for again and again.
        if (wanted !== undefined && wanted.length > 0) {
          if (failures === 0) this.complain(wanted, error);
          waitMs = backoffMs(retry, failures, random);
          failures += 1;
        }
      }
      await this.bell.wait(clock, signal, waitMs);
    }
  }

  /** Takes away all that is ours: HAProxy stops. Never rejects, and takes 2 seconds at the longest. */
  async release(): Promise<void> {
    if (this.wanted === undefined || this.wanted.length === 0) return;
    const { clock, logger } = this.options;
    const deadline = new AbortController();
    const stopTimer = clock.timer(farewellMs, () => deadline.abort(new Error("no time left")));
    try {
      await this.settle([], deadline.signal);
    } catch (thrown) {
      logger.warn({ reason: toSluiceError(thrown).message }, "the registered names stay with the agent");
    } finally {
      stopTimer();
    }
  }

  private async settle(names: readonly string[], signal: AbortSignal): Promise<void> {
    const { agent, logger } = this.options;
    const wanted = new Map(names.map((name) => [idOf(name, this.own), this.registration(name)]));
    const there = (await agent.services(signal)).filter(({ meta }) => meta[registeredMeta] === this.own);
    for (const { id, name } of there) {
      if (wanted.has(id)) continue;
      await agent.deregister(id, signal);
      logger.info({ name, id }, `no longer registered as ${name}`);
    }
    const known = new Map(there.map((one) => [one.id, one]));
    for (const [id, registration] of wanted) {
      if (isSame(known.get(id), registration)) continue;
      await agent.register(registration, signal);
      logger.info({ name: registration.name, id }, `registered as ${registration.name}`);
    }
  }

  private registration(name: string): Registration {
    const { address, port, check } = this.options.place;
    return {
      id: idOf(name, this.own),
      name,
      ...(address !== undefined && { address }),
      port,
      meta: { [registeredMeta]: this.own },
      check: {
        kind: "tcp",
        name: "HAProxy accepts connections",
        address: check,
        intervalMs: 5_000,
        timeoutMs: 2_000,
        status: "passing",
        deregisterAfterMs: forgetAfterMs,
      },
    };
  }

  private complain(names: readonly string[], error: SluiceError): void {
    this.options.logger.warn({ names, reason: error.message }, "names cannot be registered with Consul; trying on");
  }
}

function idOf(name: string, own: string): string {
  return `sluice-${name}-${own}`;
}

function isSame(known: Registered | undefined, { name, address = "", port }: Registration): boolean {
  return known !== undefined && known.name === name && known.address === address && known.port === port;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, at) => name === b[at]);
}
