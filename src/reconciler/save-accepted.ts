import type { Accepted } from "../guard/types.ts";
import type { Clock } from "../support/clock.ts";
import { toSluiceError } from "../support/errors.ts";
import type { EventLog } from "./events.ts";
import type { StorePort } from "./ports.ts";

/** The least wait before the last good snapshot is written. */
const leastMs = 1_000;
/** Writing takes at most this share of the time: a large catalog that changes without pause must not keep the loop busy. */
const share = 0.02;
/** The same for what cannot wait. */
const urgentShare = 0.2;
/** Until a write that failed is tried again. */
const retryMs = 5_000;

/**
 * Makes the function that keeps the last good snapshot on disk, well behind everything else. What the catalog cannot
 * tell once more is not put off: which services there are, which of them are remembered without an instance, what is
 * held. A successor that did not know of them would reload their backends away.
 */
export function saveAccepted(
  store: StorePort,
  clock: Clock,
  events: EventLog,
  signal: AbortSignal,
): (accepted: Accepted) => void {
  let last: Accepted | undefined;
  /** What is not on the disk yet. */
  let newest: Accepted | undefined;
  let urgent = false;
  let writing = false;
  let cancelTimer: (() => void) | undefined;
  let endedAt = Number.NEGATIVE_INFINITY;
  let tookMs = 0;
  let problem: string | undefined;
  signal.addEventListener("abort", () => cancelTimer?.(), { once: true });

  const write = async (accepted: Accepted) => {
    const started = clock.now();
    try {
      await store.writeAccepted(accepted);
      problem = undefined;
    } catch (thrown) {
      const { code, message } = toSluiceError(thrown);
      newest ??= accepted;
      const severity = message === problem ? "debug" : "error";
      problem = message;
      events.emit("reconcile-failed", severity, `the last good snapshot is not on disk: ${message}`, { code });
    }
    endedAt = clock.now();
    tookMs = endedAt - started;
  };
  const schedule = (waitMs: number) => {
    cancelTimer?.();
    cancelTimer = clock.timer(waitMs, () => {
      cancelTimer = undefined;
      const accepted = newest;
      if (accepted === undefined) return;
      newest = undefined;
      urgent = false;
      writing = true;
      void write(accepted).finally(() => {
        writing = false;
        if (newest !== undefined && !signal.aborted) schedule(waitMsNow());
      });
    });
  };
  const waitMsNow = () => {
    if (problem !== undefined) return retryMs;
    return urgent ? Math.max(0, endedAt + tookMs / urgentShare - clock.now()) : Math.max(leastMs, tookMs / share);
  };

  return (accepted) => {
    if (last !== undefined && sameAccepted(last, accepted)) return;
    const hurries = !urgent && problem === undefined && (last === undefined || !sameMemory(last, accepted));
    urgent ||= hurries;
    last = accepted;
    newest = accepted;
    if (writing || signal.aborted) return;
    if (cancelTimer === undefined || hurries) schedule(waitMsNow());
  };
}

/** Whether two say the same, told by the identity of what is in them. */
function sameAccepted(a: Accepted, b: Accepted): boolean {
  if (a.services.size !== b.services.size || a.overrides !== b.overrides || !sameMemory(a, b)) return false;
  for (const [key, { instances, elsewhere }] of b.services) {
    const before = a.services.get(key);
    if (before?.instances !== instances || before.elsewhere !== elsewhere) return false;
  }
  return true;
}

/** The same but for what the instances of services are like. */
function sameMemory(a: Accepted, b: Accepted): boolean {
  if (a.emptySince.size !== b.emptySince.size || a.holds.length !== b.holds.length) return false;
  for (const key of b.services.keys()) if (!a.services.has(key)) return false;
  for (const key of a.services.keys()) if (!b.services.has(key)) return false;
  for (const key of b.emptySince.keys()) if (!a.emptySince.has(key)) return false;
  return b.holds.every((hold, index) => hold.instance === a.holds[index]?.instance);
}
