import { mapEntries } from "../haproxy/plan/maps.ts";
import { planChanges } from "../haproxy/plan/plan.ts";
import { serverLineOf } from "../haproxy/plan/pools.ts";
import {
  type Desired,
  isServerOperation,
  type LeavingServer,
  type ObservedBackends,
  type ServerOperation,
  type ServerPath,
} from "../haproxy/plan/types.ts";
import type { Capabilities, ObservedServer } from "../haproxy/runtime/types.ts";
import { type EventLog, mostInEvent } from "./events.ts";

/** Something of the running process that is not as it was left: somebody else has changed it. */
export interface Drift {
  /** `backend/server`, or a map's file and key. */
  readonly subject: string;
  /** What was found, and what was expected, as words. */
  readonly found: string;
  readonly expected: string;
}

export interface DriftInput {
  /** What is believed to run. */
  readonly believed: Desired;
  readonly observed: ObservedBackends;
  readonly capabilities: Capabilities;
  readonly leaving: ReadonlyMap<ServerPath, LeavingServer>;
}

/**
 * How the servers differ from what is believed of them, as far as that can be set right at run time; the rest is a reason
 * for a reload, which names it.
 */
export function serverDrift({ believed, observed, capabilities, leaving }: DriftInput): readonly Drift[] {
  const plan = planChanges({ current: believed, wanted: believed, capabilities, leaving, observed });
  return plan.operations.flatMap((operation): readonly Drift[] => {
    // The same map on both sides.
    if (!isServerOperation(operation)) return [];
    const { backend, server } = operation;
    const row = observed.get(backend)?.find(({ name }) => name === server);
    const { found, expected } = wordsOf(operation, row, believed);
    return [{ subject: `${backend}/${server}`, found, expected }];
  });
}

/** How the entries of maps differ. */
export function mapDrift(believed: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): readonly Drift[] {
  const drift: Drift[] = [];
  for (const [path, text] of believed) {
    const other = found.get(path);
    if (other === text) continue;
    if (other === undefined) {
      drift.push({ subject: path, found: "not loaded", expected: "loaded" });
      continue;
    }
    const [before, now] = [valuesByKey(text), valuesByKey(other)];
    const keys = [...new Set([...before.keys(), ...now.keys()])].sort();
    const differing = keys.filter((key) => before.get(key) !== now.get(key));
    if (differing.length === 0) drift.push({ subject: path, found: "another order", expected: "the file's" });
    for (const key of differing) {
      drift.push({ subject: `${path} ${key}`, found: valueText(now.get(key)), expected: valueText(before.get(key)) });
    }
  }
  return drift;
}

/** One event that names the first of them and how many there are; none where there is none. */
export function announceDrift(events: EventLog, drift: readonly Drift[]): void {
  if (drift.length === 0) return;
  const shown = drift.slice(0, mostInEvent);
  const sentences = shown.map(({ subject, found, expected }) => `${subject}: ${found}, should be ${expected}`);
  const more = drift.length > shown.length ? `; and ${drift.length - shown.length} more` : "";
  events.emit("drift", "warn", `changed by somebody else, set again: ${sentences.join("; ")}${more}`, {
    drift: shown,
    count: drift.length,
  });
}

function wordsOf(
  operation: ServerOperation,
  row: ObservedServer | undefined,
  { config }: Desired,
): Pick<Drift, "found" | "expected"> {
  if (operation.kind === "add-server") {
    return { found: "not there", expected: `${operation.address}:${operation.port} weight ${operation.weight}` };
  }
  if (operation.kind === "set-weight") {
    return { found: `weight ${row?.weight}`, expected: `weight ${operation.weight}` };
  }
  if (operation.kind === "retire-server") {
    const line = serverLineOf(config, operation.backend, operation.server);
    const expected = line === undefined ? "not there" : `${line.address}:${line.port}`;
    return { found: `${row?.address}:${row?.port}`, expected };
  }
  const found = row?.maintenance === true ? "maintenance" : row?.drain === true ? "drain" : "ready";
  return { found, expected: operation.kind === "set-state" ? operation.state : "ready" };
}

/** The values of each key in their order. */
function valuesByKey(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const { key, value } of mapEntries(text)) {
    const before = values.get(key);
    values.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return values;
}

function valueText(value: string | undefined): string {
  return value === undefined ? "not there" : JSON.stringify(value);
}
