/**
 * `npm run bench [-- change|fleet|routes|all] [-- --rounds N]`: prints a table, then one line of JSON. Compared are runs of
 * one go on one machine only.
 */
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchChange, type ChangeResult } from "./change.ts";
import { benchFleet, type FleetResult } from "./fleet.ts";
import { benchRoutes, type RoutesResult } from "./routes.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "25" }, services: { type: "string", default: "1000" } },
});
const which = positionals[0] ?? "all";
const rounds = Number(values.rounds);

const result: { machine: object; change?: ChangeResult; fleet?: FleetResult; routes?: readonly RoutesResult[] } = {
  machine: { cores: cpus().length, memoryGb: Math.round(totalmem() / 2 ** 30), node: process.version },
};
const lines: string[] = [];
const row = (...cells: (string | number)[]) =>
  lines.push(cells.map((cell, index) => String(cell).padEnd(index === 0 ? 26 : 12)).join(""));

if (which === "change" || which === "all") {
  const change = await benchChange(rounds);
  result.change = change;
  row("change → traffic, ms", "join p50", "join p99", "leave p50", "leave p99");
  for (const name of ["bare", "sluice"] as const) {
    const { join, leave } = change[name];
    row(name === "bare" ? "bare loop" : "sluice", join.p50, join.p99, leave.p50, leave.p99);
  }
  row("times the bare loop", change.ratio.join, "", change.ratio.leave);
  row("reloads, failed requests", change.reloads, change.failed);
}
if (which === "fleet" || which === "all") {
  const fleet = await benchFleet(rounds, Number(values.services), 10);
  result.fleet = fleet;
  lines.push("");
  row(`beside ${fleet.services} services × ${fleet.instancesEach}`, "join p50", "join p99", "leave p50", "leave p99");
  row("sluice, ms", fleet.join.p50, fleet.join.p99, fleet.leave.p50, fleet.leave.p99);
  row("operator, MB resident", fleet.residentMb);
  row("from start to traffic, s", fleet.startSeconds);
  row("reloads, failed requests", fleet.reloads, fleet.failed);
}
if (which === "routes" || which === "all") {
  const routes: RoutesResult[] = [];
  for (const services of [10, Number(values.services)]) routes.push(await benchRoutes(rounds, services, 10));
  result.routes = routes;
  lines.push("");
  row("route → traffic, ms", "new p50", "new p99", "other p50", "other p99");
  for (const { services, instancesEach, added, changed } of routes) {
    row(`beside ${services} services × ${instancesEach}`, added.p50, added.p99, changed.p50, changed.p99);
  }
  row("reloads, failed requests", ...routes.map(({ reloads, failed }) => `${reloads}, ${failed}`));
}
process.stdout.write(`${lines.join("\n")}\n${JSON.stringify(result)}\n`);
