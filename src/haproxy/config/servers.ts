import { nesting } from "./conditions.ts";
import { addDefaultServer } from "./default-server.ts";
import { parseServerAddress } from "./server-address.ts";
import { parseServerOptions, type ServerOptions } from "./server-options.ts";
import type { DefaultServer, Line, Section, ServerLine } from "./types.ts";

const none: ReadonlyMap<number, ServerLine> = new Map();
const memory = new WeakMap<Section, ReadonlyMap<number, ServerLine>>();

/**
 * The `server` lines of a backend or listen section, in order. No others: `server-template`, servers within an `.if`
 * block and servers of other kinds of sections stay opaque lines, part of the structure. Remembered per Section.
 */
export function serverLines(section: Section): readonly ServerLine[] {
  return [...serversByLine(section).values()];
}

/** The same by index in `section.lines`. */
export function serversByLine(section: Section): ReadonlyMap<number, ServerLine> {
  if (!holdsServers(section.kind) || section.conditional === true) return none;
  const known = memory.get(section);
  if (known !== undefined) return known;
  const servers = new Map<number, ServerLine>();
  let inForce = section.inherited;
  let depth = 0;
  for (const [index, line] of section.lines.entries()) {
    depth = Math.max(0, depth + nesting(line));
    if (line.words[0] === "default-server") inForce = addDefaultServer(inForce, line, depth > 0);
    // A server needs a name and an address; HAProxy refuses the line otherwise.
    else if (line.words[0] === "server" && line.words.length >= 3 && depth === 0)
      servers.set(index, serverLine(line, inForce));
  }
  memory.set(section, servers);
  return servers;
}

/** Kinds of sections whose `server` lines are servers to balance over: in `peers`, `ring` and others they are something else. */
export function holdsServers(kind: string): boolean {
  return kind === "backend" || kind === "listen";
}

/** `server <name> <address>[:<port>] [<option> [<argument>]…]…` */
function serverLine(line: Line, inForce: DefaultServer | undefined): ServerLine {
  const [, name = "", written = "", ...words] = line.words;
  const own = parseServerOptions(words);
  const defaults = defaultOptions(inForce);
  return {
    name,
    ...parseServerAddress(written),
    weight: own.weight ?? defaults.weight ?? 1,
    maintenance: own.maintenance ?? defaults.maintenance ?? false,
    options: own.others,
    defaults: defaults.others,
    uncertain: line.variables !== undefined || (inForce?.uncertain ?? false),
    line,
  };
}

const noOptions: ServerOptions = parseServerOptions([]);
const optionsMemory = new WeakMap<DefaultServer, ServerOptions>();

/** Taken apart once for all servers below the same lines. */
function defaultOptions(inForce: DefaultServer | undefined): ServerOptions {
  if (inForce === undefined) return noOptions;
  const known = optionsMemory.get(inForce);
  if (known !== undefined) return known;
  const options = parseServerOptions(inForce.words);
  optionsMemory.set(inForce, options);
  return options;
}
