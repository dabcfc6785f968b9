import type { ObservedServer } from "../haproxy/runtime/types.ts";
import { SluiceError } from "../support/errors.ts";
import type { Wish } from "./desire.ts";
import type { LaneParts } from "./lane.ts";

/** Makes a wish anew that doubts these servers; the very same where that is no news. */
export type Doubting = (wish: Wish, down: readonly ObservedServer[]) => Wish;

/**
 * The servers that HAProxy's checks know to be down. One in maintenance is so by somebody's will. The last check's result
 * does not tell: it reads "unknown" while the next check is under way, which at an address that drops packets is nearly
 * always (measured on 2.6.12).
 */
export function knownDown(servers: readonly ObservedServer[]): readonly ObservedServer[] {
  return servers.filter(({ operational, maintenance }) => operational === stopped && !maintenance);
}

/** srv_op_state 0 (management guide 9.3, `show servers state`). */
const stopped = 0;

/**
 * The wish as it should be loaded by a reload: what is known to be down waits there for its first good check. Where
 * HAProxy does not say how its servers are, the wish as it is.
 */
export async function doubtKnownDown(
  { runtime, state, doubting }: LaneParts & { readonly doubting: Doubting },
  wish: Wish,
  signal: AbortSignal,
): Promise<Wish> {
  if (!state.up) return wish;
  try {
    const { servers } = await runtime.observe(undefined, signal);
    return doubting(wish, knownDown(servers));
  } catch (thrown) {
    if (thrown instanceof SluiceError) return wish;
    throw thrown;
  }
}
