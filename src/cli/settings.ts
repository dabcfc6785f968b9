import type { Command } from "commander";
import { maskSettings, settingsJsonSchema } from "../settings/describe.ts";
import { settingAt, settingKeys } from "../settings/keys.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import { type Outcome, type Terminal, table } from "./terminal.ts";

/** `sluice settings`: what can be set, and what is set. */
export function addSettingsCommand(program: Command, terminal: Terminal, _outcome: Outcome): void {
  const settings = program.command("settings").description("what can be set, and what is set");
  settings
    .command("schema")
    .description("print the JSON Schema of the settings file, for editors and checks")
    .addHelpText("after", "\nExample:\n  sluice settings schema > sluice.schema.json")
    .action(() => terminal.out(`${JSON.stringify(settingsJsonSchema(), undefined, 2)}\n`));
  const list = settings
    .command("list")
    .description("print every setting: the value in force, where it came from, its flag and meaning")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExample:\n  sluice settings list --settings sluice.yaml");
  addSettingOptions(list).action(() => {
    const { settings: inForce, origins } = settingsOf(list, terminal);
    const masked = maskSettings(inForce);
    const rows = settingKeys().map(({ path, flag, description }) => ({
      key: path,
      value: settingAt(masked, path),
      origin: origins.get(path) ?? "default",
      flag,
      description,
    }));
    if (list.opts<{ json?: boolean }>().json === true) terminal.out(`${JSON.stringify(rows, undefined, 2)}\n`);
    else {
      const cells = rows.map((row) => [row.key, shown(row.value), row.origin, row.flag ?? "-", row.description]);
      terminal.out(table([["SETTING", "VALUE", "FROM", "FLAG", "MEANING"], ...cells]));
    }
  });
}

function shown(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value ?? "-");
  return Object.keys(value).length === 0 ? "-" : JSON.stringify(value);
}
