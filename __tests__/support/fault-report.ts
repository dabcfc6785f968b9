import type { LoadReport } from "./load.ts";

/** What a fault test has to ask at least, requests a second over the whole of it, all its clients together. */
const leastPerSecond = 1_000;

/**
 * Prints a scenario's line and makes sure that there was load enough to mean something.
 *
 * @param more what else is to be said
 * @throws Error where fewer requests were asked than a fault test has to
 */
export function reportLoad(scenario: string, report: LoadReport, ...more: readonly string[]): void {
  printLoad(scenario, report, ...more);
  expectEnough(report);
}

/** The line alone, for a test that calls expectEnough last: on a busy machine that fails first, and hides the rest. */
export function printLoad(scenario: string, report: LoadReport, ...more: readonly string[]): void {
  const { sent, failures, slowestMs } = report;
  const kinds = failuresByKind(report);
  const figures = [
    `${sent} sent`,
    `${sent - failures.length} served`,
    `${failures.length} failed${kinds === "" ? "" : ` (${kinds})`}`,
    `slowest ${Math.round(slowestMs)} ms`,
    `${perSecond(report)} a second`,
    ...more,
  ];
  process.stdout.write(`${scenario}: ${figures.join(", ")}\n`);
}

/**
 * @param least requests a second; less than the usual where the fault itself keeps clients waiting
 * @throws Error where fewer requests were asked than a fault test has to
 */
export function expectEnough(report: LoadReport, least = leastPerSecond): void {
  const found = perSecond(report);
  if (found < least) throw new Error(`only ${found} requests a second, at least ${least}`);
}

/** Failures by what they were, for a test that fails: `timeout 12, 503 1`; empty where there are none. */
export function failuresByKind({ failures }: LoadReport): string {
  const counts = new Map<string, number>();
  for (const { what } of failures) counts.set(what, (counts.get(what) ?? 0) + 1);
  return [...counts].map(([what, count]) => `${what} ${count}`).join(", ");
}

function perSecond({ sent, seconds }: LoadReport): number {
  return Math.round(sent / seconds);
}
