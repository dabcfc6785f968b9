import { canonicalIp } from "../../support/ip.ts";
import type { Binding, Container, ContainerPort } from "../docker/types.ts";
import { addressInside, networksOf, type OwnNetworks } from "./networks.ts";
import type { RegistrarOptions } from "./options.ts";

/** Where one port of a container is reached. */
export interface Place {
  /** The port inside the container, by which people name it. */
  readonly inside: number;
  readonly protocol: ContainerPort["protocol"];
  /** undefined: the agent's own. */
  readonly address?: string;
  readonly port: number;
}

const anywhere: ReadonlySet<string> = new Set(["", "0.0.0.0", "::"]);

/** What else decides where a container is reached. */
export interface Surroundings {
  /** undefined: the registrar runs outside of any container. */
  readonly own?: OwnNetworks;
  /** A container that runs, by its id or name. */
  readonly containerOf?: (idOrName: string) => Container | undefined;
}

/**
 * Where a container's ports are reached, in the order of the ports.
 *
 * @returns a reason in place of places where it has ports and no address
 */
export function placesOf(
  container: Container,
  options: RegistrarOptions,
  surroundings: Surroundings,
): { readonly places: readonly Place[]; readonly problem?: string } {
  const given = options.addressLabel === undefined ? undefined : container.labels.get(options.addressLabel);
  const address = given === undefined ? options.address : canonicalIp(given.trim());
  if (given !== undefined && address === undefined && container.ports.length > 0) {
    return { places: [], problem: `its label ${options.addressLabel} is not an IP address` };
  }
  // The host's own network: nothing is published, and what is exposed is open as it is.
  if (container.networkMode === "host")
    return { places: container.ports.map((port) => placeAt(port, port.port, address)) };
  if (!options.internal) {
    return {
      places: container.ports.flatMap((port) => {
        const binding = firstBinding(port.bindings);
        if (binding === undefined) return [];
        const at = address ?? (anywhere.has(binding.address) ? undefined : binding.address);
        return [placeAt(port, binding.port, at)];
      }),
    };
  }
  if (container.ports.length === 0) return { places: [] };
  if (given !== undefined) return { places: container.ports.map((port) => placeAt(port, port.port, address)) };
  const { own, containerOf = () => undefined } = surroundings;
  const inside = addressInside(networksOf(container, containerOf) ?? container.networks, options.network, own);
  if (inside.problem !== undefined) return { places: [], problem: inside.problem };
  return { places: container.ports.map((port) => placeAt(port, port.port, inside.address)) };
}

function placeAt({ port: inside, protocol }: ContainerPort, port: number, address: string | undefined): Place {
  return { inside, protocol, port, ...(address !== undefined && { address }) };
}

/** The same one whatever the engine's order: IPv4 before IPv6, then the lowest port. */
function firstBinding(bindings: readonly Binding[]): Binding | undefined {
  return [...bindings].sort(
    (a, b) =>
      Number(a.address.includes(":")) - Number(b.address.includes(":")) ||
      a.port - b.port ||
      (a.address < b.address ? -1 : a.address > b.address ? 1 : 0),
  )[0];
}
