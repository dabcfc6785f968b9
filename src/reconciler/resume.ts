import type { LaneParts } from "./lane.ts";
import { runningFromFile } from "./structure.ts";

/**
 * Brings HAProxy back on the live file: adopts the process that runs on our sockets, or starts one. What it really runs
 * is read back by the next pass.
 */
export async function resumeProcess(parts: LaneParts, signal: AbortSignal): Promise<void> {
  const { process, store, state, mutex, runtime, clock, events } = parts;
  const started = clock.now();
  const { adopted, worker } = await process.adoptOrStart(signal);
  const text = await store.readConfig();
  const maps = await store.readMaps();
  await mutex.run(async () => {
    if (text !== undefined) state.current = runningFromFile(text, maps);
    parts.certificateLane?.filesLoaded();
    state.workerPid = worker.pid;
    state.doubt();
    state.touched.clear();
    if (!adopted) {
      state.leavingBackends.clear();
      state.halfMade.clear();
    }
    await runtime.reconnect(signal);
    // Only now: a process that ended meanwhile was not taken note of, as it was not up.
    state.up = true;
  });
  const how = adopted ? "adopted, no reload" : `started on generation ${state.generation}`;
  events.emit("process-up", "info", `HAProxy ${worker.versionText} is ${how}: worker ${worker.pid}`, {
    adopted,
    worker: worker.pid,
    version: worker.versionText,
    tookMs: Math.round(clock.now() - started),
  });
}
