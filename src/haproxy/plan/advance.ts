import { nesting } from "../config/conditions.ts";
import { addDefaultServer } from "../config/default-server.ts";
import { sectionsByKey } from "../config/equality.ts";
import { parseServerOptions, type ServerOptions } from "../config/server-options.ts";
import { serverLines, serversByLine } from "../config/servers.ts";
import type { Config, DefaultServer, Line, Section, ServerLine } from "../config/types.ts";
import { quoteWord } from "../config/words.ts";
import { isServerOperation } from "./operations.ts";
import { isPool } from "./pools.ts";
import { allWords, sameWords } from "./server-words.ts";
import type { RuntimeOperation, ServerOperation } from "./types.ts";

/**
 * The configuration that says what runs after these operations on a process that runs `current`: its structure with the
 * servers that were added, less those that were retired, with the weights and states that were set. Used while a change
 * of structure waits or was refused; without one, what was wanted is what runs.
 *
 * Sections without an operation come back as the same objects.
 *
 * @param operations of a plan from `current` to `wanted`, those that were done
 */
export function advance(current: Config, operations: readonly RuntimeOperation[], wanted: Config): Config {
  const byBackend = new Map<string, ServerOperation[]>();
  for (const operation of operations) {
    if (!isServerOperation(operation)) continue;
    const list = byBackend.get(operation.backend);
    if (list === undefined) byBackend.set(operation.backend, [operation]);
    else list.push(operation);
  }
  if (byBackend.size === 0) return current;
  const advanced = new Map<Section, Section>();
  const targets = sectionsByKey(wanted);
  for (const [key, section] of sectionsByKey(current)) {
    const own = isPool(section) ? byBackend.get(section.name ?? "") : undefined;
    if (own !== undefined) advanced.set(section, advanceSection(section, own, targets.get(key)));
  }
  return { ...current, sections: current.sections.map((section) => advanced.get(section) ?? section) };
}

/** How a server stands after some operations. */
interface Standing {
  /** Its line as it stands now, or as wanted where it was added. */
  readonly from: ServerLine;
  readonly weight: number;
  readonly maintenance: boolean;
}

function advanceSection(
  section: Section,
  operations: readonly ServerOperation[],
  target: Section | undefined,
): Section {
  const wanted = new Map((target === undefined ? [] : serverLines(target)).map((line) => [line.name, line]));
  const present = new Map(serverLines(section).map((line) => [line.name, line]));
  /** By name; undefined for a server that is gone. */
  const touched = new Map<string, Standing | undefined>();
  for (const operation of operations) {
    const name = operation.server;
    const fresh = wanted.get(name);
    // Without a line of its own it is one that only a read-back knew: the wanted line says what it is.
    const before = touched.get(name) ?? standing(present.get(name) ?? fresh);
    switch (operation.kind) {
      case "add-server":
      case "revive-server":
        touched.set(name, standing(fresh));
        break;
      case "retire-server":
        touched.set(name, undefined);
        break;
      case "set-weight":
        if (before !== undefined) touched.set(name, { ...before, weight: operation.weight });
        break;
      case "set-state":
        if (before !== undefined) touched.set(name, { ...before, maintenance: operation.state === "maint" });
        break;
    }
  }

  const known = serversByLine(section);
  const lines: Line[] = [];
  // Behind the last line with words that no .if encloses.
  let end = 0;
  let depth = 0;
  let inForce = section.inherited;
  for (const [index, line] of section.lines.entries()) {
    const server = known.get(index);
    if (server === undefined || !touched.has(server.name)) lines.push(line);
    else {
      const now = touched.get(server.name);
      if (now !== undefined) lines.push(lineOf(now, wanted.get(server.name), optionsOf(inForce)));
    }
    depth = Math.max(0, depth + nesting(line));
    if (line.words[0] === "default-server") inForce = addDefaultServer(inForce, line, depth > 0);
    if (line.words.length > 0 && depth === 0) end = lines.length;
  }
  const atEnd = optionsOf(inForce);
  const added: Line[] = [];
  for (const [name, now] of touched) {
    if (now !== undefined && !present.has(name)) added.push(lineOf(now, wanted.get(name), atEnd));
  }
  lines.splice(end, 0, ...added);
  return { ...section, lines };
}

function optionsOf(inForce: DefaultServer | undefined): ServerOptions {
  return parseServerOptions(inForce?.words ?? []);
}

function standing(line: ServerLine | undefined): Standing | undefined {
  return line === undefined ? undefined : { from: line, weight: line.weight, maintenance: line.maintenance };
}

/**
 * The line of a server below these default-server words: the wanted one, or the one it has, where that says just how it
 * stands; else one made of the words it runs with.
 */
function lineOf(now: Standing, wanted: ServerLine | undefined, inForce: ServerOptions): Line {
  const { from, weight, maintenance } = now;
  if (wanted !== undefined && says(wanted, now, inForce)) return wanted.line;
  if (says(from, now, inForce)) return from.line;
  const words = [
    ...from.line.words.slice(0, 3),
    ...(sameWords(from.defaults, inForce.others) ? from.options : allWords(from)),
    "weight",
    String(weight),
    ...(maintenance ? ["disabled"] : inForce.maintenance === true ? ["enabled"] : []),
  ];
  const indent = /^\s*/.exec(from.line.raw)?.[0] ?? "";
  return { raw: indent + words.map(quoteWord).join(" "), words };
}

/** Whether a server's line, put below these default-server words, says how a server stands. */
function says({ address, port, line }: ServerLine, now: Standing, inForce: ServerOptions): boolean {
  const own = parseServerOptions(line.words.slice(3));
  return (
    address === now.from.address &&
    port === now.from.port &&
    (own.weight ?? inForce.weight ?? 1) === now.weight &&
    (own.maintenance ?? inForce.maintenance ?? false) === now.maintenance &&
    sameWords([...inForce.others, ...own.others], allWords(now.from))
  );
}
