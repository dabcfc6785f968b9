import { fileText, structureDigest } from "./commit.ts";
import type { Wish } from "./desire.ts";
import type { ProcessPort, StorePort, Verdict } from "./ports.ts";

export interface Candidate {
  readonly structure: string;
  /** What the live file would be. */
  readonly text: string;
  readonly verdict: Verdict;
}

/**
 * Has `haproxy -c` judge the file that would say a wish. What the file refers to is put in place first, unless it is
 * there: nothing else refers to it.
 *
 * @param maps as they would be put in place; left out: as wished
 */
export async function candidateOf(
  { process, store }: CandidateParts,
  { desired: { config, maps: wished }, assets }: Pick<Wish, "desired" | "assets">,
  signal: AbortSignal,
  maps: ReadonlyMap<string, string> = wished,
): Promise<Candidate> {
  const structure = structureDigest(config);
  const text = fileText(config, structure);
  const known = await store.readMaps();
  for (const [path, content] of assets) await store.writeAsset(path, content);
  // HAProxy does not take a file that names a map which is not there.
  for (const [path, content] of maps) if (!known.has(path)) await store.writeMap(path, content);
  return { structure, text, verdict: await process.validate(await store.writeCandidate(text), signal) };
}

interface CandidateParts {
  readonly process: Pick<ProcessPort, "validate">;
  readonly store: Pick<StorePort, "readMaps" | "writeMap" | "writeAsset" | "writeCandidate">;
}
