import { printConfig } from "../haproxy/config/print.ts";
import type { Clock } from "../support/clock.ts";
import type { Wish } from "./desire.ts";
import { GrowingRetry } from "./growing-retry.ts";
import type { ConfigProblem, ProcessPort } from "./ports.ts";
import type { RunningState } from "./running.ts";

/** A line that listens on a port and cannot, with what is in its way. */
export interface BusyBind {
  readonly port: number;
  readonly reason: string;
  readonly line: string;
}

/** Those among the problems of a preflight that are about a port. */
export function busyBinds(problems: readonly ConfigProblem[], text: string): readonly BusyBind[] {
  const lines = text.split("\n");
  return problems.flatMap(({ port, line, message }) =>
    port === undefined || line === undefined ? [] : [{ port, reason: message, line: lines[line - 1] ?? "" }],
  );
}

export interface ClosedPortsParts {
  readonly clock: Clock;
  readonly process: Pick<ProcessPort, "preflight">;
  readonly state: RunningState;
  /** A port can be opened now: a pass is due. */
  readonly onOpen: () => void;
}

/**
 * Ports of services' own that cannot be opened, because another process holds them or a privilege is missing. They stay
 * closed, so that this costs the services that want them alone, and are tried again with growing waits: by listening for
 * a moment, without a reload.
 */
export class ClosedPorts {
  /** By port: why. Never changed in place. */
  closed: ReadonlyMap<number, string> = new Map();
  private busy: readonly BusyBind[] = [];
  private signal: AbortSignal | undefined;
  private readonly parts: ClosedPortsParts;
  private readonly retry: GrowingRetry;

  constructor(parts: ClosedPortsParts) {
    this.parts = parts;
    this.retry = new GrowingRetry(parts.clock, () => {
      void this.tryAgain();
    });
  }

  /**
   * These binds of a configuration cannot be opened.
   *
   * @returns whether there is another configuration to try now: one without the ports among them that services asked for
   */
  close({ loadBalancer: { listeners } }: Wish, busy: readonly BusyBind[], signal: AbortSignal): boolean {
    const asked = new Set(listeners.map(({ port }) => port));
    const fresh = busy.filter(({ port }) => asked.has(port) && !this.closed.has(port));
    if (fresh.length === 0) return false;
    this.signal = signal;
    this.set([...this.busy, ...fresh]);
    this.retry.failed();
    return true;
  }

  stop(): void {
    this.retry.reset();
  }

  private async tryAgain(): Promise<void> {
    const { process, state } = this.parts;
    const text = this.busy.map(({ line }, index) => `frontend closed_${index}\n${line}\n`).join("");
    const running = state.up && state.current !== undefined ? printConfig(state.current.config) : undefined;
    const tried = this.busy;
    const verdict = await process.preflight(text, running, this.signal).catch(() => undefined);
    if (this.signal?.aborted || verdict === undefined) return;
    const still = new Set(verdict.ok ? [] : verdict.problems.map(({ port }) => port));
    const left = this.busy.filter((one) => !tried.includes(one) || still.has(one.port));
    if (left.length === 0) this.retry.reset();
    else this.retry.failed();
    if (left.length === this.busy.length) return;
    this.set(left);
    this.parts.onOpen();
  }

  private set(busy: readonly BusyBind[]): void {
    this.busy = busy;
    this.closed = new Map(busy.map(({ port, reason }) => [port, reason]));
  }
}
