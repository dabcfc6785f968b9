import type { Clock } from "../../support/clock.ts";
import { SluiceError, toSluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import type { Registration } from "../agent-client.ts";
import type { KeptRegistration } from "./kept-registration.ts";
import type { Register } from "./read-options.ts";
import type { WrappedProcess } from "./wrapped-process.ts";

export interface WrappingOptions {
  readonly register: Pick<Register, "id" | "waitMs" | "drainMs" | "graceMs" | "stopSignal">;
  readonly process: WrappedProcess;
  readonly kept: KeptRegistration;
  /** Whether the process is ready for traffic. */
  readonly ready: () => Promise<boolean>;
  /** Whether the load balancers say that nothing is left; false when the signal aborts first. Absent: nobody is asked. */
  readonly nothingLeft?: (registration: Registration, signal: AbortSignal) => Promise<boolean>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const askAgainMs = 100;
const failed = 1;

/**
 * The life of a registered process:
 *
 *     waits ─ ready ─▶ enters ─▶ kept ─ stop() ─▶ drains ─▶ leaves ─▶ is told to stop ─ grace ─▶ is killed
 *       └─ not in time: ends       └──── ends by itself ────▶ leaves
 *
 * Whatever happens, the process is not left behind, and what was registered is deregistered before it is told to stop.
 * An agent that refuses maintenance is told to deregister at once, and the drain comes after that.
 */
export class Wrapping {
  private readonly options: WrappingOptions;
  /** Aborts when the process ends, or is to be stopped: what goes on before that is over. */
  private readonly serving = new AbortController();
  private readonly hurry = new AbortController();
  private stopping: NodeJS.Signals | undefined;
  private told = false;

  constructor(options: WrappingOptions) {
    this.options = options;
  }

  /**
   * To be called for each SIGTERM, SIGINT or SIGQUIT. The first one begins the end, the second one ends the drain, those
   * behind it go to the process.
   */
  stop(signal: NodeJS.Signals): void {
    if (this.told) this.options.process.signal(signal);
    else if (this.stopping !== undefined) this.hurry.abort();
    else {
      this.stopping = signal;
      this.serving.abort();
    }
  }

  /** Passes a signal on that means nothing to us. */
  pass(signal: NodeJS.Signals): void {
    this.options.process.signal(signal);
  }

  /** @returns the exit code: that of the process, or 1 where it was ended because it could not be registered */
  async run(): Promise<number> {
    const { kept, process, register, logger } = this.options;
    const keeping = new AbortController();
    void process.ended.then(() => {
      this.serving.abort();
      this.hurry.abort();
    });
    let failure: SluiceError | undefined;
    let untilGone: Promise<void> | undefined;
    let left: Promise<boolean> | undefined;
    const leave = () => {
      left ??= (async () => {
        keeping.abort();
        await untilGone;
        return kept.leave();
      })();
      return left;
    };
    try {
      await this.becomesReady();
      await kept.enter(this.serving.signal);
      untilGone = kept.keep(keeping.signal);
      await aborted(this.serving.signal);
    } catch (thrown) {
      if (!this.serving.signal.aborted) failure = toSluiceError(thrown);
    }
    if (failure !== undefined) logger.error({ id: register.id, error: failure }, failure.message);
    else if (this.stopping !== undefined) await this.drain(this.stopping, leave);
    await leave();
    const status = await this.end(register.stopSignal ?? this.stopping ?? "SIGTERM");
    return failure === undefined ? status : failed;
  }

  private async becomesReady(): Promise<void> {
    const { ready, register, process, clock, logger } = this.options;
    const { signal } = this.serving;
    const deadline = clock.now() + register.waitMs;
    logger.info({ id: register.id, pid: process.pid }, "waiting until it answers");
    while (!(await ready())) {
      signal.throwIfAborted();
      if (clock.now() >= deadline) {
        throw new SluiceError("ERR_REGISTER_NOT_READY", `${register.id} did not answer within ${register.waitMs} ms`);
      }
      await clock.sleep(askAgainMs, signal);
    }
    signal.throwIfAborted();
  }

  /**
   * Out of the load, and then until it carries nothing: so long as is asked for, or until all are sure. Where the agent
   * takes neither maintenance nor that it leaves, nobody is told, and waiting would help nobody.
   */
  private async drain(cause: NodeJS.Signals, leave: () => Promise<boolean>): Promise<void> {
    const { kept, nothingLeft, register, clock, logger } = this.options;
    const { registered } = kept;
    if (registered === undefined || this.hurry.signal.aborted) return;
    const begun = clock.now();
    if (!(await kept.drain(`sluice register: ${cause}`)) && !(await leave())) return;
    const enough = new AbortController();
    const over = AbortSignal.any([this.hurry.signal, enough.signal]);
    const late = clock.sleep(register.drainMs, over).then(
      () => false,
      () => false,
    );
    const asked = nothingLeft?.(registered, over);
    const empty = asked?.then((is) => is || late);
    const early = await (empty === undefined ? late : Promise.race([late, empty]));
    enough.abort();
    await asked;
    logger.info({ id: register.id, drainedMs: Math.round(clock.now() - begun), early }, "drained");
  }

  /** Tells the process to stop, unless it has ended, and waits for its end. */
  private async end(signal: NodeJS.Signals): Promise<number> {
    const { process, register, clock, logger } = this.options;
    this.told = true;
    process.signal(signal);
    const stopTimer = clock.timer(register.graceMs, () => {
      logger.warn({ id: register.id, graceMs: register.graceMs }, "the process did not stop in time; killed");
      process.kill();
    });
    const status = await process.ended;
    stopTimer();
    logger.info({ id: register.id, status }, "the process has ended");
    return status;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
