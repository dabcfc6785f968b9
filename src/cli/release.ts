import type { Command } from "commander";
import { statePaths } from "../store/paths.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** `sluice release`: has the running operator let go of instances that it holds against the catalog's word. */
export function addReleaseCommand(program: Command, terminal: Terminal, _outcome: Outcome): void {
  const command = program
    .command("release")
    .description("let go of instances that are held although the catalog lost them, because it is right")
    .argument("<service>", "the service, or one instance: <service>/<id> or <service>/<node>/<id>")
    .option("--json", "the answer as JSON")
    .addHelpText("after", "\nExample:\n  sluice release web --settings sluice.yaml\n  sluice release web/web-3");
  addSettingOptions(command).action(async (service: string) => {
    const { settings } = settingsOf(command, terminal);
    const { askOperator } = await import("../admin/client.ts");
    const socket = statePaths(settings.haproxy.directory).adminSocket;
    const answer = await askOperator<{ readonly released: number }>(socket, "/v1/release", "POST", { service });
    const json = command.opts<{ json?: boolean }>().json === true;
    const { released } = answer;
    terminal.out(json ? `${JSON.stringify(answer)}\n` : `${released} ${released === 1 ? "hold" : "holds"} let go\n`);
  });
}
