import { nesting } from "../config/conditions.ts";
import { addDefaultServer } from "../config/default-server.ts";
import { sectionsByKey } from "../config/equality.ts";
import { parseServerOptions, type ServerOptions } from "../config/server-options.ts";
import { serverLines, serversByLine } from "../config/servers.ts";
import type { Config, DefaultServer, Line, Section, ServerLine } from "../config/types.ts";
import { quoteWord } from "../config/words.ts";
import { isPool } from "./pools.ts";
import { allWords, sameWords } from "./server-words.ts";
import {
  type BackendOperation,
  isBackendOperation,
  isServerOperation,
  type RuntimeOperation,
  type ServerOperation,
} from "./types.ts";

/**
 * The configuration that says what runs after these operations on a process that runs `current`: its structure with the
 * backends and servers that were added, less those that went, with the weights and states that were set. Used while a change
 * of structure waits or was refused; without one, what was wanted is what runs.
 *
 * Sections without an operation come back as the same objects.
 *
 * @param operations of a plan from `current` to `wanted`, those that were done
 */
export function advance(current: Config, operations: readonly RuntimeOperation[], wanted: Config): Config {
  const byBackend = new Map<string, ServerOperation[]>();
  const backends = new Map<string, BackendOperation>();
  for (const operation of operations) {
    if (isBackendOperation(operation)) backends.set(operation.backend, operation);
    if (!isServerOperation(operation)) continue;
    const list = byBackend.get(operation.backend);
    if (list === undefined) byBackend.set(operation.backend, [operation]);
    else list.push(operation);
  }
  if (byBackend.size + backends.size === 0) return current;
  const targets = sectionsByKey(wanted);
  const advanced = new Map<Section, Section>();
  for (const [key, section] of sectionsByKey(current)) {
    const own = isPool(section) ? byBackend.get(section.name ?? "") : undefined;
    if (own !== undefined) advanced.set(section, advanceSection(section, own, targets.get(key)));
  }
  const left = current.sections.filter(({ kind, name = "" }) => {
    return kind !== "backend" || backends.get(name)?.kind !== "unpublish-backend";
  });
  const sections = left.map((section) => advanced.get(section) ?? section);
  for (const [name, { kind }] of backends) {
    const target = targets.get(`backend ${name}`);
    if (kind !== "publish-backend" || target === undefined) continue;
    const made = advanceSection({ ...target, lines: [] }, byBackend.get(name) ?? [], target);
    sections.splice(placeOf(target, wanted.sections, sections), 0, made);
  }
  return { ...current, sections };
}

/** Where a section belongs: behind the nearest one that stands before it where it is wanted. */
function placeOf(target: Section, wanted: readonly Section[], sections: readonly Section[]): number {
  for (let at = wanted.indexOf(target) - 1; at >= 0; at -= 1) {
    const before = wanted[at];
    const place = sections.findIndex(({ kind, name }) => kind === before?.kind && name === before.name);
    if (place !== -1) return place + 1;
  }
  return sections.length;
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
