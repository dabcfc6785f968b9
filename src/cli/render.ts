import type { Command } from "commander";
import { printConfig } from "../haproxy/config/print.ts";
import { statePaths } from "../store/paths.ts";
import { snapshotFor, versionIfThere, wishFor } from "./offline.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** `sluice render`: the haproxy.cfg that the template makes of the catalog. Changes nothing. */
export function addRenderCommand(program: Command, terminal: Terminal, _outcome: Outcome): void {
  const command = program
    .command("render")
    .description("print the haproxy.cfg that the template makes of the catalog; changes nothing")
    .option("--snapshot <file>", "a snapshot file instead of Consul, such as the state directory's snapshot.json")
    .option("--json", "text, map files and what was left out, as JSON")
    .addHelpText("after", "\nExample:\n  sluice render --settings sluice.yaml > haproxy.cfg");
  addSettingOptions(command).action(async () => {
    const { settings } = settingsOf(command, terminal);
    const options = command.opts<{ snapshot?: string; json?: boolean }>();
    const snapshot = await snapshotFor(settings, options.snapshot, new AbortController().signal);
    const paths = statePaths(settings.haproxy.directory);
    const haproxyVersion = await versionIfThere(settings);
    const { desired, assets, loadBalancer } = await wishFor(settings, snapshot, paths, { haproxyVersion });
    const text = printConfig(desired.config);
    if (options.json !== true) {
      terminal.out(text);
      for (const { service, instance, reason } of loadBalancer.excluded) {
        terminal.err(
          `left out: ${JSON.stringify(service)}${instance === undefined ? "" : ` (${JSON.stringify(instance)})`}: ${reason}\n`,
        );
      }
      return;
    }
    const files = { maps: Object.fromEntries(desired.maps), assets: Object.fromEntries(assets) };
    terminal.out(`${JSON.stringify({ text, ...files, excluded: loadBalancer.excluded }, undefined, 2)}\n`);
  });
}
