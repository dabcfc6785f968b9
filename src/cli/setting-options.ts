import { type Command, Option } from "commander";
import { settingFlags } from "../settings/describe.ts";
import { type LoadedSettings, loadSettings } from "../settings/load.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Adds `--settings FILE` and one flag for each setting.
 *
 * @param sections those whose settings the command has a use for, as `consul`. Default: all
 */
export function addSettingOptions(command: Command, sections?: readonly string[]): Command {
  command.option("--settings <file>", "settings file (default: $SLUICE_SETTINGS, else sluice.yaml where it is there)");
  for (const { flag, description, default: value, choices } of flagsOf(sections)) {
    const shown = value === undefined ? description : `${description} (default: ${value})`;
    const option = new Option(`${flag} <value>`, shown);
    if (choices !== undefined && choices.length > 1) option.choices([...choices]);
    // Forty flags would bury the few words of the command itself: `sluice settings list` shows them.
    command.addOption(option.hideHelp());
  }
  const which = sections === undefined ? "Every setting" : `Every setting of ${sections.join(" and ")}`;
  const example = sections === undefined ? "--haproxy-directory" : flagsOf(sections)[0]?.flag;
  return command.addHelpText(
    "after",
    `\n${which} is a flag as well, ${example} for one: see \`sluice settings list\`.`,
  );
}

/**
 * The settings that this command line, the environment and the file say. Reads the file anew at each call.
 *
 * @param known the file that was read before: it must still be there
 * @param sections as {@link addSettingOptions} was given them
 */
export function settingsOf(
  command: Command,
  terminal: Terminal,
  known?: string,
  sections?: readonly string[],
): LoadedSettings {
  const options = command.opts<Record<string, string | undefined>>();
  const flags: Record<string, string | undefined> = {};
  for (const { key, flag } of flagsOf(sections)) flags[key] = options[optionName(flag)];
  return loadSettings({ file: known ?? options["settings"], env: terminal.env, flags });
}

function flagsOf(sections: readonly string[] | undefined): ReturnType<typeof settingFlags> {
  return settingFlags().filter(({ key }) => sections === undefined || sections.includes(key.split(".")[0] ?? ""));
}

/** The key under which commander keeps a long flag's value: `--haproxy-directory` → `haproxyDirectory`. */
function optionName(flag: string): string {
  return flag.replace(/^--/, "").replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
