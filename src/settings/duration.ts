import { z } from "zod";

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A length of time: `250ms`, `30s`, `5m`, `24h`, `7d`, or a bare number of milliseconds. Parsed to milliseconds. */
export const duration = z
  .union([z.string(), z.number()])
  .transform((value, context) => {
    if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(value).trim());
    if (match === null) {
      context.addIssue({ code: "custom", message: `not a length of time: write 250ms, 30s, 5m or 24h` });
      return z.NEVER;
    }
    return Number(match[1]) * unitMs[(match[2] ?? "ms") as keyof typeof unitMs];
  });
