import { steadyLoad } from "../../__tests__/support/steady-load.ts";

const perSecond = 100;
/** A person's patience. */
const timeoutMs = 30_000;

/**
 * The load test that goes with the quotes: 100 requests a second, evenly, each on a connection of its own, whatever
 * became of those before.
 *
 * @returns a table's head and row; above it stands what was published for the usual 6,000
 */
export async function quotesLoad(port: number, path: string, requests: number, instances: number): Promise<string> {
  const seconds = requests / perSecond;
  const report = await steadyLoad({ port, path, perSecond, seconds, timeoutMs }, () => undefined);
  const row = [
    instances,
    report.sent,
    report.succeeded,
    Math.round(report.averageMs),
    Math.round(report.slowestMs),
    Object.entries(report.failures)
      .map(([what, count]) => `${count} × ${what}`)
      .join(", ") || "none",
  ];
  return `\
| instances | requests | successes | average, ms | slowest, ms | failures |
| --- | --- | --- | --- | --- | --- |
| ${row.join(" | ")} |
Published for 6,000: 233 with one instance; 5,796 with four, average 290 ms; 6,000 with eight, average 17 ms, slowest 86 ms.`;
}
