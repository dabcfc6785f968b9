import type { Config } from "../haproxy/config/types.ts";
import { withoutMissing } from "../haproxy/plan/backends.ts";
import { isOrdered } from "../haproxy/plan/map-use.ts";
import { mapText, sameEntries } from "../haproxy/plan/maps.ts";
import { observedBackends } from "../haproxy/plan/plan.ts";
import { poolNames } from "../haproxy/plan/pools.ts";
import type { ObservedBackends, ServerPath } from "../haproxy/plan/types.ts";
import type { ObservedServer } from "../haproxy/runtime/types.ts";
import type { Clock } from "../support/clock.ts";
import type { RuntimePort } from "./ports.ts";
import type { RunningState } from "./running.ts";

export type ReadBack =
  | { readonly kind: "known"; readonly servers: ObservedBackends; readonly rows: readonly ObservedServer[] }
  /** The process runs a structure that is not the live file's. */
  | { readonly kind: "unknown-structure"; readonly found: string | undefined };

/**
 * Reads everything back from the process and brings the memory in line with it: which worker answers, which servers
 * there are, what the maps hold, which servers are still leaving. Called under the mutex. Throws when the process does
 * not answer.
 */
export async function readBack(
  runtime: RuntimePort,
  state: RunningState,
  clock: Clock,
  signal: AbortSignal,
): Promise<ReadBack> {
  const running = state.current;
  const observation = await runtime.observe(undefined, signal);
  if (observation.worker.pid !== state.workerPid) {
    // Another worker than the warm connection's: what was asked of the old one no longer counts.
    state.workerPid = observation.worker.pid;
    await runtime.reconnect(signal);
  }
  if (running === undefined || observation.structure !== running.structure) {
    return { kind: "unknown-structure", found: observation.structure };
  }
  const maps = new Map<string, string>();
  for (const [path, believed] of running.maps) {
    const entries = await runtime.readMap(path, signal);
    if (entries === undefined) continue;
    const text = mapText(entries);
    maps.set(path, sameEntries(text, believed, isOrdered(running.config, path)) ? believed : text);
  }
  const { backends } = observation;
  // Another worker, started on a file that did not have them yet, has no backends that were made at run time.
  const config = backends === undefined ? running.config : withoutMissing(running.config, backends);
  state.current = { ...running, config, maps };
  settleLeaving(state, observation.servers, clock);
  for (const name of state.leavingBackends.keys())
    if (backends?.has(name) === false) state.leavingBackends.delete(name);
  for (const name of state.halfMade) if (backends?.has(name) === false) state.halfMade.delete(name);
  const pools = poolNames(config);
  if (!state.met) for (const name of backends ?? []) if (!isSection(config, name)) state.halfMade.add(name);
  state.met = true;
  return { kind: "known", servers: observedBackends(observation.servers, pools), rows: observation.servers };
}

function isSection({ sections }: Config, backend: string): boolean {
  return sections.some(({ kind, name }) => name === backend && (kind === "backend" || kind === "listen"));
}

/** Forgets leaving servers that are gone, or that somebody has let in again: those are servers like any other now. */
function settleLeaving(state: RunningState, rows: readonly ObservedServer[], clock: Clock): void {
  if (state.leaving.size === 0) return;
  const found = new Map(rows.map((row) => [`${row.backend}/${row.name}` satisfies ServerPath, row]));
  const now = clock.wall();
  for (const [path, server] of state.leaving) {
    const row = found.get(path);
    if (row === undefined || !row.maintenance) state.leaving.delete(path);
    // A clock that was set back would make it wait for ever.
    else if (server.since > now) state.leaving.set(path, { ...server, since: now });
  }
}
