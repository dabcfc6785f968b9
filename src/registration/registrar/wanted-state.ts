import type { Container } from "../docker/types.ts";
import { ownNetworksOf } from "./networks.ts";
import type { RegistrarOptions } from "./options.ts";
import type { Surroundings } from "./places.ts";
import type { Conflict, WantedState } from "./steps.ts";
import { wishOf } from "./wanted.ts";

/** What the containers of an engine come to, by id. */
export interface Desire {
  readonly wanted: ReadonlyMap<string, WantedState>;
  /** By container, what it says and what does not count. */
  readonly problems: readonly Conflict[];
}

/**
 * The services of all containers. Of two that want the same id, the one that has run for longer has it.
 *
 * @param maintenance why a container is to get no new requests; undefined: it may
 * @param self the registrar's own container, which is no service unless it says its name
 */
export function desireOf(
  containers: readonly Container[],
  options: RegistrarOptions,
  host: string,
  maintenance: (container: Container) => string | undefined,
  self: Container | undefined,
): Desire {
  const byName = new Map(containers.flatMap((one) => [[one.id, one] as const, [one.name, one] as const]));
  const containerOf = (idOrName: string) => byName.get(idOrName);
  const surroundings: Surroundings = {
    ...(self !== undefined && { own: ownNetworksOf(self, containers, containerOf) }),
    containerOf,
  };
  const wanted = new Map<string, WantedState>();
  const problems: Conflict[] = [];
  const sorted = [...containers].sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1));
  for (const container of sorted) {
    const asked = container.id === self?.id ? { ...options, explicit: true } : options;
    const wish = wishOf(container, asked, host, surroundings);
    const reason = maintenance(container);
    for (const problem of wish.problems) problems.push({ container: container.name, problem });
    for (const service of wish.services) {
      const { id } = service.registration;
      const first = wanted.get(id);
      if (first === undefined) {
        wanted.set(id, { ...service, ...(reason !== undefined && { maintenance: reason }) });
      } else {
        const problem = `its id ${id} is that of ${first.container}, which has run for longer`;
        problems.push({ container: container.name, problem });
      }
    }
  }
  return { wanted, problems };
}
