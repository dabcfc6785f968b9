import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { readSnapshotOnce } from "../catalog/read-once.ts";
import { parseSnapshot } from "../catalog/snapshot-file.ts";
import type { Snapshot } from "../catalog/types.ts";
import { accept } from "../guard/accept.ts";
import { SectionCache } from "../haproxy/config/parse.ts";
import { createDesire, type Wish } from "../reconciler/desire.ts";
import { Renderer } from "../render/renderer.ts";
import { loadTemplate } from "../render/template-source.ts";
import type { Settings } from "../settings/schema.ts";
import { type StatePaths, statePaths } from "../store/paths.ts";
import { SluiceError, systemErrorCode, toSluiceError } from "../support/errors.ts";
import { version } from "../version.ts";

/** The snapshot a command works on: a file, or what Consul says now. */
export async function snapshotFor(
  settings: Settings,
  file: string | undefined,
  signal: AbortSignal,
): Promise<Snapshot> {
  if (file === undefined) return readSnapshotOnce(settings.consul, settings.services.expose, signal);
  const json = await readJson(file);
  try {
    return parseSnapshot(json);
  } catch (thrown) {
    const { code, message, details } = toSluiceError(thrown);
    throw new SluiceError(code, `${file}: ${message}`, { cause: thrown, details });
  }
}

/** The pure way, once: what the settings and the template make of a snapshot. Everybody is let in. */
export async function wishFor(settings: Settings, snapshot: Snapshot, paths: StatePaths): Promise<Wish> {
  const template = await loadTemplate(settings.template);
  const policy = { holdForMs: settings.guard.holdFor, rememberMs: settings.services.remember };
  const accepted = accept(undefined, snapshot, new Map(), policy, Date.now());
  const desire = createDesire(new Renderer({ paths, version }), new SectionCache(), paths.runtimeSocket);
  const everybody = { ...settings, services: { ...settings.services, admit: "at-once" as const } };
  return desire(accepted.services, { settings: everybody, template }, new Map());
}

/** Runs a task with the paths of a state directory that is made for it and removed behind it. */
export async function withScratchPaths<T>(task: (paths: StatePaths) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(path.join(tmpdir(), "sluice-"));
  try {
    return await task(statePaths(directory));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (thrown) {
    const reason = systemErrorCode(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown));
    throw new SluiceError("ERR_SNAPSHOT_INVALID", `the snapshot ${file} cannot be read: ${reason}`, { cause: thrown });
  }
}
