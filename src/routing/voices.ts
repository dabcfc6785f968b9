import { placeKeys, type RouteWishes } from "./own-claims.ts";
import type { OwnWords } from "./own-words.ts";
import type { Layers, Speaker } from "./speakers.ts";
import { layered, noWishes, type Wishes, without } from "./wishes.ts";

const ofCanary: ReadonlySet<string> = new Set(["canary.weight", "canary.header", "canary.cookie", "canary.sticky"]);
const ofOneInstance: ReadonlySet<string> = new Set([...placeKeys, ...ofCanary]);

/** What the words of all who speak for a service come to, each with what is said besides. */
export class ServiceVoices {
  readonly #layers: Layers;
  readonly #first: OwnWords | undefined;

  constructor(speakers: readonly Speaker[], layers: Layers) {
    this.#layers = layers;
    this.#first = speakers.find(({ words }) => words.speaks)?.words;
  }

  /** The route options that hold where no instance says otherwise: those of the first who speaks. */
  get base(): Wishes {
    return this.of(this.#first).base;
  }

  /**
   * What one of them wants of the routes. One who says nothing serves what the settings and the override ask for, on
   * the terms of the first who speaks: else whoever is older than the tag `auth` would let everybody in.
   */
  of(given: OwnWords | undefined): RouteWishes {
    const { below, above, routesBelow, routesAbove } = this.#layers;
    const first = this.#first;
    const words = given?.speaks === true ? given : undefined;
    const own = words?.base ?? (first === undefined ? noWishes : without(first.base, ofOneInstance));
    const base = layered(below, own, above);
    const inherited = without(base, placeKeys);
    const names = new Set([...routesBelow.keys(), ...(words?.routes.keys() ?? []), ...routesAbove.keys()]);
    const routes = [...names].sort().map((name) => {
      const said = words?.routes.get(name) ?? noWishes;
      return [
        name,
        layered(inherited, routesBelow.get(name) ?? noWishes, said, routesAbove.get(name) ?? noWishes),
      ] as const;
    });
    return { base, routes: new Map(routes) };
  }
}
