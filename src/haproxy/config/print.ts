import type { Config } from "./types.ts";

/** The text of a configuration, each line as it was written and ended by a newline. */
export function printConfig(config: Config): string {
  const raws = config.preamble.map((line) => line.raw);
  for (const section of config.sections) {
    raws.push(section.header.raw);
    for (const line of section.lines) raws.push(line.raw);
  }
  return raws.length === 0 ? "" : `${raws.join("\n")}\n`;
}
