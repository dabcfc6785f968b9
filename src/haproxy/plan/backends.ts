import { sectionsEqual } from "../config/equality.ts";
import { serversByLine } from "../config/servers.ts";
import type { Config, Section } from "../config/types.ts";
import { planServers, type ServerChanges } from "./servers.ts";
import type { PlanInput } from "./types.ts";

/**
 * The steps that make a backend on a process that has none of its name: it is added, filled, and published last, so that
 * no request meets it half made. One that is still leaving is filled and published again.
 *
 * Only what `add backend` can say is made so: a name and named defaults that are loaded as they are wanted (management
 * guide 9.3 of 3.4, `add backend`); whatever else a section says takes a reload.
 *
 * @returns undefined where it takes a reload
 */
export function planNewBackend(input: PlanInput, wanted: Section): ServerChanges | undefined {
  const { current, capabilities, leaving, leavingBackends } = input;
  const { name, from } = wanted;
  if (!capabilities.dynamicBackends || name === undefined || from === undefined || !saysNothingElse(wanted)) {
    return undefined;
  }
  if (!sameDefaults(from, current.config, input.wanted.config)) return undefined;
  const left = leavingBackends?.get(name);
  if (left !== undefined && left.defaults !== from) return undefined;
  const empty: Section = { ...wanted, lines: [] };
  const servers = planServers({ currentConfig: current.config, current: empty, wanted, capabilities, leaving });
  if (servers.reload.length > 0) return undefined;
  return {
    operations: [
      ...(left === undefined ? [{ kind: "add-backend", backend: name, defaults: from } as const] : []),
      ...servers.operations,
      { kind: "publish-backend", backend: name },
    ],
    reload: [],
    changes: [
      { subject: name, sentence: left === undefined ? "is new" : "is back before it was gone" },
      ...servers.changes,
    ],
  };
}

/**
 * The steps that take a backend away: no request is sent to it any more, and its servers leave. It is deleted later,
 * when it is empty.
 *
 * @returns undefined where it takes a reload
 */
export function planGoneBackend(input: PlanInput, now: Section): ServerChanges | undefined {
  const { capabilities, current, leaving, observed } = input;
  const { name } = now;
  if (!capabilities.dynamicBackends || name === undefined || now.from === undefined || !saysNothingElse(now)) {
    return undefined;
  }
  const rows = observed?.get(name);
  const servers = planServers({
    currentConfig: current.config,
    current: now,
    wanted: { ...now, lines: [] },
    capabilities,
    leaving,
    ...(rows !== undefined && { observed: rows }),
  });
  return {
    operations: [{ kind: "unpublish-backend", backend: name }, ...servers.operations],
    reload: [],
    changes: [{ subject: name, sentence: "is gone" }, ...servers.changes],
  };
}

/** Less the backends that were made at run time, or could have been, and are not there. */
export function withoutMissing(config: Config, there: ReadonlySet<string>): Config {
  const sections = config.sections.filter((one) => there.has(one.name ?? "") || !saysNothingElse(one));
  return sections.length === config.sections.length ? config : { ...config, sections };
}

/** `backend <name> from <defaults>` and servers. */
function saysNothingElse(section: Section): boolean {
  const { kind, header, conditional, lines } = section;
  if (kind !== "backend" || conditional === true || header.words.length !== 4 || header.variables !== undefined) {
    return false;
  }
  const servers = serversByLine(section);
  return lines.every(({ words }, index) => words.length === 0 || servers.has(index));
}

/** Whether both have one section of these defaults, and it says the same, with all it inherits. */
function sameDefaults(name: string, current: Config, wanted: Config): boolean {
  const [now, ...others] = named(name, current);
  const [next, ...more] = named(name, wanted);
  if (now === undefined || next === undefined || others.length + more.length > 0) return false;
  if (!sectionsEqual(now, next, { ignoreServers: false })) return false;
  return now.from === undefined || sameDefaults(now.from, current, wanted);
}

function named(name: string, { sections }: Config): readonly Section[] {
  return sections.filter((section) => section.kind === "defaults" && section.name === name);
}
