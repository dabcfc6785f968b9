import { backoffMs } from "../../support/backoff.ts";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, toSluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import type { ProbeAnswer } from "../../support/tcp-probe.ts";
import type { Registered, Registration, ServiceAgent } from "../agent-client.ts";

export interface KeptRegistrationOptions {
  readonly agent: ServiceAgent;
  readonly id: string;
  /** What is registered, found out anew at each try: the agent's name may not resolve yet. */
  readonly registration: () => Promise<Registration>;
  /** At least 1. */
  readonly tries: number;
  readonly retryIntervalMs: number;
  /** How often the agent is asked whether it still has it, and a TTL is renewed. */
  readonly lookAgainMs: number;
  /** Whether it is well: asked before it is registered once more. */
  readonly ready: () => Promise<boolean>;
  /** Of a TTL check: whether the service's port answers. */
  readonly port?: () => Promise<ProbeAnswer>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
}

const retry = { baseMs: 500, maxMs: 5_000 };
/** How long maintenance and deregistration may take. An agent that is gone must not hold up the end of a service. */
const farewellMs = 2_000;

/**
 * One service of the local agent: entered with so many tries, kept while it runs, taken out in two steps. The one
 * state an agent loses is looked at again and again (level-triggered): an agent that was restarted without its data
 * has it back within `lookAgainMs`.
 */
export class KeptRegistration {
  private readonly options: KeptRegistrationOptions;
  /** What was registered last. */
  private entered: Registration | undefined;
  /** It may be with the agent: a try was made. */
  private tried = false;
  private leaving = false;

  constructor(options: KeptRegistrationOptions) {
    this.options = options;
  }

  /** What was registered; undefined before. */
  get registered(): Registration | undefined {
    return this.entered;
  }

  /**
   * Registers, whatever the agent has under this id: an earlier run may have left it in maintenance.
   *
   * @throws {SluiceError} ERR_REGISTER_REFUSED after so many tries; the signal's reason when it aborts
   */
  async enter(signal: AbortSignal): Promise<void> {
    const { id, tries, retryIntervalMs, clock, logger } = this.options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.register(signal);
        logger.info({ id, ...placeOf(this.entered) }, "registered");
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        const { message } = toSluiceError(thrown);
        if (attempt >= tries) {
          const times = tries === 1 ? "once" : `${tries} times`;
          throw new SluiceError("ERR_REGISTER_REFUSED", `${id} was not registered, tried ${times}: ${message}`, {
            cause: thrown,
            details: { id, tries },
          });
        }
        logger.warn({ id, attempt, tries, reason: message }, "cannot be registered; trying again");
        await clock.sleep(retryIntervalMs, signal);
      }
    }
  }

  /** Keeps it registered, and its TTL renewed, until the signal aborts. Never rejects. */
  async keep(signal: AbortSignal): Promise<void> {
    const { id, lookAgainMs, clock, logger, random } = this.options;
    let failures = 0;
    let waitMs = lookAgainMs;
    while (!signal.aborted) {
      await clock.sleep(waitMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.settle(signal);
        if (failures > 0) logger.info({ id }, "the agent answers again");
        failures = 0;
        waitMs = lookAgainMs;
      } catch (thrown) {
        if (signal.aborted) return;
        const { message } = toSluiceError(thrown);
        if (failures === 0) logger.warn({ id, reason: message }, "the agent cannot be asked; trying on");
        waitMs = backoffMs(retry, failures, random);
        failures += 1;
      }
    }
  }

  /**
   * Takes it out of the load; from now on it is not registered again. Never rejects, and takes 2 s at the longest.
   *
   * @returns whether the agent knows
   */
  async drain(reason: string): Promise<boolean> {
    this.leaving = true;
    const { agent, id, logger } = this.options;
    try {
      await this.within((signal) => agent.maintain(id, true, reason, signal));
      return true;
    } catch (thrown) {
      logger.warn({ id, reason: toSluiceError(thrown).message }, "cannot be put in maintenance");
      return false;
    }
  }

  /**
   * Deregisters it where it may be registered. Never rejects, and takes 2 s at the longest.
   *
   * @returns whether the agent has it no longer
   */
  async leave(): Promise<boolean> {
    this.leaving = true;
    if (!this.tried) return true;
    const { agent, id, logger } = this.options;
    try {
      await this.within((signal) => agent.deregister(id, signal));
      logger.info({ id }, "deregistered");
      return true;
    } catch (thrown) {
      const error = toSluiceError(thrown);
      // The agent has forgotten it already.
      if (error.details["status"] === 404) return true;
      logger.warn({ id, reason: error.message }, "cannot be deregistered; the agent forgets it by its check alone");
      return false;
    }
  }

  private async register(signal: AbortSignal): Promise<void> {
    const registration = await this.nextRegistration();
    signal.throwIfAborted();
    // Told to go meanwhile: registering would end its maintenance.
    if (this.leaving) return;
    this.tried = true;
    await this.options.agent.register(registration, signal);
    this.entered = registration;
  }

  /**
   * For the first time as it is. After that the agent may have forgotten it because it was critical too long: what is
   * not well now is critical from the start, and takes no traffic before a check finds it well.
   */
  private async nextRegistration(): Promise<Registration> {
    const { registration, ready } = this.options;
    const wanted = await registration();
    if (this.entered === undefined || wanted.check === undefined || (await ready())) return wanted;
    return { ...wanted, check: { ...wanted.check, status: "critical" } };
  }

  private async settle(signal: AbortSignal): Promise<void> {
    const { agent, id, port, logger } = this.options;
    const known = (await agent.services(signal)).find((one) => one.id === id);
    if (!isSame(known, this.entered)) {
      if (this.leaving) return;
      logger.warn({ id, known: known !== undefined }, "the agent has it no longer as it was; registering again");
      await this.register(signal);
      if (this.leaving) return;
    }
    if (port === undefined) return;
    const answer = await port();
    // Silence is no proof that it is gone; the TTL runs out when it lasts.
    if (answer === "accepts") await agent.updateTtl(id, "passing", "the port answers", signal);
    else if (answer === "refuses") await agent.updateTtl(id, "critical", "the port does not answer", signal);
  }

  private async within<T>(task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new AbortController();
    const stopTimer = this.options.clock.timer(farewellMs, () =>
      deadline.abort(new Error(`the agent did not answer within ${farewellMs} ms`)),
    );
    try {
      return await task(deadline.signal);
    } finally {
      stopTimer();
    }
  }
}

function placeOf(registration: Registration | undefined): object {
  const { name, address, port, check } = registration ?? {};
  return { name, ...(address !== undefined && { address }), port, check: check?.kind ?? "none" };
}

function isSame(known: Registered | undefined, wanted: Registration | undefined): boolean {
  if (known === undefined || wanted === undefined) return false;
  const { name, address = "", port, tags = [], meta } = wanted;
  return (
    known.name === name &&
    known.address === address &&
    known.port === port &&
    known.tags.length === tags.length &&
    known.tags.every((tag, at) => tag === tags[at]) &&
    Object.keys(known.meta).length === Object.keys(meta).length &&
    Object.entries(meta).every(([key, value]) => known.meta[key] === value)
  );
}
