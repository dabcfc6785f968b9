import { readFileSync } from "node:fs";
import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import { SluiceError } from "../support/errors.ts";
import type { Logger } from "../support/logger.ts";

/** The file is looked at again once this old. Tokens are rotated by replacing the file, and the old one lives on a while. */
const lookAgainMs = 1_000;

export interface TokenSourceOptions {
  readonly settings: Pick<Settings["consul"], "token" | "tokenFile">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The ACL token of the next request: the one of the settings, or what its file holds now. */
export class TokenSource {
  private readonly options: TokenSourceOptions;
  private token: string | undefined;
  private readAt: number | undefined;
  private complained = false;

  constructor(options: TokenSourceOptions) {
    this.options = options;
    this.token = options.settings.token;
  }

  /**
   * A file that cannot be read any more leaves the last token in use: it is more likely to be good than none.
   *
   * @throws SluiceError ERR_SETTINGS_UNREADABLE when the file could never be read
   */
  current(): string | undefined {
    const { settings, clock, logger } = this.options;
    const file = settings.tokenFile;
    if (file === undefined) return this.token;
    const now = clock.now();
    if (this.readAt !== undefined && now - this.readAt < lookAgainMs) return this.token;
    try {
      // Some bytes once a second at most, and behind the answer that is already published.
      this.token = readFileSync(file, "utf8").trim();
      this.readAt = now;
      this.complained = false;
    } catch (cause) {
      if (this.readAt === undefined) {
        throw new SluiceError("ERR_SETTINGS_UNREADABLE", `consul.tokenFile ${file} cannot be read`, {
          cause,
          retryable: true,
        });
      }
      this.readAt = now;
      if (!this.complained) {
        logger.warn({ file, err: cause }, "consul.tokenFile cannot be read; the token read before stays in use");
      }
      this.complained = true;
    }
    return this.token === "" ? undefined : this.token;
  }

  /** Consul refused the token: the next request looks at the file again, however young the last look. */
  refused(): void {
    if (this.readAt !== undefined) this.readAt = Number.NEGATIVE_INFINITY;
  }
}
