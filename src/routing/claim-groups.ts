import type { Wanted } from "./own-claims.ts";
import { registeredAt, type Speaker } from "./speakers.ts";
import type { Claim, Server } from "./types.ts";

/** What is known of a service's servers when its claims are made. */
export interface Carrying {
  readonly backend: string;
  /** All of the backend but those that stand in from elsewhere. */
  readonly servers: ReadonlyMap<string, Pick<Server, "weight" | "joining">>;
  /** The name of each instance's server, by `<node>/<id>` of the instance. */
  readonly serverOf: ReadonlyMap<string, string>;
}

/** What several instances want in the same words is one claim. Sorted by what is wanted. */
export class ClaimGroups {
  readonly #groups = new Map<string, { readonly wanted: Wanted; readonly by: Set<Speaker> }>();

  /**
   * @param by who wants it; nobody where the settings or an override do and no instance is left
   * @returns false where there are as many as there may be, and this is one more
   */
  add(wanted: Wanted, by: readonly Speaker[], most: number): boolean {
    const { origin, ...content } = wanted;
    const key = JSON.stringify(content);
    const group = this.#groups.get(key);
    if (group === undefined && this.#groups.size >= most) return false;
    if (group === undefined) this.#groups.set(key, { wanted, by: new Set(by) });
    else for (const one of by) group.by.add(one);
    return true;
  }

  claims({ backend, servers, serverOf }: Carrying): readonly Claim[] {
    return [...this.#groups]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { wanted, by }]) => {
        const speakers = [...by];
        const names = new Set(
          speakers.flatMap(({ instance }) => serverOf.get(`${instance.node}/${instance.id}`) ?? []),
        );
        const all = [...servers.keys()].every((name) => names.has(name));
        const taking = [...names].filter((name) => {
          const server = servers.get(name);
          return server !== undefined && (server.weight > 0 || server.joining);
        });
        return {
          ...wanted,
          backend,
          carriers: all ? ("all" as const) : [...names].sort(),
          count: taking.length,
          since: Math.min(Number.MAX_SAFE_INTEGER, ...speakers.map(({ instance }) => registeredAt(instance))),
        };
      });
  }
}
