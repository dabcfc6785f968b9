const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** Consul takes no longer one than Go's int64 of ns holds, 292 years. */
const longestMs = 365 * 24 * unitMs.h;

/**
 * A length of time as Registrator's and Consul's users write it (Go: `time.ParseDuration`): `15s`, `1m30s`, `1.5h`.
 *
 * @returns ms; undefined where it is none, or none that counts (0, less than a millisecond, a year and more)
 */
export function goDurationMs(text: string): number | undefined {
  const parts = [...text.trim().matchAll(/(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text.trim()) return undefined;
  let ms = 0;
  for (const [, number, unit] of parts) ms += Number(number) * unitMs[unit as keyof typeof unitMs];
  ms = Math.round(ms);
  return ms >= 1 && ms <= longestMs ? ms : undefined;
}
