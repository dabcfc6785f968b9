/**
 * What the parts log through; pino satisfies it. Named fields only, never a whole settings object: redaction by
 * wildcard covers one level and a token one level deeper would be printed.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

/** Swallows everything; for the offline commands. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
