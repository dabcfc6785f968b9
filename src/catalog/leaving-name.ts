import { backoffMs } from "../support/backoff.ts";
import type { Clock } from "../support/clock.ts";
import { toSluiceError } from "../support/errors.ts";
import type { ListWatch } from "./list-watch.ts";
import { isDefiniteRefusal } from "./refusal.ts";
import type { ServiceWatch } from "./service-watch.ts";

/** How soon a name that is to go is asked about again while a second read says otherwise. */
const askAgainMs = 10_000;

export interface LeavingName {
  readonly name: string;
  readonly watch: ServiceWatch;
  readonly lists: ListWatch;
  readonly clock: Clock;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
}

/**
 * Waits until a service that the lists do not select any more may go: once a second read agrees that it has no instance,
 * or, while it is listed, that none of its instances is exposed. Never while a list may still fill again.
 *
 * @returns "gone": it has no instance; "unselected": it has, and is not to be watched; undefined when the signal aborts
 */
export async function untilItMayGo(
  leaving: LeavingName,
  signal: AbortSignal,
): Promise<"gone" | "unselected" | undefined> {
  const { name, watch, lists, clock, random } = leaving;
  for (let failures = 0; !signal.aborted; ) {
    try {
      for (let leftMs = lists.refillLeftMs(); leftMs > 0; leftMs = lists.refillLeftMs()) {
        await clock.sleep(leftMs, signal);
      }
      const found = await watch.confirmExposure(lists.knowsMeta(), signal);
      signal.throwIfAborted();
      const listed = lists.list()?.has(name) === true;
      // An answer that came while this read was under way may tell of a catalog that has to fill again.
      if (lists.refillLeftMs() === 0) {
        if (found === "gone") return "gone";
        if (found === "not-exposed" && listed) return "unselected";
      }
      failures = 0;
      await clock.sleep(askAgainMs, signal);
    } catch (thrown) {
      if (signal.aborted) return undefined;
      // Consul could never be asked for this name: the list is all there is to go by.
      if (isDefiniteRefusal(toSluiceError(thrown)) && watch.service()?.instances.length === 0) return "unselected";
      const policy = { baseMs: 100, maxMs: askAgainMs };
      await clock.sleep(backoffMs(policy, failures, random), signal).catch(() => undefined);
      failures += 1;
    }
  }
  return undefined;
}
