import type { CatalogService, Override } from "../catalog/types.ts";
import type { RouteOptions } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { type Carrying, ClaimGroups } from "./claim-groups.ts";
import { saysFabio } from "./exposure.ts";
import { onTheWay, placeKeys, wantedRoutes } from "./own-claims.ts";
import { shown } from "./shown.ts";
import { byWords, type Speaker } from "./speakers.ts";
import type { Claim, Exclusion } from "./types.ts";
import type { ServiceVoices } from "./voices.ts";
import { only, type Wishes } from "./wishes.ts";

/** Options that keep requests out: they hold by whatever name a service is reached. */
const guards: ReadonlySet<string> = new Set(["auth", "allow", "deny"]);
/** Options that hold on Fabio's routes too where their tags say nothing else; none of them is about one path or host. */
const overall: ReadonlySet<string> = new Set([
  ...guards,
  "rate",
  "https-redirect",
  "hsts",
  "cors.origin",
  "cors.methods",
  "cors.headers",
  "cors.credentials",
  "cors.max-age",
]);
/** Of one service: a few hundred words may ask for a million, which nobody has the memory for. */
const mostRoutes = 5_000;
/** A host name as a request may carry it; `_` is not in DNS's rules but in people's names. */
const hostName = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
/** RFC 1035, 2.3.4 */
const longestHost = 253;

export interface ServiceRoutes {
  readonly claims: readonly Claim[];
  readonly excluded: readonly Exclusion[];
}

/**
 * Whether a service has a name of its own below the domain: not where Fabio's tags alone say how it is reached, for who
 * comes from Fabio gets the same routes and no more.
 */
export function hasDomain(
  { key, instances, spoke = [] }: Pick<CatalogService, "key" | "instances" | "spoke">,
  speakers: readonly Speaker[],
  settings: Pick<Settings["services"], "expose" | "fabioPrefix" | "options">,
  override: Override | undefined,
): boolean {
  if (settings.expose === "all" || speakers.some(({ words }) => words.speaks)) return true;
  const document = Object.hasOwn(settings.options, key.name) ? settings.options[key.name] : undefined;
  if ([document, override].some((one) => one !== undefined && saysWhere(one))) return true;
  return ![...instances, ...spoke].some((one) => saysFabio(one, settings.fabioPrefix));
}

function saysWhere({ options, routes = {} }: Pick<Override, "options" | "routes">): boolean {
  const { enable, host, path } = options;
  return enable === true || host !== undefined || path !== undefined || Object.keys(routes).length > 0;
}

/** The claims of a service's own words, of the settings and of an override; those of Fabio's tags are given. */
export function serviceClaims(
  service: string,
  speakers: readonly Speaker[],
  voices: ServiceVoices,
  domain: string | undefined,
  ports: readonly number[],
  fabio: readonly Claim[],
  carrying: Carrying,
): ServiceRoutes {
  const excluded: Exclusion[] = [];
  const guarded = guardedClaims(fabio, voices.base);
  const host = domain === undefined ? undefined : domainHost(service, domain, excluded);
  const around = guardBesides(speakers, voices, guarded);
  if (around !== undefined && (host !== undefined || ports.length > 0)) {
    const ways = [...(host === undefined ? [] : [`the host ${host}`]), ...ports.map((port) => `port ${port}`)].join(
      ", ",
    );
    const reason = `${ways} would be a way around ${shown(around)}, so it leads nowhere by itself; say by haproxy.host where the service is to be reached at large, or guard it by haproxy.auth, haproxy.allow or haproxy.deny`;
    excluded.push({ service, code: "option-unusable", reason });
  }
  const groups = new ClaimGroups();
  const entrances = {
    service,
    ...(host !== undefined && around === undefined && { domain: host }),
    ports,
    atLarge: around === undefined,
  };
  for (const [words, by] of byWords(speakers)) {
    for (const wanted of wantedRoutes(voices.of(words), entrances)) {
      if (!groups.add(wanted, by, mostRoutes)) {
        const reason = `it wants more than ${mostRoutes} routes (each host with each path); those beyond are left out`;
        return {
          claims: [...groups.claims(carrying), ...guarded],
          excluded: [...excluded, { service, code: "option-unusable", reason }],
        };
      }
    }
  }
  return { claims: [...groups.claims(carrying), ...guarded], excluded };
}

/** `<service>.<domain>`, where that can be a host's name. Asked before letters are made small: some become ASCII only then (U+212A). */
function domainHost(service: string, domain: string, excluded: Exclusion[]): string | undefined {
  const written = `${service}.${domain}`;
  if (written.length <= longestHost && hostName.test(written)) return written.toLowerCase();
  const reason = "its name cannot stand in a host name, so no request reaches it by host; rename the service";
  excluded.push({ service, code: "host-unusable", reason });
  return undefined;
}

/**
 * What would be walked around if the service were reached at large, by its name below the domain or a port of its own: a
 * tag of Fabio's, or a named route, that guards its own place, where nothing says how the service as a whole is reached.
 */
function guardBesides(
  speakers: readonly Speaker[],
  voices: ServiceVoices,
  fabio: readonly Claim[],
): string | undefined {
  const { options } = voices.base;
  if ([...guards, ...placeKeys].some((key) => options[key as keyof RouteOptions] !== undefined)) return undefined;
  const isGuarded = (way: RouteOptions) => [...guards].some((key) => way[key as keyof RouteOptions] !== undefined);
  const claim = fabio.find((one) => isGuarded(one.options));
  if (claim !== undefined) return claim.origin.text;
  const named = [...byWords(speakers).keys()].flatMap((words) => [...voices.of(words).routes.values()]);
  const route = named.find((wishes) => isGuarded(wishes.options));
  return Object.values(route?.said ?? {})[0]?.text;
}

/** The claims of Fabio's tags, with what holds for the service as a whole. */
export function guardedClaims(fabio: readonly Claim[], base: Wishes): readonly Claim[] {
  return fabio.map((claim) => ({ ...claim, options: withOverall(claim.options, base) }));
}

/** Fabio's own options go before the tags beside them, and the operator's before both. */
export function withOverall(options: RouteOptions, base: Wishes): RouteOptions {
  const { options: rest, said } = only(base, overall);
  if (Object.keys(rest).length === 0) return options;
  const overriding = only(
    { options: rest, said },
    new Set(Object.entries(said).flatMap(([key, { kind }]) => (kind === "override" ? [key] : []))),
  );
  return onTheWay({ ...rest, ...options, ...overriding.options });
}
