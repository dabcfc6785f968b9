import type { Clock } from "../../support/clock.ts";
import type { Logger } from "../../support/logger.ts";
import type { Registration } from "../agent-client.ts";
import { isDrained, rowsOf, type StatsPage } from "./stats-page.ts";

const lookEveryMs = 250;
/** So many looks in a row: between two requests of one connection a server carries nothing for a moment. */
const looksInARow = 3;

/**
 * Resolves with true when no load balancer has anything left at a registration that was put in maintenance, with false
 * when the signal aborts first. A page that does not answer has something left, for all we know.
 */
export async function nothingLeft(
  pages: readonly StatsPage[],
  registration: Registration,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  signal: AbortSignal,
): Promise<boolean> {
  const complained = new Set<string>();
  const isEmpty = async (page: StatsPage) => {
    try {
      return isDrained(rowsOf(await page.read(signal), registration));
    } catch (thrown) {
      if (!signal.aborted && !complained.has(page.shown)) {
        complained.add(page.shown);
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        logger.warn(
          { page: page.shown, reason },
          "the load balancer does not say what is left; the drain takes its time",
        );
      }
      return false;
    }
  };
  for (let inARow = 0; !signal.aborted; ) {
    const empty = (await Promise.all(pages.map(isEmpty))).every((is) => is);
    inARow = empty ? inARow + 1 : 0;
    if (inARow >= looksInARow) return true;
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
  return false;
}
