import { hexDigest } from "../support/digest.ts";
import type { Claim, MapRow } from "./types.ts";

/** Requests are shared by a number from 10000 to 19999 that HAProxy draws. */
const steps = 10_000;
/** Any number may be asked for; sums of those between these are still numbers. */
const [leastPart, mostPart] = [1e-9, 1e9];

/**
 * What part of a route each claim gets, 0 to 1, together 1: Fabio's arithmetic at the level of instances. Fixed shares
 * are normalised down where they are more than all, and up where nobody is left for the rest; the rest goes evenly to the
 * instances without one.
 *
 * @param claims with at least one instance each
 */
export function shareClaims(claims: readonly Pick<Claim, "count" | "share">[]): readonly number[] {
  const fixed = claims.map(({ count, share }) => {
    if (share === undefined || (share.of === "each" && share.part <= 0)) return undefined;
    const part = share.part > 0 ? Math.min(Math.max(share.part, leastPart), mostPart) : share.part;
    return share.of === "each" ? part * count : part;
  });
  const sum = fixed.reduce<number>((all, part) => all + (part ?? 0), 0);
  const others = claims.reduce((all, { count }, index) => all + (fixed[index] === undefined ? count : 0), 0);
  if (others === 0 && sum === 0) return shareClaims(claims.map(({ count }) => ({ count })));
  const scale = sum > 1 || others === 0 ? 1 / sum : 1;
  const rest = Math.max(0, 1 - sum);
  return claims.map(({ count }, index) => {
    const part = fixed[index];
    return part === undefined ? (rest * count) / others : part * scale;
  });
}

/** One part of a share: a value of routes.map. */
export interface Part {
  /** More than 0. */
  readonly share: number;
  readonly value: string;
  /** Which side of a share that sticks it belongs to. */
  readonly side?: string;
}

export interface ShareRows {
  readonly id: string;
  readonly rows: readonly MapRow[];
}

/**
 * The rows of shares.map for a route of several parts: `<id>/1dddd`, shortened to the beginnings that make out each part;
 * and, where the share sticks, `<id>/=<side>/1dddd` for who has been there before. Looked up by the longest beginning.
 */
export function shareRows(parts: readonly Part[]): ShareRows {
  const rows = beginnings(parts).map(({ beginning, value }) => ({ key: `/1${beginning}`, value }));
  const sides = new Set(parts.flatMap(({ side }) => side ?? []));
  for (const side of sides) {
    const within = parts.filter((part) => part.side === side);
    for (const { beginning, value } of beginnings(within)) rows.push({ key: `/=${side}/1${beginning}`, value });
  }
  const id = hexDigest(JSON.stringify(rows), 12);
  return { id, rows: rows.map(({ key, value }) => ({ key: `${id}${key}`, value })) };
}

/**
 * Whole tens, hundreds and thousands of the 10,000 numbers for each part as far as they go, so that they take few rows: the
 * thousands of all parts first, then the hundreds in what is left, and so on.
 */
export function beginnings(
  parts: readonly Pick<Part, "share" | "value">[],
): readonly { readonly beginning: string; readonly value: string }[] {
  const counts = stepsOf(parts.map(({ share }) => share));
  const rows: { beginning: string; value: string }[] = [];
  if (parts.length === 1) return parts.map(({ value }) => ({ beginning: "", value }));
  let next = 0;
  for (const size of [1_000, 100, 10, 1]) {
    for (const [index, { value }] of parts.entries()) {
      while ((counts[index] ?? 0) >= size) {
        const digits = String(next).padStart(4, "0");
        rows.push({ beginning: digits.slice(0, 5 - String(size).length), value });
        counts[index] = (counts[index] ?? 0) - size;
        next += size;
      }
    }
  }
  return rows;
}

/** How many of the 10,000 each gets: off by less than one; who has a share gets one at least where that can be. */
export function stepsOf(shares: readonly number[]): number[] {
  const sum = shares.reduce((all, share) => all + share, 0);
  const exact = shares.map((share) => (share / sum) * steps);
  const counts = exact.map((one) => Math.floor(one + 1e-9));
  const left = steps - counts.reduce((all, count) => all + count, 0);
  const order = exact
    .map((one, index) => ({ index, none: counts[index] === 0 && one > 0, rest: one - (counts[index] ?? 0) }))
    .sort((a, b) => Number(b.none) - Number(a.none) || b.rest - a.rest || a.index - b.index);
  for (const { index } of order.slice(0, left)) counts[index] = (counts[index] ?? 0) + 1;
  return counts;
}
