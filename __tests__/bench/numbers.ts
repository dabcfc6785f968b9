/** The value below which this share (0..1) of the values lies; values need not be sorted. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export interface Spread {
  readonly rounds: number;
  readonly p50: number;
  readonly p99: number;
}

export function spread(values: readonly number[]): Spread {
  return { rounds: values.length, p50: rounded(percentile(values, 0.5)), p99: rounded(percentile(values, 0.99)) };
}

export function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Resident memory of a process in MB, as Linux tells it. */
export async function residentMb(pid: number): Promise<number> {
  const { readFile } = await import("node:fs/promises");
  const kb = /^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kb) / 1024);
}
