import type { Container } from "../docker/types.ts";

/** What the registrar's own container has to do with the networks of its engine. */
export interface OwnNetworks {
  /** Those that it is on; undefined: it is on its host's own, from where all are reached, or nobody knows. */
  readonly names?: readonly string[];
  /** The compose project that it belongs to. */
  readonly project?: string;
  /** Those that any container is on. */
  readonly ofAll: readonly string[];
}

/** Compose's label ("Compose Specification", "Labels"). */
const projectLabel = "com.docker.compose.project";

/** @param self the registrar's own container */
export function ownNetworksOf(
  self: Container,
  containers: readonly Container[],
  containerOf: (idOrName: string) => Container | undefined,
): OwnNetworks {
  const names = self.networkMode === "host" ? undefined : networksOf(self, containerOf)?.keys();
  const project = self.labels.get(projectLabel);
  return {
    ...(names !== undefined && { names: [...names] }),
    ...(project !== undefined && { project }),
    ofAll: [...new Set(containers.flatMap(({ networks }) => [...networks.keys()]))],
  };
}

/**
 * A container's address on each network that it is on, or that the container is on whose network it shares
 * (`--network container:<id>`).
 *
 * @returns undefined where nobody knows that one
 */
export function networksOf(
  container: Container,
  containerOf: (idOrName: string) => Container | undefined,
): ReadonlyMap<string, string> | undefined {
  const [, shared] = /^container:(.+)$/.exec(container.networkMode) ?? [];
  return (shared === undefined ? container : containerOf(shared))?.networks;
}

/**
 * The address by which a container is reached from inside the engine's networks: on the network asked for, or on one that
 * the registrar's own container is on too. To a registrar outside of any container all networks are alike: the first by
 * name counts.
 *
 * @param networks its addresses, by network
 * @param own undefined: the registrar runs outside of any container
 * @returns a reason in place of an address where it has none that counts
 */
export function addressInside(
  networks: ReadonlyMap<string, string>,
  asked: string | undefined,
  own: OwnNetworks | undefined,
): { readonly address?: string; readonly problem?: string } {
  const there = [...networks.keys()].sort();
  if (asked === undefined && there.length === 0) return { problem: "it has no address on a network" };
  const among = asked === undefined ? own?.names : meantBy(asked, own?.project, own?.ofAll ?? there);
  const name = there.find((one) => among?.includes(one) ?? true);
  if (name === undefined) {
    return {
      problem:
        asked === undefined
          ? "it shares no network with the registrar's own container; --network names the one that counts"
          : `it is not on the network ${asked}`,
    };
  }
  if (asked !== undefined && own !== undefined && among !== undefined && among.length > 1) {
    const all = `${among.slice(0, -1).join(", ")} or ${among.at(-1)}`;
    return { problem: `--network ${asked} may be ${all}; write the whole name` };
  }
  const address = networks.get(name);
  return address === undefined ? {} : { address };
}

/** The networks that a name may mean: compose puts the project's name before the network's. Sorted. */
function meantBy(asked: string, project: string | undefined, known: readonly string[]): readonly string[] {
  if (known.includes(asked)) return [asked];
  const ofProject = `${project}_${asked}`;
  if (project !== undefined && known.includes(ofProject)) return [ofProject];
  return known.filter((one) => one.endsWith(`_${asked}`)).sort();
}
