import { fileSteps } from "../haproxy/plan/map-steps.ts";
import type { StorePort } from "./ports.ts";

/**
 * Puts map files in place. First, in their order, with what is new and what is to go, then, in reverse, without what is
 * to go: whoever starts HAProxy on them at any moment finds what the entries of one map refer to in the others.
 *
 * @param before the files as they are
 * @param maps in the order of references, see `Desired`
 * @returns how many of them have changed
 */
export async function writeMaps(
  store: Pick<StorePort, "writeMap">,
  before: ReadonlyMap<string, string>,
  maps: ReadonlyMap<string, string>,
): Promise<number> {
  const changed = [...maps].filter(([path, text]) => before.get(path) !== text);
  // One alone is changed in one step: what goes need not wait for others.
  const [only] = changed;
  if (only !== undefined && changed.length === 1) {
    await store.writeMap(...only);
    return 1;
  }
  const steps = changed.map(([path, text]) => ({ path, texts: fileSteps(before.get(path) ?? "", text) }));
  for (const { path, texts } of steps) await store.writeMap(path, texts[0] ?? texts[1]);
  for (const { path, texts } of steps.reverse()) if (texts[0] !== undefined) await store.writeMap(path, texts[1]);
  return changed.length;
}
