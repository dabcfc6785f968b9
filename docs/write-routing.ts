/** Brings the table of docs/routing.md up to date with the table of options: `npx tsx docs/write-routing.ts`. */
import { readFileSync, writeFileSync } from "node:fs";
import { withOptionsTable } from "../src/settings/options/describe-options.ts";

const file = new URL("routing.md", import.meta.url);
writeFileSync(file, withOptionsTable(readFileSync(file, "utf8")));
