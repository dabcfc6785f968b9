import type { LoadReport } from "./load.ts";

/** What a fault test has to ask at least, requests a second over the whole of it, all its clients together. */
const leastPerSecond = 1_000;

/**
 * Prints a scenario's line and makes sure that there was load at all.
 *
 * @param more what else is to be said
 * @throws Error where fewer requests were asked than a fault test has to
 */
export function reportLoad(scenario: string, report: LoadReport, ...more: readonly string[]): void {
  const { sent, failures, slowestMs, seconds } = report;
  const perSecond = Math.round(sent / seconds);
  const kinds = failuresByKind(report);
  const figures = [
    `${sent} sent`,
    `${sent - failures.length} served`,
    `${failures.length} failed${kinds === "" ? "" : ` (${kinds})`}`,
    `slowest ${Math.round(slowestMs)} ms`,
    `${perSecond} a second`,
    ...more,
  ];
  const line = `${scenario}: ${figures.join(", ")}`;
  process.stdout.write(`${line}\n`);
  if (perSecond < leastPerSecond) throw new Error(`fewer than ${leastPerSecond} requests a second; ${line}`);
}

/** Failures by what they were, for a test that fails: `timeout 12, 503 1`; empty where there are none. */
export function failuresByKind({ failures }: LoadReport): string {
  const counts = new Map<string, number>();
  for (const { what } of failures) counts.set(what, (counts.get(what) ?? 0) + 1);
  return [...counts].map(([what, count]) => `${what} ${count}`).join(", ");
}
