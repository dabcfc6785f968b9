import type { Accepted } from "../guard/types.ts";
import type { Clock } from "../support/clock.ts";
import { toSluiceError } from "../support/errors.ts";
import type { EventLog } from "./events.ts";
import type { StorePort } from "./ports.ts";

/** The least wait before the last good snapshot is written. */
const leastMs = 1_000;
/** Writing takes at most this share of the time: a large catalog that changes without pause must not keep the loop busy. */
const share = 0.02;

/** Makes the function that keeps the last good snapshot on disk, well behind everything else. */
export function saveAccepted(
  store: StorePort,
  clock: Clock,
  events: EventLog,
  signal: AbortSignal,
): (accepted: Accepted) => void {
  let newest: Accepted | undefined;
  let scheduled = false;
  let cancelTimer: (() => void) | undefined;
  signal.addEventListener("abort", () => cancelTimer?.(), { once: true });
  let waitMs = leastMs;
  const write = async () => {
    const accepted = newest;
    newest = undefined;
    if (accepted === undefined || signal.aborted) return;
    const started = clock.now();
    try {
      await store.writeAccepted(accepted);
    } catch (thrown) {
      const error = toSluiceError(thrown);
      events.emit("reconcile-failed", "error", `the last good snapshot is not on disk: ${error.message}`, {
        code: error.code,
      });
    }
    waitMs = Math.max(leastMs, (clock.now() - started) / share);
  };
  const schedule = () => {
    scheduled = true;
    cancelTimer = clock.timer(waitMs, () => {
      void write().finally(() => {
        scheduled = false;
        if (newest !== undefined && !signal.aborted) schedule();
      });
    });
  };
  let last: Accepted | undefined;
  return (accepted) => {
    if (last !== undefined && sameAccepted(last, accepted)) return;
    last = accepted;
    newest = accepted;
    if (!scheduled && !signal.aborted) schedule();
  };
}

/** Whether two say the same, told by the identity of what is in them. */
function sameAccepted(a: Accepted, b: Accepted): boolean {
  if (a.services.size !== b.services.size || a.holds.length !== b.holds.length) return false;
  for (const [key, service] of b.services) if (a.services.get(key)?.instances !== service.instances) return false;
  return true;
}
