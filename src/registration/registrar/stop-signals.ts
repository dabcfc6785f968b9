import { constants } from "node:os";
import type { Container } from "../docker/types.ts";

/** A signal that a container was sent by the engine. */
interface Sent {
  readonly signal: number;
  /** ms since 1970 by the engine's clock. */
  readonly atMs: number;
}

/** Docker's first (`kill -l`): the systemd images want SIGRTMIN+3. */
const firstRealTime = 34;
const names: Readonly<Record<string, number | undefined>> = constants.signals;
/** What asks any program to end. Others, QUIT and HUP among them, mean that only where the image says so. */
const anybodys: ReadonlySet<number> = new Set([constants.signals.SIGTERM, constants.signals.SIGINT]);
/** Docker takes so long at most, after the stop timeout, to see that a container it killed is gone. */
const slackMs = 10_000;
/** More signals than a person sends, of which the newest count. */
const mostKept = 8;

/**
 * Remembers which containers were told to stop: `docker stop` sends a signal first, and until the container has ended
 * nothing in its state shows it. Whoever runs on long after the signal did not mean to stop.
 */
export class StopSignals {
  private readonly drainMs: number;
  private readonly sent = new Map<string, readonly Sent[]>();

  /** @param drainMs how long a container may take to stop, where its own stop timeout is not longer */
  constructor(drainMs: number) {
    this.drainMs = drainMs;
  }

  /** @param signal as the engine's event has it; one that is none is not counted */
  heard(container: string, signal: string | undefined, atMs: number): void {
    const number = signalNumber(signal ?? "");
    if (number === undefined) return;
    const known = this.sent.get(container) ?? [];
    this.sent.set(container, [...known, { signal: number, atMs }].slice(-mostKept));
  }

  /**
   * Whether this run of the container was told to stop.
   *
   * @param nowMs ms since 1970 by the engine's clock
   */
  isStopping({ id, startedAtMs, stopSignal, stopTimeoutMs }: Container, nowMs: number): boolean {
    const own = signalNumber(stopSignal);
    const limitMs = Math.max(this.drainMs, stopTimeoutMs + slackMs);
    return (this.sent.get(id) ?? []).some(
      ({ signal, atMs }) => (signal === own || anybodys.has(signal)) && atMs >= startedAtMs && nowMs - atMs < limitMs,
    );
  }

  /** Only of these there is something to remember. */
  keepOnly(containers: ReadonlySet<string>): void {
    for (const id of this.sent.keys()) if (!containers.has(id)) this.sent.delete(id);
  }
}

/** `15`, `SIGTERM`, `TERM`, `SIGRTMIN+3` */
export function signalNumber(text: string): number | undefined {
  const word = text.trim().toUpperCase();
  if (/^\d{1,3}$/.test(word)) return Number(word);
  const [, more] = /^(?:SIG)?RTMIN(?:\+(\d{1,2}))?$/.exec(word) ?? [];
  if (/^(?:SIG)?RTMIN/.test(word)) return firstRealTime + Number(more ?? 0);
  return names[word.startsWith("SIG") ? word : `SIG${word}`];
}
