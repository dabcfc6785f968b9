import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { readSnapshotOnce } from "../catalog/read-once.ts";
import { parseSnapshot } from "../catalog/snapshot-file.ts";
import type { Snapshot } from "../catalog/types.ts";
import { CredentialFiles } from "../certificates/credential-files.ts";
import { accept } from "../guard/accept.ts";
import { guardPolicy } from "../guard/policy.ts";
import type { Accepted } from "../guard/types.ts";
import { SectionCache } from "../haproxy/config/parse.ts";
import { checkBinary } from "../haproxy/process/validate.ts";
import { createDesire, type Wish } from "../reconciler/desire.ts";
import { Renderer } from "../render/renderer.ts";
import { loadTemplate } from "../render/template-source.ts";
import type { Material } from "../render/types.ts";
import type { Settings } from "../settings/schema.ts";
import { parseAccepted } from "../store/accepted-file.ts";
import { type StatePaths, statePaths } from "../store/paths.ts";
import { systemClock } from "../support/clock.ts";
import { SluiceError, systemErrorCode, toSluiceError } from "../support/errors.ts";
import { version } from "../version.ts";

/** The snapshot a command works on: a file, or what Consul says now. */
export async function snapshotFor(
  settings: Settings,
  file: string | undefined,
  signal: AbortSignal,
): Promise<Snapshot> {
  if (file === undefined) return readSnapshotOnce(settings.consul, settings.services, signal);
  const json = await readJson(file);
  try {
    return parseSnapshot(json);
  } catch (thrown) {
    const { code, message, details } = toSluiceError(thrown);
    throw new SluiceError(code, `${file}: ${message}`, { cause: thrown, details });
  }
}

export interface WishOptions {
  /** HAProxy's version, which templates may ask for. */
  readonly haproxyVersion?: string | undefined;
  /** What the operator accepted last: services it remembers although they are empty, instances it holds. */
  readonly previous?: Accepted | undefined;
  /** Files of people, where they were read already. Default: they are read. */
  readonly material?: Material;
}

/** The pure way, once: what the settings and the template make of a snapshot. Everybody is let in. */
export async function wishFor(
  settings: Settings,
  snapshot: Snapshot,
  paths: StatePaths,
  { haproxyVersion, previous, material }: WishOptions = {},
): Promise<Wish> {
  const template = await loadTemplate(settings.template);
  const accepted = accept(previous, snapshot, new Map(), guardPolicy(settings), Date.now());
  const renderer = new Renderer({
    paths,
    version,
    material: material ?? (await materialFor(settings, paths)),
    ...(haproxyVersion !== undefined && { haproxyVersion }),
  });
  const desire = createDesire(renderer, new SectionCache(), paths.runtimeSocket);
  const everybody = { ...settings, services: { ...settings.services, admit: "at-once" as const } };
  return desire(accepted.services, { settings: everybody, template }, new Map(), new Map(), accepted.overrides);
}

/** Files of people that the configuration is made of. What is wrong with them `sluice validate` tells. */
async function materialFor(settings: Settings, { certificateList }: StatePaths): Promise<Material> {
  const files = new CredentialFiles({ settings, clock: systemClock, emit: () => undefined });
  return { ...(settings.https.bind !== undefined && { certificateList }), ...(await files.read()) };
}

/** What the operator accepted last, as its state directory has it; undefined where there is nothing usable. */
export async function acceptedBefore(paths: StatePaths): Promise<Accepted | undefined> {
  try {
    return parseAccepted(JSON.parse(await readFile(paths.snapshot, "utf8")));
  } catch {
    return undefined;
  }
}

/** HAProxy's version, for commands that can do without the binary. */
export async function versionIfThere(settings: Settings): Promise<string | undefined> {
  return checkBinary(settings.haproxy.binary).then(
    ({ text }) => text,
    () => undefined,
  );
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
