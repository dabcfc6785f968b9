import { readFileSync } from "node:fs";

/** Sluice's own version, from its package.json; the file stands one folder above both `src` and `dist`. */
export const version: string = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
).version;
