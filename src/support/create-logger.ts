import { writeSync } from "node:fs";
import { pino } from "pino";
import { SluiceError } from "./errors.ts";
import type { Logger } from "./logger.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** A logger whose level can be changed while it runs, for itself and all its children. */
export interface LeveledLogger extends Logger {
  level(): LogLevel;
  setLevel(level: LogLevel): void;
}

/** Where finished lines go. */
export interface LogDestination {
  write(line: string): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Standard output (1) or standard error (2), where no destination is given. Default: 1. */
  readonly descriptor?: 1 | 2;
  /** Lines for people instead of JSON. Default: whether the descriptor is a terminal, when no destination is given. */
  readonly pretty?: boolean;
  /** Default: the descriptor, written at once. */
  readonly destination?: LogDestination;
}

const rank: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const deepestCause = 5;
/** Lines kept while stdout takes none, in characters; beyond that the newest are lost. */
const pendingLimit = 1_000_000;

/**
 * The log of the operator: one JSON object per line with `level`, `time` (ISO 8601), `msg` and the fields given. An
 * error under `error` or `err` is written with its code, message, details and chain of causes; its stack only where it
 * is a defect. Nothing it does fails the caller: a full disk or a closed pipe behind stdout costs lines, not the
 * operator.
 */
export async function createLogger(options: LoggerOptions): Promise<LeveledLogger> {
  const { descriptor = 1 } = options;
  const stream = descriptor === 1 ? process.stdout : process.stderr;
  const terminal = options.destination === undefined && stream.isTTY === true;
  const destination = options.destination ?? fileDescriptorDestination(descriptor);
  const pretty = options.pretty ?? terminal;
  const backend = pino(
    {
      level: "debug",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError, err: describeError },
    },
    pretty ? await prettyDestination(destination, terminal) : destination,
  );
  const state = { level: options.level };
  return {
    ...leveled(backend, state),
    level: () => state.level,
    setLevel: (level) => {
      state.level = level;
    },
  };
}

/** What is logged of a thrown value: for a `SluiceError` its code, message, details and causes. */
function describeError(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const code: unknown = "code" in thrown ? thrown.code : undefined;
  const expected = thrown instanceof SluiceError && thrown.code !== "ERR_INTERNAL";
  const details = thrown instanceof SluiceError && Object.keys(thrown.details).length > 0 ? thrown.details : undefined;
  return {
    ...(thrown.name === "Error" || thrown instanceof SluiceError ? {} : { name: thrown.name }),
    ...(code === undefined ? {} : { code }),
    message: thrown.message,
    ...(details === undefined ? {} : { details }),
    // Of a chain the outermost stack says where; the expected errors say it in words.
    ...(expected || depth > 0 ? {} : { stack: thrown.stack }),
    ...(thrown.cause === undefined || depth >= deepestCause ? {} : { cause: describeError(thrown.cause, depth + 1) }),
  };
}

/** pino's own levels are copied into each child at its birth, so the level is held here, once for the family. */
function leveled(backend: pino.Logger, state: { readonly level: LogLevel }): Logger {
  const at =
    (level: LogLevel) =>
    (fields: object, message: string): void => {
      if (rank[level] >= rank[state.level]) backend[level](fields, message);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => leveled(backend.child(fields), state),
  };
}

async function prettyDestination(destination: LogDestination, terminal: boolean): Promise<LogDestination> {
  const { prettyFactory } = await import("pino-pretty");
  const format = prettyFactory({
    colorize: terminal && (process.env["NO_COLOR"] ?? "") === "",
    translateTime: "SYS:HH:MM:ss.l",
    errorLikeObjectKeys: [],
    singleLine: true,
  });
  return { write: (line) => destination.write(format(line) ?? line) };
}

/** Writes at once, so that the last line before a crash is there. */
function fileDescriptorDestination(descriptor: number): LogDestination {
  let pending = Buffer.alloc(0);
  return {
    write: (line) => {
      if (pending.length < pendingLimit) pending = Buffer.concat([pending, Buffer.from(line)]);
      try {
        while (pending.length > 0) pending = pending.subarray(writeSync(descriptor, pending));
      } catch {
        // A full pipe or disk: the lines wait for the next one. A closed pipe: nobody listens any more.
      }
    },
  };
}
