import { type OptionKey, optionTable } from "../settings/options/table.ts";
import { shown } from "./shown.ts";
import type { Layers, Speaker } from "./speakers.ts";
import type { Exclusion } from "./types.ts";
import { layered, type Said, type Wishes } from "./wishes.ts";

const serviceKeys = (Object.keys(optionTable) as OptionKey[]).filter((key) => optionTable[key].scope === "service");

export interface ServiceAsks {
  /** What holds for the service as a whole. Keys of other scopes may be among them and mean nothing. */
  readonly asks: Wishes;
  /** What instances say that another one overrules. */
  readonly excluded: readonly Exclusion[];
}

/**
 * What a service is like as a whole. Where its instances disagree, one of them has it: the first of those who speak,
 * and of `panic` whoever refuses, for trying what is known to be sick must be meant. The others are named.
 */
export function serviceAsks(service: string, speakers: readonly Speaker[], { below, above }: Layers): ServiceAsks {
  const options: Record<string, unknown> = {};
  const said: Partial<Record<OptionKey, Said>> = {};
  const excluded: Exclusion[] = [];
  for (const key of serviceKeys) {
    const asking = speakers.filter(({ words }) => words.base.options[key] !== undefined);
    const refusing = key === "panic" ? asking.find(({ words }) => words.base.options.panic === "refuse") : undefined;
    const winner = refusing ?? asking[0];
    const text = winner?.words.base.said[key];
    if (winner === undefined || text === undefined) continue;
    options[key] = winner.words.base.options[key];
    said[key] = text;
    if (above.options[key] !== undefined) continue;
    const wanted = JSON.stringify(options[key]);
    for (const { instance, words } of asking) {
      if (JSON.stringify(words.base.options[key]) === wanted) continue;
      const { node, id } = winner.instance;
      const reason = `${words.base.said[key]?.kind} ${shown(words.base.said[key]?.text ?? "")} counts for nothing: ${shown(text.text)} of ${shown(`${node}/${id}`)} is in force; register the same for all instances`;
      excluded.push({ service, instance: `${instance.node}/${instance.id}`, code: "option-unusable", reason });
    }
  }
  return { asks: layered(below, { options, said }, above), excluded };
}
