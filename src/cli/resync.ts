import type { Command } from "commander";
import { statePaths } from "../store/paths.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** `sluice resync`: has the running operator compare what really runs with what is wanted, now. */
export function addResyncCommand(program: Command, terminal: Terminal, _outcome: Outcome): void {
  const command = program
    .command("resync")
    .description("have the running operator read back what HAProxy runs and settle what differs, now")
    .option("--json", "the answer as JSON")
    .addHelpText("after", "\nExample:\n  sluice resync --settings sluice.yaml");
  addSettingOptions(command).action(async () => {
    const { settings } = settingsOf(command, terminal);
    const { askOperator } = await import("../admin/client.ts");
    const socket = statePaths(settings.haproxy.directory).adminSocket;
    const answer = await askOperator<{ readonly accepted: boolean }>(socket, "/v1/resync", "POST");
    const json = command.opts<{ json?: boolean }>().json === true;
    terminal.out(json ? `${JSON.stringify(answer)}\n` : "asked; `sluice status` shows what came of it\n");
  });
}
