import type { CatalogService, Instance } from "../../catalog/types.ts";
import type { InstanceOptions } from "../../settings/options/table.ts";
import type { Settings } from "../../settings/schema.ts";
import type { Claim, Exclusion, ListenClaim } from "../types.ts";
import { type Bearer, type InstanceTags, instanceTags } from "./instance-tags.ts";
import type { FabioTag } from "./parse-tag.ts";

/** What the `urlprefix-` tags of a service's instances ask for. */
export interface FabioClaims {
  readonly claims: readonly Claim[];
  readonly listens: readonly ListenClaim[];
  /** Names that HAProxy is to be registered under; sorted. */
  readonly registers: readonly string[];
  readonly problems: readonly Exclusion[];
}

export type FabioSettings = Pick<Settings["services"], "fabioPrefix" | "fabioSniPorts">;

/** Tags that ask for the very same, and the instances that carry them. */
interface Group {
  readonly tag: FabioTag;
  readonly bearers: Bearer[];
}

/** Whether a tag is one of Fabio's, be it readable or not. */
export function isFabioTag(tag: string, { fabioPrefix }: Pick<FabioSettings, "fabioPrefix">): boolean {
  return tag.trim().startsWith(fabioPrefix);
}

/** Words of an instance's server line that its tags ask for. */
export function fabioInstanceOptions(
  instance: Pick<Instance, "tags">,
  datacenter: string,
  { fabioPrefix }: FabioSettings,
): InstanceOptions {
  return instanceTags(instance, fabioPrefix, datacenter).options;
}

/**
 * The claims of a service's tags of Fabio. A tag counts for the instances that carry it: requests of its route go to
 * these alone. While other instances of the service serve, a tag that none of them carries makes no route, as with
 * Fabio; while none serves, all routes stay with the empty backend.
 *
 * @param backend the name of the service's backend
 * @param servers the name of each instance's server; those that do not serve are left out
 */
export function fabioClaims(
  service: Pick<CatalogService, "key" | "instances" | "spoke">,
  backend: string,
  servers: ReadonlyMap<object, string>,
  settings: FabioSettings,
): FabioClaims {
  const bearers: readonly Bearer[] = service.instances.length > 0 ? service.instances : (service.spoke ?? []);
  const groups = new Map<string, Group>();
  const registers = new Set<string>();
  const troubled = new Map<string, Bearer[]>();
  for (const bearer of bearers) {
    const read = instanceTags(bearer, settings.fabioPrefix, service.key.datacenter);
    collect(read, bearer, groups, troubled);
    if (servers.size > 0 && !servers.has(bearer)) continue;
    for (const { options } of read.tags) if (options.register !== undefined) registers.add(options.register);
  }
  const all = new Set(servers.values());
  const claims: Claim[] = [];
  const listens: ListenClaim[] = [];
  for (const { tag, bearers: carrying } of groups.values()) {
    const names = new Set(carrying.flatMap((bearer) => servers.get(bearer) ?? []));
    if (names.size === 0 && all.size > 0) continue;
    const found: Found = {
      service: service.key.name,
      backend,
      tag,
      carrying,
      names,
      everyone: names.size === all.size,
    };
    if (tag.place.kind === "http") claims.push(claimOf(found, tag.place));
    else if (tag.place.kind === "port") listens.push(listenOf(found, tag.place.port, ""));
    else {
      const ports = sniPorts(settings);
      for (const port of ports) listens.push(listenOf(found, port, tag.place.host));
      if (ports.length === 0) {
        const problem = `tag ${JSON.stringify(tag.text)} names no port, and the setting services.fabioSniPorts has none for such connections; set it`;
        troubled.set(problem, carrying);
      }
    }
  }
  return {
    claims: claims.sort((a, b) => byText(keyOf(a), keyOf(b))),
    listens: listens.sort((a, b) => a.port - b.port || byText(a.origin.text, b.origin.text)),
    registers: [...registers].sort(),
    problems: [...troubled].map(([reason, of]) => exclusion(service.key.name, reason, of)),
  };
}

function collect(
  read: InstanceTags,
  bearer: Bearer,
  groups: Map<string, Group>,
  troubled: Map<string, Bearer[]>,
): void {
  for (const tag of read.tags) {
    const key = JSON.stringify([tag.place, tag.options.route, tag.options.weight]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { tag, bearers: [bearer] });
    else group.bearers.push(bearer);
  }
  for (const problem of read.problems) {
    const others = troubled.get(problem);
    if (others === undefined) troubled.set(problem, [bearer]);
    else others.push(bearer);
  }
}

/** A group as it is claimed. */
interface Found {
  readonly service: string;
  readonly backend: string;
  readonly tag: FabioTag;
  readonly carrying: readonly Bearer[];
  readonly names: ReadonlySet<string>;
  readonly everyone: boolean;
}

function claimOf(found: Found, place: FabioTag["place"] & { readonly kind: "http" }): Claim {
  const { tag, names, everyone, backend } = found;
  const { weight, route } = tag.options;
  // A redirect needs no server, and is one target however many instances ask for it.
  const redirects = route.redirect !== undefined;
  return {
    pattern: {
      host: place.host,
      ...(place.hostPort !== undefined && { hostPort: place.hostPort }),
      path: place.path,
      match: "prefix",
      methods: [],
      conditions: [],
    },
    options: route,
    priority: 0,
    backend,
    carriers: redirects || everyone ? "all" : [...names].sort(),
    count: redirects ? Math.min(1, names.size) : names.size,
    ...(weight !== undefined && { share: { part: weight, of: redirects ? ("together" as const) : ("each" as const) } }),
    sticky: false,
    since: since(found),
    origin: origin(found),
  };
}

function listenOf(found: Found, port: number, sni: string): ListenClaim {
  const { weight, route } = found.tag.options;
  const { allow, deny } = route;
  return {
    port,
    mode: "tcp",
    sni,
    backend: found.backend,
    priority: 0,
    since: since(found),
    count: found.names.size,
    ...(weight !== undefined && { share: { part: weight, of: "each" as const } }),
    ...(allow !== undefined && { allow }),
    ...(deny !== undefined && { deny }),
    origin: origin(found),
  };
}

function since({ carrying }: Found): number {
  return Math.min(...carrying.map(({ createIndex }) => createIndex ?? Number.MAX_SAFE_INTEGER));
}

function origin({ service, tag }: Found): Claim["origin"] {
  return { service, kind: "fabio", text: tag.text };
}

/** Named with its instance where it is one instance's alone. */
function exclusion(service: string, reason: string, [first, ...others]: readonly Bearer[]): Exclusion {
  const alone = first !== undefined && others.length === 0;
  return {
    service,
    ...(alone && { instance: `${first.node}/${first.id}` }),
    code: "option-unusable",
    reason: alone || first === undefined ? reason : `${reason} (${others.length + 1} instances)`,
  };
}

/** The ports on which TLS connections come in that are told apart by name; sorted. */
export function sniPorts({ fabioSniPorts = "" }: Pick<FabioSettings, "fabioSniPorts">): readonly number[] {
  const ports = fabioSniPorts.split(",").flatMap((range) => {
    const [first = "", last = first] = range.trim().split("-");
    return first === "" ? [] : Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => Number(first) + at);
  });
  return [...new Set(ports)].sort((a, b) => a - b);
}

function keyOf({ pattern, origin: { text } }: Claim): string {
  return `${pattern.host}:${pattern.hostPort ?? ""}${pattern.path} ${text}`;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
