import { structureOf } from "../haproxy/config/global-lines.ts";
import { parseConfig } from "../haproxy/config/parse.ts";
import type { Position } from "../haproxy/config/position.ts";
import { printConfig } from "../haproxy/config/print.ts";
import type { Config } from "../haproxy/config/types.ts";
import { inBoth, mapTargets } from "../haproxy/plan/map-targets.ts";
import { inOrderOf } from "../haproxy/plan/maps.ts";
import { poolNames } from "../haproxy/plan/pools.ts";
import type { ReloadReason } from "../haproxy/plan/types.ts";
import type { WorkerInfo } from "../haproxy/runtime/types.ts";
import { hexDigest } from "../support/digest.ts";
import { SluiceError, toSluiceError } from "../support/errors.ts";
import { candidateOf } from "./candidate.ts";
import { type BusyBind, busyBinds } from "./closed-ports.ts";
import { explain, placesOf, pointsAtServer, structureDigest } from "./commit.ts";
import type { Wish } from "./desire.ts";
import { mostInEvent } from "./events.ts";
import { type Doubting, doubtKnownDown } from "./known-down.ts";
import type { LaneParts } from "./lane.ts";
import type { Running } from "./running.ts";
import { writeMaps } from "./write-maps.ts";

export type StructureRequest =
  | WishRequest
  /** Loads the file that is in place, to know again what runs. */
  | { readonly kind: "live-file"; readonly reasons: readonly ReloadReason[] };

interface WishRequest {
  readonly kind: "wish";
  readonly wish: Wish;
  readonly reasons: readonly ReloadReason[];
}

export type StructureOutcome =
  | { readonly kind: "loaded"; readonly structure: string }
  | {
      readonly kind: "refused";
      /** `start`: nothing ran, and it could not be started. */
      readonly stage: "validate" | "preflight" | "reload" | "start";
      /** Digest of what was refused. */
      readonly refused: RefusedDigest;
      /** In words, with file, line and section where known. */
      readonly problems: readonly string[];
      /** What the lines belong to that `haproxy -c` named. */
      readonly places?: readonly Position[];
      /** What the preflight could not listen on. */
      readonly busy?: readonly BusyBind[];
    };

/** Whether it was asked for because no HAProxy runs, for the one that is started next. All others are for the one that runs. */
export function isForStart({ reasons }: StructureRequest): boolean {
  return reasons.some(({ code }) => code === "process-started");
}

/**
 * What a refusal is remembered by: the structure, since endpoints come and go without HAProxy's taking it for that; the
 * whole configuration where HAProxy pointed at a server's line.
 */
export interface RefusedDigest {
  readonly of: "structure" | "configuration";
  readonly digest: string;
}

/** Whether a configuration is the one that was refused. */
export function isRefused(config: Config, { of, digest }: RefusedDigest): boolean {
  return digest === (of === "structure" ? structureDigest(config) : hexDigest(printConfig(config)));
}

/**
 * Takes the process to another structure: validate and preflight the candidate, put file and maps in place, reload (or
 * start), and believe it only when a new worker answers. A refusal at any stage leaves the old file and the old process;
 * an abort behind the reload's command leaves the new file, since the reload goes on without us: the next life finds out
 * by the structure's digest what came of it.
 *
 * The maps put in place name no backend that the old structure lacks, so that whichever of the two is loaded by anyone
 * at any moment finds all that its maps name; routes to what is new follow at run time. Servers that are known to be
 * down are loaded with weight 0.
 *
 * @returns overtaken: HAProxy has gone meanwhile, and whoever starts it is to start it on the file it has run; nothing
 *   was put in place
 */
export async function changeStructure(
  parts: LaneParts & { readonly doubting: Doubting },
  request: WishRequest,
  signal: AbortSignal,
): Promise<StructureOutcome | "overtaken"> {
  const { process, store, state, clock } = parts;
  const started = clock.now();
  // Only HAProxy knows for sure whether it starts on a file: where we do not start it, it has to run it first.
  const mustRun = process.startedByOthers === true && !isForStart(request);
  const { desired, assets } = await doubtKnownDown(parts, request.wish, signal);
  const { config, maps } = desired;
  announceWanted(parts, request.reasons);

  const [oldText, oldMaps] = await Promise.all([store.readConfig(), store.readMaps()]);
  const oldConfig = oldText === undefined ? undefined : parseConfig(oldText);
  const newMaps =
    oldConfig === undefined ? maps : mapTargets(maps, oldMaps, inBoth(poolNames(oldConfig), poolNames(config)));
  await parts.certificateLane?.writeFirst();
  const { structure, text, verdict } = await candidateOf(parts, { desired, assets }, signal, newMaps);
  const refused: RefusedDigest = { of: "structure", digest: structure };
  if (!verdict.ok) {
    return {
      kind: "refused",
      stage: verdict.stage,
      refused: pointsAtServer(verdict.problems, text)
        ? { of: "configuration", digest: hexDigest(printConfig(config)) }
        : refused,
      problems: explain(verdict.problems, text),
      places: placesOf(verdict.problems, text),
    };
  }
  const ready = await process.preflight(text, state.up ? oldText : undefined, signal);
  if (!ready.ok) {
    const [problems, busy] = [explain(ready.problems, text), busyBinds(ready.problems, text)];
    return { kind: "refused", stage: ready.stage, refused, problems, busy };
  }
  if (mustRun && !state.up) return "overtaken";

  await writeMaps(store, await store.readMaps(), newMaps);
  await parts.certificateLane?.writeWanted();
  await store.writeConfig(text);
  let stage: "reload" | "start" = state.up || mustRun ? "reload" : "start";
  let worker: WorkerInfo | undefined;
  try {
    if (stage === "start") {
      const found = await process.adoptOrStart(signal);
      // One that is there already may have begun on the old file.
      if (found.adopted) stage = "reload";
      else worker = found.worker;
    }
    worker ??= await process.reload(signal);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    if (toSluiceError(thrown).code === "ERR_HAPROXY_AWAITED") {
      // Whoever starts HAProxy starts it on this file.
      state.current = { config, maps: newMaps, structure };
      state.generation += 1;
      await store.saveState({ generation: state.generation, leaving: [...state.leaving.values()] });
      throw thrown;
    }
    if (oldText !== undefined) {
      await store.writeConfig(oldText);
      await writeMaps(store, newMaps, inOrderOf(newMaps, oldMaps));
    }
    // It may have come half-way: which worker answers, and with what, is asked again.
    state.doubt();
    const error = toSluiceError(thrown);
    // The master did not answer to begin with: what it was not asked it has not refused.
    if (error.code === "ERR_HAPROXY_UNREACHABLE") throw error;
    return { kind: "refused", stage, refused, problems: [error.message] };
  }
  state.generation += 1;
  state.fileRefused = undefined;
  await follow(parts, { config, maps: newMaps, structure }, worker, signal);
  await store.saveState({ generation: state.generation, leaving: [...state.leaving.values()] });
  for (const path of oldMaps.keys()) if (!newMaps.has(path)) await store.removeMap(path);
  await store.pruneAssets(new Set(assets.keys()));
  announceLoaded(parts, worker, clock.now() - started, {
    structure,
    replaced: oldConfig === undefined ? undefined : structureOf(oldConfig),
  });
  return { kind: "loaded", structure };
}

/**
 * Reloads the process to the file that is in place. For a process whose structure is unknown while the wanted one is
 * refused: with the structure of the file, which HAProxy has taken before, endpoints can follow the catalog again.
 */
export async function reloadLiveFile(
  parts: LaneParts,
  reasons: readonly ReloadReason[],
  signal: AbortSignal,
): Promise<StructureOutcome> {
  const { process, store, state, clock } = parts;
  const started = clock.now();
  announceWanted(parts, reasons);
  const [text, maps] = await Promise.all([store.readConfig(), store.readMaps()]);
  if (text === undefined) {
    throw new SluiceError("ERR_STATE_UNUSABLE", "haproxy.cfg has gone from the state directory", { retryable: true });
  }
  const running = runningFromFile(text, maps);
  const refused: RefusedDigest = { of: "structure", digest: running.structure };
  // What has changed on the machine since it was loaded may end all workers (haproxy 2.6: a chroot that has gone).
  const ready = await process.preflight(text, text, signal);
  if (!ready.ok) return { kind: "refused", stage: ready.stage, refused, problems: explain(ready.problems, text) };
  let worker: WorkerInfo;
  try {
    worker = await process.reload(signal);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    state.doubt();
    return { kind: "refused", stage: "reload", refused, problems: [toSluiceError(thrown).message] };
  }
  await follow(parts, running, worker, signal);
  announceLoaded(parts, worker, clock.now() - started, { structure: running.structure });
  return { kind: "loaded", structure: running.structure };
}

/** Another worker runs, on this configuration: all talk goes to that one from here on. */
async function follow(parts: LaneParts, running: Running, worker: WorkerInfo, signal: AbortSignal): Promise<void> {
  const { state, runtime, mutex, clock } = parts;
  const loaded = { pid: worker.pid, at: clock.now() };
  await mutex.run(async () => {
    state.current = running;
    parts.certificateLane?.filesLoaded();
    state.workerPid = worker.pid;
    state.loaded = loaded;
    state.doubt();
    state.touched.clear();
    state.leavingBackends.clear();
    state.halfMade.clear();
    state.changes += 1;
    await runtime.reconnect(signal);
    // Only now: a process that ended meanwhile has to be noticed.
    state.up = true;
  });
}

function announceWanted({ events, state }: LaneParts, reasons: readonly ReloadReason[]): void {
  events.emit("reload-wanted", "info", describe(state.up, reasons), {
    reasons: reasons.slice(0, mostInEvent),
    count: reasons.length,
  });
}

function announceLoaded(
  { events, state: { generation } }: LaneParts,
  worker: WorkerInfo,
  afterMs: number,
  structures: { readonly structure: string; readonly replaced?: string | undefined },
): void {
  const tookMs = Math.round(afterMs);
  const message = `generation ${generation} runs in worker ${worker.pid}, ${tookMs} ms after it was wanted`;
  events.emit("reloaded", "info", message, { generation, worker: worker.pid, tookMs, ...structures });
}

function describe(up: boolean, reasons: readonly ReloadReason[]): string {
  const sentences = reasons.slice(0, 5).map(({ subject, sentence }) => `${subject} ${sentence}`);
  const more = reasons.length > 5 ? `; and ${reasons.length - 5} more` : "";
  return `${up ? "reload" : "start"}: ${sentences.join("; ")}${more}`;
}

/** The live file as the running state. */
export function runningFromFile(text: string, maps: ReadonlyMap<string, string>): Running {
  const config = parseConfig(text);
  return { config, maps, structure: structureOf(config) ?? "" };
}
