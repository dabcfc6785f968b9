/** Brings the table of docs/template.md up to date with the view's schema: `npx tsx docs/write-view.ts`. */
import { readFileSync, writeFileSync } from "node:fs";
import { withViewTable } from "../src/render/describe.ts";

const file = new URL("template.md", import.meta.url);
writeFileSync(file, withViewTable(readFileSync(file, "utf8")));
