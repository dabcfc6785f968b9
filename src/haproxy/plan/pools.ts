import { holdsServers } from "../config/servers.ts";
import type { Config, Section } from "../config/types.ts";

/** Whether a section holds servers to balance over. */
export function isPool(section: Section): boolean {
  return holdsServers(section.kind);
}

/** The names of all sections that hold servers. */
export function poolNames(config: Config): ReadonlySet<string> {
  return new Set(config.sections.filter(isPool).map((section) => section.name ?? ""));
}
