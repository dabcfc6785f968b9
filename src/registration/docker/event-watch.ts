import { backoffMs } from "../../support/backoff.ts";
import type { Clock } from "../../support/clock.ts";
import { type SluiceError, toSluiceError } from "../../support/errors.ts";
import type { Engine, EngineEvent } from "./types.ts";

export interface EventWatchOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  /** How far back to ask for what is past when it begins, ms. */
  readonly rememberMs: number;
  /** A connection is given up and made anew after so long: one that is dead and does not know it is found out so. */
  readonly renewMs: number;
  readonly random?: () => number;
  /** Events come from now on; some of before may be missed. */
  readonly onOpen: () => void;
  readonly onEvent: (event: EngineEvent) => void;
  /** Something happened that cannot be read. */
  readonly onUnreadable: () => void;
  /** Once for each time that the events end or do not begin; `onOpen` says that they are back. */
  readonly onLost: (error: SluiceError | undefined) => void;
}

const retry = { baseMs: 200, maxMs: 5_000 };
/** A connection that ends sooner is no better than none. */
const soundMs = 5_000;
/** `timeNano` is read as a double, which is exact to 256 ns; an event that comes twice does no harm. */
const slackNs = 1_000;

/** Follows the events of an engine, over all that happens to the connection and to the engine. */
export class EventWatch {
  private readonly options: EventWatchOptions;

  constructor(options: EventWatchOptions) {
    this.options = options;
  }

  /** Resolves when the signal aborts, and never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, rememberMs, random } = this.options;
    const seen = { sinceNs: (clock.wall() - rememberMs) * 1_000_000 };
    let failures = 0;
    while (!signal.aborted) {
      const beganAt = clock.now();
      const outcome = await this.follow(seen, signal);
      if (signal.aborted) return;
      if (outcome.kind === "renewed") continue;
      if (clock.now() - beganAt >= soundMs) failures = 0;
      this.options.onLost(outcome.error);
      await clock.sleep(backoffMs(retry, failures, random), signal).catch(() => undefined);
      failures += 1;
    }
  }

  private async follow(
    seen: { sinceNs: number },
    signal: AbortSignal,
  ): Promise<{ readonly kind: "renewed" } | { readonly kind: "lost"; readonly error: SluiceError | undefined }> {
    const { engine, clock, renewMs, onOpen, onEvent, onUnreadable } = this.options;
    const life = new AbortController();
    let renewed = false;
    const stopTimer = clock.timer(renewMs, () => {
      renewed = true;
      life.abort(new Error("renewed"));
    });
    const end = () => life.abort(signal.reason);
    signal.addEventListener("abort", end, { once: true });
    try {
      const events = await engine.events(seen.sinceNs, life.signal);
      onOpen();
      for await (const event of events) {
        if (event === "unreadable") onUnreadable();
        else {
          seen.sinceNs = Math.max(seen.sinceNs, event.timeNs - slackNs);
          onEvent(event);
        }
      }
      return renewed ? { kind: "renewed" } : { kind: "lost", error: undefined };
    } catch (thrown) {
      return renewed ? { kind: "renewed" } : { kind: "lost", error: toSluiceError(thrown) };
    } finally {
      stopTimer();
      signal.removeEventListener("abort", end);
      life.abort(new Error("over"));
    }
  }
}
