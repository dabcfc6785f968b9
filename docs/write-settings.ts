/** Brings the table of docs/settings.md up to date with the schema: `npx tsx docs/write-settings.ts`. */
import { readFileSync, writeFileSync } from "node:fs";
import { withSettingsTable } from "../src/settings/describe.ts";

const file = new URL("settings.md", import.meta.url);
writeFileSync(file, withSettingsTable(readFileSync(file, "utf8")));
