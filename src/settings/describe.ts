import { z } from "zod";
import { isLive } from "./compare.ts";
import { settingAt, settingKeys } from "./keys.ts";
import { tableRow, withTable } from "./marked-table.ts";
import { optionKeys } from "./options/read-options.ts";
import { optionTable } from "./options/table.ts";
import { type Settings, settingsSchema } from "./schema.ts";

/** What a command line needs to register a setting. */
export interface SettingFlag {
  /** Key path, the name under which `loadSettings` takes the flag's value: `haproxy.drainTimeout`. */
  readonly key: string;
  /** `--haproxy-drain-timeout` */
  readonly flag: string;
  readonly description: string;
  /** As a person writes it; for the help text only, a flag that is not given has no value. */
  readonly default: string | undefined;
  readonly choices?: readonly string[];
}

const mask = "***";
const marks = ["<!-- settings: generated from the schema, do not edit -->", "<!-- end of settings -->"] as const;

/** One flag for each setting but documents, which only the file can hold. A secret given as a flag shows in the list of processes; its description says so. */
export function settingFlags(): readonly SettingFlag[] {
  return settingKeys().flatMap(({ path, flag, description, default: value, choices, sensitive }) => {
    if (flag === undefined) return [];
    return {
      key: path,
      flag,
      description: sensitive
        ? `${description} Others on this machine can read it from the list of processes.`
        : description,
      default: sensitive ? undefined : value,
      ...(choices === undefined ? {} : { choices }),
    };
  });
}

/** All settings as a Markdown table. */
export function settingsTable(): string {
  const rows = settingKeys().map(({ path, environment, default: value, choices, description }) => {
    const meaning =
      choices === undefined || choices.length < 2 ? description : `${description} (${choices.join(", ")})`;
    const cells = [
      `\`${path}\``,
      environment === undefined ? "in the file alone" : `\`${environment}\``,
      value === undefined ? "not set" : value === "" ? "empty" : `\`${value}\``,
      isLive(path) ? "at once" : "restart",
      meaning,
    ];
    return tableRow(cells);
  });
  return [
    "| Key | Environment | Default | A change applies | Meaning |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

/** docs/settings.md with its table brought up to date; a document without its marks is left as it is. */
export function withSettingsTable(document: string): string {
  return withTable(document, marks, settingsTable());
}

/** The settings with each secret that is set replaced, for people and logs. */
export function maskSettings(settings: Settings): Settings {
  const masked = structuredClone(settings);
  for (const { path, sensitive } of settingKeys()) {
    const dot = path.lastIndexOf(".");
    const section = dot < 0 ? masked : settingAt(masked, path.slice(0, dot));
    if (sensitive && settingAt(masked, path) !== undefined)
      Object.assign(section as object, { [path.slice(dot + 1)]: mask });
  }
  return masked;
}

/** JSON Schema (draft 2020-12) of the settings file, for editors; the defaults are those a person would write. */
export function settingsJsonSchema(): object {
  const durations = new Map(
    settingKeys()
      .filter((key) => key.kind === "duration")
      .map((key) => [`properties.${key.path.split(".").join(".properties.")}`, key.default]),
  );
  return {
    title: "Settings of Sluice",
    ...z.toJSONSchema(settingsSchema, {
      io: "input",
      override: ({ jsonSchema, path }) => {
        const value = durations.get(path.join("."));
        if (value !== undefined) jsonSchema.default = value;
        if (path.join(".") === "properties.services.properties.options.additionalProperties") {
          // Nested sections are taken too, so other keys are not refused here.
          jsonSchema.properties = Object.fromEntries(
            optionKeys.map((key) => [
              key,
              { description: optionTable[key].describe, examples: [optionTable[key].example] },
            ]),
          );
        }
      },
    }),
  };
}
