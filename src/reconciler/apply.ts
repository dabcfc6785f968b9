import { serverLines } from "../haproxy/config/servers.ts";
import type { Config } from "../haproxy/config/types.ts";
import { advance } from "../haproxy/plan/advance.ts";
import { mapAfter } from "../haproxy/plan/map-steps.ts";
import { isOrdered } from "../haproxy/plan/map-use.ts";
import { inOrderOf, sameEntries } from "../haproxy/plan/maps.ts";
import { poolSection, serverLineOf } from "../haproxy/plan/pools.ts";
import {
  type BackendOperation,
  type Desired,
  isBackendOperation,
  isMapOperation,
  isServerOperation,
  type LeavingServer,
  type ObservedBackends,
  type Plan,
  type RuntimeOperation,
  type ServerPath,
} from "../haproxy/plan/types.ts";
import type { Clock } from "../support/clock.ts";
import type { EventLog } from "./events.ts";
import type { RuntimePort } from "./ports.ts";
import type { Running, RunningState } from "./running.ts";

export interface ApplyParts {
  readonly runtime: RuntimePort;
  readonly state: RunningState;
  readonly clock: Clock;
  readonly events: EventLog;
}

/**
 * Runs the plan's operations on the process and takes note of what HAProxy said of each. Called under the mutex.
 * An operation that fails makes the memory unbelieved: the next pass reads back.
 *
 * @param observed the read-back the plan was made from; undefined where the memory was believed
 * @returns whether all went well
 */
export async function applyPlan(
  parts: ApplyParts,
  plan: Plan,
  wanted: Desired,
  observed: ObservedBackends | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { state } = parts;
  state.changing = plan.operations.length > 0;
  try {
    return await applied(parts, plan, wanted, observed, signal);
  } finally {
    state.changing = false;
  }
}

async function applied(
  parts: ApplyParts,
  plan: Plan,
  wanted: Desired,
  observed: ObservedBackends | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { runtime, state, clock, events } = parts;
  const running = state.current;
  if (running === undefined) return true;
  const done: RuntimeOperation[] = [];
  if (plan.operations.length > 0) {
    state.changes += 1;
    const results = await runtime.apply(plan.operations, signal);
    for (const [index, operation] of plan.operations.entries()) {
      const result = results[index];
      if (result?.ok === true) {
        done.push(operation);
        note(state, operation, { running, observed }, clock);
      } else {
        state.doubt();
        const said =
          result === undefined ? "nothing" : `${JSON.stringify(result.answer)} to ${JSON.stringify(result.command)}`;
        events.emit("operation-refused", "warn", `HAProxy said ${said}; reading back what it runs`, { operation });
      }
    }
  }
  const complete = done.length === plan.operations.length;
  const steps = [...gone(running.config, observed), ...done];
  state.current = after(running, steps, wanted, plan.reload === undefined && complete);
  return complete;
}

/**
 * Servers the memory has and the process does not, as operations that take them out of the memory: deleted by somebody
 * else, or by an operator that was killed before it wrote that down. Needed where a change of structure is still to
 * come; otherwise what was wanted becomes the memory anyway.
 */
function gone(config: Config, observed: ObservedBackends | undefined): readonly RuntimeOperation[] {
  const steps: RuntimeOperation[] = [];
  for (const [backend, rows] of observed ?? []) {
    const section = poolSection(config, backend);
    const found = new Set(rows.map(({ name }) => name));
    for (const { name: server } of section === undefined ? [] : serverLines(section)) {
      if (!found.has(server)) steps.push({ kind: "retire-server", backend, server });
    }
  }
  return steps;
}

/** What runs after these operations. Without a change of structure left it is what was wanted, to the very object. */
function after(running: Running, done: readonly RuntimeOperation[], wanted: Desired, all: boolean): Running {
  const { structure } = running;
  if (all)
    return {
      config: wanted.config,
      maps: inOrderOf(wanted.maps, new Map([...running.maps, ...wanted.maps])),
      structure,
    };
  const maps = new Map(running.maps);
  for (const operation of done.filter(isMapOperation)) {
    const { file } = operation;
    const text = mapAfter(maps.get(file) ?? "", operation);
    // The wanted text itself where it says the same, so that the next comparison is one of the same strings.
    const target = wanted.maps.get(file);
    const same = target !== undefined && sameEntries(text, target, isOrdered(running.config, file));
    maps.set(file, same ? target : text);
  }
  const config = advance(running.config, done, wanted.config);
  return { config, maps: inOrderOf(wanted.maps, maps), structure };
}

/** What an operation was made from. */
interface Seen {
  readonly running: Running;
  readonly observed: ObservedBackends | undefined;
}

function note(state: RunningState, operation: RuntimeOperation, seen: Seen, clock: Clock): void {
  if (isBackendOperation(operation)) noteBackend(state, operation, seen);
  if (!isServerOperation(operation)) return;
  const path: ServerPath = `${operation.backend}/${operation.server}`;
  state.touched.add(operation.backend);
  if (operation.kind === "revive-server") state.leaving.delete(path);
  if (operation.kind === "retire-server") state.leaving.set(path, leavingServer(operation, seen, clock));
}

function noteBackend(state: RunningState, { kind, backend }: BackendOperation, { running }: Seen): void {
  if (kind === "add-backend") state.halfMade.add(backend);
  if (kind === "publish-backend") {
    state.leavingBackends.delete(backend);
    state.halfMade.delete(backend);
  }
  if (kind !== "unpublish-backend") return;
  state.leavingBackends.set(backend, { backend, defaults: poolSection(running.config, backend)?.from });
}

function leavingServer(
  { backend, server }: { readonly backend: string; readonly server: string },
  { running, observed }: Seen,
  clock: Clock,
): LeavingServer {
  const line = serverLineOf(running.config, backend, server);
  // Where somebody has sent it elsewhere, what was read back is where it is.
  const place = observed?.get(backend)?.find(({ name }) => name === server) ?? line;
  return {
    backend,
    server,
    address: line === undefined ? "" : (place?.address ?? ""),
    port: line === undefined ? 0 : (place?.port ?? 0),
    options: line === undefined ? undefined : [...line.defaults, ...line.options],
    since: clock.wall(),
  };
}
