import type { Logger } from "../../support/logger.ts";
import type { Conflict } from "./steps.ts";

/** Says once what is wrong, for as long as it is, and once that it is over. */
export class Said {
  private readonly logger: Logger;
  private readonly wrong = new Map<string, string>();
  private known: ReadonlySet<string> = new Set();

  constructor(logger: Logger) {
    this.logger = logger;
  }

  /** @param what names the trouble; the same one with another message is said again only where it is over in between */
  warn(what: string, fields: { readonly reason: string }, message: string): void {
    if (this.wrong.has(what)) return;
    this.wrong.set(what, fields.reason);
    this.logger.warn(fields, message);
  }

  over(what: string, message: string): void {
    if (this.wrong.delete(what)) this.logger.info({}, message);
  }

  /** All that is wrong with the containers now: what is new is said. */
  problems(all: readonly Conflict[]): void {
    const now = new Set<string>();
    for (const { container, problem } of all) {
      const key = `${container}\n${problem}`;
      now.add(key);
      if (!this.known.has(key)) this.logger.warn({ container }, `container ${container}: ${problem}`);
    }
    this.known = now;
  }
}
