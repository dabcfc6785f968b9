import { expect, jest, test } from "@jest/globals";
import { type ComposeProject, withProject } from "../support/compose.ts";
import { dockerSocket } from "../support/docker-socket.ts";
import { eventually } from "../support/sluice.ts";
import { type SteadyLoadReport, steadyLoad } from "../support/steady-load.ts";
import { ask } from "../support/system.ts";

jest.setTimeout(900_000);

/** The published load: 6,000 requests in one minute. */
const [perSecond, seconds] = [100, 60];
/** As long as a browser's user waits at the most. */
const patienceMs = 30_000;
/** What the set-up this world comes from was published with, by the number of instances. */
const published: Readonly<Record<number, { readonly succeeded: number; readonly times: string }>> = {
  1: { succeeded: 233, times: "" },
  4: { succeeded: 5_796, times: "average 290 ms" },
  8: { succeeded: 6_000, times: "average 17 ms, slowest 86 ms" },
};
const path = "/hello/api/v1";

function whoOf(body: string): string | undefined {
  return /"hostname": "([^"]+)"/.exec(body)?.[1];
}

/** Waits until all instances, and nobody else, answer. */
async function allAnswer(project: ComposeProject, count: number): Promise<void> {
  await eventually(
    `${count} instances of quotes answer, and no other`,
    async () => {
      const wanted = (await project.running("quotes")).map(({ hostname }) => hostname);
      const found = new Set<string | undefined>();
      for (let request = 0; request < 2 * count; request += 1) {
        const { status, body } = await ask(project.ports.http, { path });
        found.add(status === 200 ? whoOf(body) : String(status));
      }
      return wanted.length === count && found.size === count && wanted.every((name) => found.has(name));
    },
    120_000,
  );
}

function row(count: number, { succeeded, averageMs, slowestMs, failures }: SteadyLoadReport): string {
  const { succeeded: theirs = 0, times = "" } = published[count] ?? {};
  const ours = `average ${averageMs.toFixed(0)} ms, slowest ${slowestMs.toFixed(0)} ms`;
  const rest = Object.entries(failures).map(([what, times]) => `${times} × ${what}`);
  return `  ${count}  ${`${succeeded}, ${ours}`.padEnd(48)}${[theirs, times].filter(Boolean).join(", ").padEnd(42)}${rest}`;
}

test("world E: 6,000 requests in a minute at 1, 4 and 8 instances that registered themselves", async () => {
  await withProject("quotes", { profiles: ["quotes"], environment: dockerSocket }, async (project) => {
    const reports = new Map<number, SteadyLoadReport>();
    await project.up({ quotes: 1 }, "consul", "lb", "operator", "quotes");
    for (const count of [1, 4, 8]) {
      await project.scale("quotes", count);
      await allAnswer(project, count);
      reports.set(
        count,
        await steadyLoad({ port: project.ports.http, path, perSecond, seconds, timeoutMs: patienceMs }, whoOf),
      );
    }
    const rows = [...reports].map(([count, report]) => row(count, report));
    process.stdout.write(
      `quotes: ${perSecond * seconds} requests in ${seconds} s, successes of them\n` +
        `  instances  Sluice ${" ".repeat(31)}published\n${rows.join("\n")}\n`,
    );

    for (const [count, report] of reports) {
      expect(report.sent).toBe(perSecond * seconds);
      expect(Object.keys(report.answeredBy)).toHaveLength(count);
    }
    expect(reports.get(1)?.succeeded).toBeGreaterThan(233);
    expect(reports.get(4)?.succeeded).toBeGreaterThan(5_796);
    expect(reports.get(8)?.succeeded).toBe(6_000);
    // Whose turn did not come is told so by HAProxy, while they still wait.
    expect(Object.keys(reports.get(1)?.failures ?? {})).toEqual(["503"]);
  });
});
