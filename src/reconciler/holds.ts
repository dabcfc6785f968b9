import { holdKey } from "../guard/accept.ts";
import type { Accepted } from "../guard/types.ts";
import type { Clock } from "../support/clock.ts";
import type { ProbePort } from "./ports.ts";

const everyMs = 1_000;
const timeoutMs = 100;
const atOnce = 50;
/** So many unanswered questions in a row let a held instance go: one may be a lost packet. */
const mostSilent = 3;

/** Asks held instances, for as long as there are any, whether they still accept a connection. */
export class HoldProbes {
  /** By hold key; only of what is held now. */
  readonly answers = new Map<string, boolean>();
  /** Questions in a row without an answer, by hold key. */
  private readonly silent = new Map<string, number>();
  private accepted: Accepted | undefined;
  private running = false;
  private readonly probe: ProbePort;
  private readonly clock: Clock;
  private readonly onAnswers: () => void;

  /** @param onAnswers called after each round, so that the guard can judge anew */
  constructor(probe: ProbePort, clock: Clock, onAnswers: () => void) {
    this.probe = probe;
    this.clock = clock;
    this.onAnswers = onAnswers;
  }

  /** Follows the holds of what was accepted last; starts asking when there are any. */
  follow(accepted: Accepted, signal: AbortSignal): void {
    this.accepted = accepted;
    if (this.answers.size > 0) {
      const keys = new Set(accepted.holds.map((hold) => holdKey(hold.service, hold.instance)));
      for (const key of this.answers.keys()) {
        if (keys.has(key)) continue;
        this.answers.delete(key);
        this.silent.delete(key);
      }
    }
    if (accepted.holds.length > 0 && !this.running && !signal.aborted) {
      this.running = true;
      void this.run(signal).finally(() => {
        this.running = false;
      });
    }
  }

  private async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.accepted !== undefined && this.accepted.holds.length > 0) {
      const { holds } = this.accepted;
      for (let at = 0; at < holds.length; at += atOnce) {
        await Promise.all(
          holds.slice(at, at + atOnce).map(async ({ service, instance }) => {
            const answer = await this.probe.probe(instance.address, instance.port, timeoutMs);
            const key = holdKey(service, instance);
            const silent = answer === "silent" ? (this.silent.get(key) ?? 0) + 1 : 0;
            this.silent.set(key, silent);
            this.answers.set(key, answer !== "refuses" && silent < mostSilent);
          }),
        );
      }
      this.onAnswers();
      await this.clock.sleep(everyMs, signal).catch(() => undefined);
    }
  }
}
