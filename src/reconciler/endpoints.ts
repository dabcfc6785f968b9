import { parseConfig } from "../haproxy/config/parse.ts";
import { inBoth, mapTargets } from "../haproxy/plan/map-targets.ts";
import { observedBackends } from "../haproxy/plan/plan.ts";
import { poolNames } from "../haproxy/plan/pools.ts";
import { hexDigest } from "../support/digest.ts";
import { explain, fileText, placesOf } from "./commit.ts";
import { announceDrift, serverDrift } from "./drift.ts";
import type { LaneParts } from "./lane.ts";
import { writeMaps } from "./write-maps.ts";

/**
 * Writes down what was changed at run time, after it has been verified: reads the changed backends back over a new
 * connection, has `haproxy -c` judge the file, then puts maps, file and state in place.
 *
 * @returns `same` where the file says it already; `surprise` where what runs is not what was believed; `unbelieved`
 *   where that is known already, so that a pass is to read it back; `refused` where HAProxy does not take the file, which
 *   then stays as it was; `waiting` where that is known and not asked again yet
 */
export async function writeEndpoints(
  parts: LaneParts,
  signal: AbortSignal,
): Promise<"written" | "same" | "surprise" | "unbelieved" | "refused" | "waiting"> {
  const { process, runtime, store, state, events } = parts;
  await parts.certificateLane?.writeLoaded();
  const running = state.current;
  const capabilities = runtime.capabilities();
  if (running === undefined || capabilities === undefined || !state.up || !state.believed) return "unbelieved";
  const seen = state.changing ? undefined : state.changes;
  const touched = [...state.touched].sort();
  state.touched.clear();
  const observation = await runtime.observe(touched, signal);
  if (observation.worker.pid !== state.workerPid) return "surprise";
  if (state.changes === seen) {
    const drift = serverDrift({
      believed: running,
      observed: observedBackends(observation.servers, touched),
      capabilities,
      leaving: state.leaving,
    });
    announceDrift(events, drift);
    if (drift.length > 0) return "surprise";
  } else for (const backend of touched) state.touched.add(backend);

  const text = fileText(running.config, running.structure);
  const [oldText, oldMaps] = await Promise.all([store.readConfig(), store.readMaps()]);
  if (text !== oldText) {
    const digest = hexDigest(text);
    if (state.fileRefused?.digest === digest) return "waiting";
    const verdict = await process.validate(await store.writeCandidate(text), signal);
    if (!verdict.ok) {
      const problems = explain(verdict.problems, text);
      const known = state.fileRefused?.problems.join("; ") === problems.join("; ");
      state.fileRefused = { digest, problems, places: placesOf(verdict.problems, text) };
      events.emit(
        "file-refused",
        known ? "debug" : "error",
        `HAProxy runs it but would not load it from a file, so the file stays: ${problems.join("; ")}`,
        { problems },
      );
      return "refused";
    }
  }
  state.fileRefused = undefined;
  // A file with backends that were made at run time is in place before the maps that lead there.
  const grows = capabilities.dynamicBackends && text !== oldText && oldText !== undefined;
  const between = grows
    ? mapTargets(running.maps, oldMaps, inBoth(poolNames(parseConfig(oldText)), poolNames(running.config)))
    : running.maps;
  const changedMaps = await writeMaps(store, oldMaps, between);
  if (text !== oldText) {
    await store.writeConfig(text);
    await writeMaps(store, between, running.maps);
    state.generation += 1;
  }
  await store.saveState({ generation: state.generation, leaving: [...state.leaving.values()] });
  return text === oldText && changedMaps === 0 ? "same" : "written";
}
