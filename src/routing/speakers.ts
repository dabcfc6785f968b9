import type { CatalogService, Instance, Override } from "../catalog/types.ts";
import type { OptionDocument } from "../settings/options/read-document.ts";
import type { Settings } from "../settings/schema.ts";
import { type OwnWords, ownWords } from "./own-words.ts";
import { carriedValues } from "./values.ts";
import { layered, noWishes, type Wishes, wishesOf } from "./wishes.ts";

/** An instance whose words count for its service, whether it can serve or not. */
export interface Speaker {
  readonly instance: Pick<Instance, "node" | "id" | "tags" | "meta" | "createIndex">;
  readonly words: OwnWords;
}

/**
 * Those who speak for a service, in the order in which their word counts: the higher `priority`, then the older
 * registration, then by name. Where no instance is left, those it had last.
 */
export function speakersOf({ instances, spoke }: Pick<CatalogService, "instances" | "spoke">): readonly Speaker[] {
  const all = instances.length > 0 ? instances : (spoke ?? []);
  const known = new Map<string, OwnWords>();
  return all.map((instance) => ({ instance, words: shared(ownWords(carriedValues(instance)), known) })).sort(byRank);
}

/** Who says the same has the same words: what is made of them is made once. */
function shared(words: OwnWords, known: Map<string, OwnWords>): OwnWords {
  const same = known.get(words.text);
  if (same === undefined) known.set(words.text, words);
  return same ?? words;
}

/** Speakers by what they say. With nobody left who speaks, what settings and override say still holds for nobody's words. */
export function byWords(speakers: readonly Speaker[]): ReadonlyMap<OwnWords | undefined, readonly Speaker[]> {
  const groups = new Map<OwnWords | undefined, Speaker[]>();
  for (const speaker of speakers) {
    const group = groups.get(speaker.words);
    if (group === undefined) groups.set(speaker.words, [speaker]);
    else group.push(speaker);
  }
  return groups.size > 0 ? groups : new Map([[undefined, []]]);
}

/** Consul's index at a registration; where it is not known, later than all that are. */
export function registeredAt({ createIndex }: Speaker["instance"]): number {
  return createIndex ?? Number.MAX_SAFE_INTEGER;
}

function byRank(a: Speaker, b: Speaker): number {
  return (
    (b.words.base.options.priority ?? 0) - (a.words.base.options.priority ?? 0) ||
    registeredAt(a.instance) - registeredAt(b.instance) ||
    order(a.instance.node, b.instance.node) ||
    order(a.instance.id, b.instance.id)
  );
}

/** What is said of a service besides its instances' own words. */
export interface Layers {
  /** The settings: `*`, then the service's own. */
  readonly below: Wishes;
  readonly routesBelow: ReadonlyMap<string, Wishes>;
  /** The operator's override. */
  readonly above: Wishes;
  readonly routesAbove: ReadonlyMap<string, Wishes>;
}

export function layersOf(name: string, settings: Settings["services"], override: Override | undefined): Layers {
  const documents = ["*", name].flatMap((one) => {
    const document = Object.hasOwn(settings.options, one) ? settings.options[one] : undefined;
    return document === undefined ? [] : [{ document, written: `services.options.${one}:` }];
  });
  const routesBelow = new Map<string, Wishes>();
  for (const { document, written } of documents) {
    for (const [route, wishes] of routesOf(document, "settings", written)) {
      routesBelow.set(route, layered(routesBelow.get(route) ?? noWishes, wishes));
    }
  }
  const written = `${settings.overrides}/${name}:`;
  return {
    below: layered(...documents.map(({ document, written: at }) => wishesOf(document.options, "settings", at))),
    routesBelow,
    above: override === undefined ? noWishes : wishesOf(override.options, "override", written),
    routesAbove: override === undefined ? new Map() : routesOf(override, "override", written),
  };
}

function routesOf(
  { routes = {} }: { readonly routes?: OptionDocument["routes"] },
  kind: "settings" | "override",
  written: string,
): ReadonlyMap<string, Wishes> {
  return new Map(
    Object.entries(routes).map(([name, options]) => [name, wishesOf(options, kind, `${written} route.${name}.`)]),
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
