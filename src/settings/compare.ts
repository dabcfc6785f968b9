import { isDeepStrictEqual } from "node:util";
import { settingAt, settingKeys } from "./keys.ts";
import type { Settings } from "./schema.ts";

/** What can be applied while Sluice runs, by key or by section; all else waits for a restart. */
const live = [
  "haproxy.drainTimeout",
  "haproxy.onStop",
  "template",
  "http.",
  "tcp.",
  "accessLog.",
  "stats.",
  "services.",
  "guard.",
  "reload.",
  "resync",
  "log.",
] as const;

/** The key paths whose values differ, in the order of the schema. */
export function changedKeys(before: Settings, after: Settings): readonly string[] {
  return settingKeys()
    .map((key) => key.path)
    .filter((path) => !isDeepStrictEqual(settingAt(before, path), settingAt(after, path)));
}

/** Those of the changed keys that take a restart of Sluice to apply; the others can be applied at once. */
export function restartKeys(changed: readonly string[]): readonly string[] {
  return changed.filter((path) => !isLive(path));
}

/** Whether a change of this setting can be applied while Sluice runs. */
export function isLive(path: string): boolean {
  return live.some((one) => (one.endsWith(".") ? path.startsWith(one) : path === one));
}

/** The newer settings as far as they can be applied while Sluice runs; what takes a restart stays as it is. */
export function withLiveSettings(now: Settings, newer: Settings): Settings {
  const result = structuredClone(newer);
  for (const path of restartKeys(changedKeys(now, newer))) {
    const names = path.split(".");
    const last = names.pop() ?? path;
    // Every section is there: the schema fills them in.
    const section = settingAt(result, names.join(".")) as Record<string, unknown>;
    const value = settingAt(now, path);
    if (value === undefined) delete section[last];
    else section[last] = value;
  }
  return result;
}
