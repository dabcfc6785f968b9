import { sectionsByKey } from "../config/equality.ts";
import { holdsServers, serverLines } from "../config/servers.ts";
import type { Config, Section, ServerLine } from "../config/types.ts";

/** Whether a section holds servers to balance over. */
export function isPool(section: Section): boolean {
  return holdsServers(section.kind);
}

/** The names of all sections that hold servers. */
export function poolNames(config: Config): ReadonlySet<string> {
  return new Set(config.sections.filter(isPool).map((section) => section.name ?? ""));
}

/** The section of this name that holds servers. */
export function poolSection(config: Config, name: string): Section | undefined {
  const sections = sectionsByKey(config);
  return sections.get(`backend ${name}`) ?? sections.get(`listen ${name}`);
}

/** The line of a server, as the configuration has it. */
export function serverLineOf(config: Config, backend: string, server: string): ServerLine | undefined {
  const section = poolSection(config, backend);
  return section && serverLines(section).find(({ name }) => name === server);
}
