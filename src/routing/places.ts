import type { CatalogService, Instance } from "../catalog/types.ts";
import type { ServiceOptions } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { commaList } from "../support/comma-list.ts";
import { canonicalIp } from "../support/ip.ts";

/** Where an instance of a service is to be reached, and whether it serves only where others cannot. */
export interface Place {
  readonly instance: Instance;
  /** Any string of the catalog's: whether it can be used is for the server line to decide. */
  readonly address: string;
  /** As Consul has it. */
  readonly port: number;
  readonly backup: boolean;
}

/**
 * Where the instances of a service are to be reached, those elsewhere behind those here.
 *
 * `backup` is a word of the server line, which cannot be changed at run time, so it depends on the instance and the
 * settings alone, never on how others fare. HAProxy has one tier of backups and uses all of them at once (`option
 * allbackups`), where three are wanted: this zone, other zones, elsewhere. So instances elsewhere are left out while one
 * of another zone can serve, and come in, as servers that join, once Consul says that none can.
 */
export function placesOf(
  service: CatalogService,
  settings: Pick<Settings["services"], "address" | "zone" | "failover">,
  options: Pick<ServiceOptions, "address" | "failover">,
): readonly Place[] {
  const choice = options.address ?? settings.address;
  const here = service.instances.map((instance) => ({
    ...reached(instance, choice),
    backup: settings.zone !== undefined && (instance.zone ?? settings.zone) !== settings.zone,
  }));
  const { elsewhere } = service;
  if (elsewhere === undefined || elsewhere.length === 0) return here;
  if (here.some(({ backup, instance }) => backup && canServe(instance))) return here;
  const order = options.failover ?? commaList(settings.failover);
  // What is reached at one address and port is one server, whoever lists it: the listing here goes before.
  const taken = new Set(here.map(addressAndPort));
  const there = nearest(elsewhere, order)
    .map((instance) => ({ ...reached(instance, choiceElsewhere(choice, instance, service)), backup: true }))
    .filter((place) => !taken.has(addressAndPort(place)));
  return [...here, ...there];
}

/** Those of the first datacenter, in the order asked for, where one can serve; all where none can anywhere. */
function nearest(instances: readonly Instance[], order: readonly string[]): readonly Instance[] {
  const rank = ({ service }: Instance) => {
    const at = order.indexOf(service.datacenter);
    return at === -1 ? order.length : at;
  };
  let best = Number.POSITIVE_INFINITY;
  for (const instance of instances) if (canServe(instance)) best = Math.min(best, rank(instance));
  return best === Number.POSITIVE_INFINITY ? instances : instances.filter((instance) => rank(instance) === best);
}

/** Who asks from another datacenter is what the address `wan` is for (Consul: agent configuration, `translate_wan_addrs`). */
function choiceElsewhere(choice: Settings["services"]["address"], instance: Instance, { key }: CatalogService) {
  return choice === "default" && instance.service.datacenter !== key.datacenter ? "wan" : choice;
}

function reached(instance: Instance, choice: Settings["services"]["address"]): Omit<Place, "backup"> {
  const tagged = choice === "default" ? undefined : instance.taggedAddresses?.[choice];
  if (tagged === undefined) return { instance, address: instance.address, port: instance.port };
  return { instance, address: tagged.address, port: tagged.port };
}

function addressAndPort({ address, port }: Pick<Place, "address" | "port">): string {
  return `${canonicalIp(address) ?? address} ${port}`;
}

function canServe({ health }: Instance): boolean {
  return health === "passing" || health === "warning";
}
