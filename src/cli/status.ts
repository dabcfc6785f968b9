import type { Command } from "commander";
import type { OperatorStatus } from "../admin/server.ts";
import type { HoldStatus } from "../reconciler/status.ts";
import { statePaths } from "../store/paths.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import { type Outcome, type Terminal, table } from "./terminal.ts";

/** More watches than that are stale for one reason, which the first of them tell. */
const mostStale = 20;

/** `sluice status`: what the running operator knows and does. */
export function addStatusCommand(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command("status")
    .description("show what the running operator serves, holds and leaves out, and whether the catalog is fresh")
    .option("--json", "all of it as JSON")
    .addHelpText("after", "\nExample:\n  sluice status --settings sluice.yaml");
  addSettingOptions(command).action(async () => {
    const { settings } = settingsOf(command, terminal);
    const { askOperator } = await import("../admin/client.ts");
    const status = await askOperator<OperatorStatus>(statePaths(settings.haproxy.directory).adminSocket, "/v1/status");
    outcome.exitCode = status.ready ? 0 : 1;
    const json = command.opts<{ json?: boolean }>().json === true;
    terminal.out(json ? `${JSON.stringify(status, undefined, 2)}\n` : described(status));
  });
}

const causes: Readonly<Record<HoldStatus["cause"], string>> = {
  zero: "none would be left",
  mass: "more than half of the catalog was lost at once",
};

function described({ ready, reasons, reconciler, catalog, ...rest }: OperatorStatus): string {
  const { haproxy, services, leaving, holds, excluded, quarantined } = reconciler;
  const lag = reconciler.fileLagMs === undefined ? "file up to date" : `file ${reconciler.fileLagMs} ms behind`;
  const stale = catalog.stale.map(({ name, reason, since }) => [`stale: ${name}`, `since ${since}`, reason]);
  return [
    ready ? "ready\n" : `not ready: ${reasons.join("; ")}\n`,
    `HAProxy ${haproxy.version ?? "?"} ${haproxy.up ? `runs, worker ${haproxy.worker}` : "is not running"}; generation ${reconciler.generation}, ${lag}\n`,
    `catalog: ${catalog.watches} of ${catalog.budget} watches, ${stale.length} stale\n`,
    ...haproxy.oldWorkers.map(
      ({ pid, since, connections = "its last" }) =>
        `old worker ${pid}: finishes ${connections} connections since ${since}\n`,
    ),
    catalog.outage === undefined ? "" : `${catalog.outage.reason}\n`,
    catalog.overrides.reason === undefined ? "" : `overrides: ${catalog.overrides.reason}\n`,
    ...catalog.datacenters.map(({ datacenter, services: count, reason }) =>
      reason === undefined ? "" : `datacenter ${datacenter}, for ${count} services: ${reason}\n`,
    ),
    ...catalog.queries.map(({ name, reason }) => (reason === undefined ? "" : `prepared query ${name}: ${reason}\n`)),
    table(stale.slice(0, mostStale)),
    stale.length > mostStale ? `and ${stale.length - mostStale} more; --json shows all\n` : "",
    services.length === 0 ? "" : "\n",
    table([
      ...(services.length === 0 ? [] : [["SERVICE", "SERVER", "ADDRESS", "WEIGHT", ""]]),
      ...services.flatMap(({ name, servers, emptySince }) =>
        servers.length === 0
          ? [[name, "-", "-", "-", `no instance since ${emptySince ?? "the start"}: answers 503`]]
          : servers.map((server, index) => [
              index === 0 ? name : "",
              server.name,
              `${server.address}:${server.port}`,
              String(server.weight),
              server.joining ? "joining: waits for its first check" : server.weight === 0 ? "drain" : "",
            ]),
      ),
    ]),
    rest.certificates.length === 0 ? "" : "\n",
    table([
      ...(rest.certificates.length === 0 ? [] : [["CERTIFICATE", "NAMES", "DAYS LEFT", ""]]),
      ...rest.certificates.map(({ name, names, daysLeft, problem }) => [
        name,
        names.length === 0 ? "-" : names.slice(0, 5).join(" "),
        daysLeft === undefined ? "-" : String(daysLeft),
        problem ?? "",
      ]),
    ]),
    ...(rest.certificatesProblem === undefined ? [] : [`certificates: ${rest.certificatesProblem}\n`]),
    ...leaving.map(({ server, since }) => `leaving: ${server} since ${since}\n`),
    ...holds.map(
      ({ service, instance, address, port, since, cause, until }) =>
        `held: ${service} ${instance} at ${address}:${port} since ${since}, until ${until} at the latest: ${causes[cause]}\n`,
    ),
    ...excluded.map(
      ({ service, instance, reason }) => `left out: ${JSON.stringify(service)} ${instance ?? ""}: ${reason}\n`,
    ),
    ...quarantined.map(
      ({ service, instances, since, reason, keeps }) =>
        `quarantined: ${JSON.stringify(service)} ${instances.slice(0, 5).join(" ")} since ${since}, ${keeps === "last-good" ? "with its last good data" : "left out"}: ${reason}\n`,
    ),
    ...(reconciler.inputsProblem === undefined ? [] : [`settings or template refused: ${reconciler.inputsProblem}\n`]),
    ...(reconciler.fileRefused === undefined ? [] : [`file refused: ${reconciler.fileRefused.join("; ")}\n`]),
    ...(reconciler.refused === undefined ? [] : [`structure refused: ${reconciler.refused.join("; ")}\n`]),
  ].join("");
}
