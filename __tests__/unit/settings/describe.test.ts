import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import {
  maskSettings,
  settingFlags,
  settingsJsonSchema,
  settingsTable,
  withSettingsTable,
} from "../../../src/settings/describe.ts";
import { settingKeys } from "../../../src/settings/keys.ts";
import { settingsSchema } from "../../../src/settings/schema.ts";

describe("the documentation of settings", () => {
  test("is up to date (npx tsx docs/write-settings.ts)", () => {
    const document = readFileSync(new URL("../../../docs/settings.md", import.meta.url), "utf8");
    expect(document).toContain("| Key | Environment |");
    expect(document).toBe(withSettingsTable(document));
  });

  test("names each setting once, with its variable and its default as a person writes it", () => {
    const lines = settingsTable().split("\n");
    expect(lines).toHaveLength(settingKeys().length + 2);
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^\| `haproxy\.drainTimeout` \| `SLUICE_HAPROXY_DRAIN_TIMEOUT` \| `30s` \| at once \| .+ \|$/,
      ),
    );
    expect(lines).toContainEqual(
      expect.stringMatching(/^\| `services\.options` \| in the file alone \| not set \| at once \| .+ \|$/),
    );
    for (const line of lines) expect(line.split(/(?<!\\)\|/)).toHaveLength(7);
  });

  test("a table is put between its marks only", () => {
    expect(withSettingsTable("no marks")).toBe("no marks");
    const marked =
      "before\n<!-- settings: generated from the schema, do not edit -->\noutdated\n<!-- end of settings -->\nafter\n";
    const written = withSettingsTable(marked);
    expect(written).toMatch(/^before\n[\s\S]*\nafter\n$/);
    expect(written).not.toContain("outdated");
    expect(written).toContain(settingsTable());
  });
});

describe("masked settings", () => {
  test("show no secret and everything else", () => {
    const settings = settingsSchema.parse({ consul: { token: "s3cret" }, stats: { password: "s3cret", user: "me" } });
    const masked = maskSettings(settings);
    expect(JSON.stringify(masked)).not.toContain("s3cret");
    expect(masked).toEqual({
      ...settings,
      consul: { ...settings.consul, token: "***" },
      stats: { ...settings.stats, password: "***" },
    });
    expect(settings.consul.token).toBe("s3cret");
  });

  test("do not claim a secret that is not set", () => {
    expect(maskSettings(settingsSchema.parse({})).consul).not.toHaveProperty("token");
  });
});

describe("flags", () => {
  test("there is one for each setting but documents, with choices where they can be listed", () => {
    const flags = settingFlags();
    const others = settingKeys().filter(({ kind }) => kind !== "document");
    expect(flags.map((flag) => flag.key)).toEqual(others.map((key) => key.path));
    expect(flags.find((flag) => flag.key === "haproxy.onStop")).toEqual({
      key: "haproxy.onStop",
      flag: "--haproxy-on-stop",
      description: expect.any(String),
      default: "leave",
      choices: ["leave", "stop"],
    });
  });

  test("a secret's tells that others can read it, and no default", () => {
    const flag = settingFlags().find((one) => one.key === "stats.password");
    expect(flag?.description).toContain("list of processes");
    expect(flag?.default).toBeUndefined();
  });
});

describe("the JSON schema", () => {
  test("refuses unknown keys and gives defaults as they are written", () => {
    expect(settingsJsonSchema()).toMatchObject({
      type: "object",
      additionalProperties: false,
      properties: {
        haproxy: { additionalProperties: false, properties: { drainTimeout: { default: "30s" } } },
        resync: { default: "1m" },
        services: {
          properties: {
            options: {
              additionalProperties: {
                properties: { "timeout.server": { description: expect.any(String), examples: ["5m"] } },
              },
            },
          },
        },
        log: { properties: { level: { enum: ["debug", "info", "warn", "error"], default: "info" } } },
      },
    });
  });
});
