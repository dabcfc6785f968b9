import type { CatalogService } from "../../catalog/types.ts";
import { isGlob } from "../globs.ts";
import { type PortSettings, portRefusal } from "../own-ports.ts";
import { type FabioSettings, sniPorts } from "./fabio-claims.ts";
import { type FabioTag, parseTag } from "./parse-tag.ts";

/** How Fabio is set up, as far as it changes what a tag means; its defaults where nothing is said. */
export interface FabioSetup {
  readonly matcher: "prefix" | "iprefix" | "glob";
  readonly globs: boolean;
  /** Ports of its listeners that pass bytes on; undefined: not known. */
  readonly tcpPorts?: ReadonlySet<number>;
}

export const fabioDefaults: FabioSetup = { matcher: "prefix", globs: true };

/** What becomes of one tag. */
export interface TagVerdict {
  readonly service: string;
  readonly tag: string;
  /** `<node>/<id>` of those that carry it; sorted. */
  readonly instances: readonly string[];
  /** `same`: requests go where Fabio sends them. `refused`: the tag counts for nothing here. */
  readonly verdict: "same" | "different" | "refused";
  /** What is different, or wrong with it; for `same`, what both ignore. */
  readonly reasons: readonly string[];
}

/** Goes through all tags of Fabio and says of each what would be different. Sorted by service, then tag. */
export function compareTags(
  services: Iterable<CatalogService>,
  settings: PortSettings & { readonly services: FabioSettings },
  fabio: FabioSetup,
): readonly TagVerdict[] {
  const verdicts: TagVerdict[] = [];
  for (const { key, instances } of services) {
    const carriers = new Map<string, string[]>();
    for (const { node, id, tags } of instances) {
      for (const tag of new Set(tags.map((one) => one.trim()))) {
        if (!tag.startsWith(settings.services.fabioPrefix)) continue;
        const known = carriers.get(tag);
        if (known === undefined) carriers.set(tag, [`${node}/${id}`]);
        else known.push(`${node}/${id}`);
      }
    }
    for (const [tag, carrying] of carriers) {
      const read = parseTag(tag, settings.services.fabioPrefix, key.datacenter);
      const judged =
        read.kind === "read"
          ? judge(read.tag, settings, fabio)
          : ({ verdict: "refused", reasons: read.kind === "unreadable" ? [`it ${read.problem}`] : [] } as const);
      verdicts.push({ service: key.name, tag, instances: carrying.sort(), ...judged });
    }
  }
  return verdicts.sort((a, b) => order(a.service, b.service) || order(a.tag, b.tag));
}

function judge(
  { place, options }: FabioTag,
  settings: PortSettings & { readonly services: FabioSettings },
  { matcher, globs, tcpPorts }: FabioSetup,
): Pick<TagVerdict, "verdict" | "reasons"> {
  const different: string[] = [];
  if (place.kind === "port") {
    const refusal = portRefusal(place.port, settings);
    if (refusal !== undefined) return { verdict: "refused", reasons: [refusal] };
    if (tcpPorts?.has(place.port) === false) {
      different.push(`Fabio has no listener for TCP on port ${place.port} (proxy.addr); Sluice opens the port`);
    }
  }
  if (place.kind === "name") {
    const ports = sniPorts(settings.services);
    const refusals = ports.flatMap((port) => portRefusal(port, settings) ?? []);
    if (ports.length === 0) refusals.push("no port is set for connections by name; set services.fabioSniPorts");
    if (refusals.length >= ports.length) return { verdict: "refused", reasons: refusals };
  }
  if (place.kind === "http") {
    if (matcher === "glob" && /[*?[{\\]/.test(place.path)) {
      different.push("its path is a glob to Fabio (proxy.matcher); Sluice takes it for a plain beginning");
    } else if (matcher === "glob") {
      different.push("Fabio takes this path alone (proxy.matcher=glob); Sluice takes all that begin so");
    }
    if (matcher === "iprefix" && /\p{L}/u.test(place.path)) {
      different.push("Fabio takes its path in whatever case (proxy.matcher=iprefix); Sluice takes it as it is written");
    }
    if (!globs && isGlob(place.host)) {
      different.push("Fabio takes its host for a plain name (glob.matching.disabled); Sluice takes it for a glob");
    }
  }
  if (options.route.allow !== undefined || options.route.deny !== undefined) {
    different.push(
      "Fabio judges every address of X-Forwarded-For besides the client's; Sluice judges the client, whom proxies of http.trustedProxies may name",
    );
  }
  return different.length > 0
    ? { verdict: "different", reasons: different }
    : { verdict: "same", reasons: options.notes };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
