import { z } from "zod";

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Node's timers hold 2^31 - 1 ms (24.8 days) and fire at once for more, so no length of time is longer. */
const longestMs = 24 * unitMs.d;

export interface DurationBounds {
  /** Shortest length accepted, in milliseconds. Default: 0. */
  readonly minMs?: number;
  /** Longest length accepted, in milliseconds. Default: 24 days. */
  readonly maxMs?: number;
}

/**
 * A length of time: `250ms`, `30s`, `1.5m`, `24h`, `7d`, or a bare number of milliseconds. Parsed to whole
 * milliseconds. Its JSON schema carries `unit: "duration"`, by which the documentation knows to write 30s for 30000.
 */
export function durationWithin({ minMs = 0, maxMs = longestMs }: DurationBounds) {
  return z
    .union([z.string(), z.number()])
    .transform((value, context) => {
      const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(value).trim());
      if (match === null) {
        context.addIssue({ code: "custom", message: "not a length of time; write 250ms, 30s, 5m or 24h" });
        return z.NEVER;
      }
      const ms = Math.round(Number(match[1]) * unitMs[(match[2] ?? "ms") as keyof typeof unitMs]);
      if (ms < minMs || ms > maxMs) {
        const bound = ms < minMs ? `at least ${formatDuration(minMs)}` : `at most ${formatDuration(maxMs)}`;
        context.addIssue({ code: "custom", message: `out of range; it must be ${bound}` });
        return z.NEVER;
      }
      return ms;
    })
    .meta({ unit: "duration" });
}

export const duration = durationWithin({});

/** Milliseconds as a person writes them: the largest unit that divides them, days from two on (`24h`, `7d`). */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  if (ms >= 2 * unitMs.d && ms % unitMs.d === 0) return `${ms / unitMs.d}d`;
  for (const unit of ["h", "m", "s"] as const) {
    if (ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`;
  }
  return `${ms}ms`;
}
