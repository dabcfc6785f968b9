import type { CatalogService, Instance, Override } from "../catalog/types.ts";
import { serviceOptions } from "../settings/options/service-options.ts";
import type { ServiceOptions } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { isExposed } from "./exposure.ts";
import { type FabioClaims, fabioClaims, fabioInstanceOptions } from "./fabio/fabio-claims.ts";
import { safeName, tcpName } from "./names.ts";
import { ownWords } from "./own-words.ts";
import { placesOf } from "./places.ts";
import { instanceScope } from "./server-words.ts";
import { type ServiceServers, serversOf, type Trust } from "./servers.ts";
import { serviceAsks } from "./service-asks.ts";
import { guardedClaims, hasDomain, serviceClaims, withOverall } from "./service-claims.ts";
import { serviceListens } from "./service-listens.ts";
import { type Layers, layersOf, type Speaker, speakersOf } from "./speakers.ts";
import { isOfRequests } from "./tcp-mode.ts";
import type { Backend, Claim, Exclusion, ListenClaim } from "./types.ts";
import { carriedValues } from "./values.ts";
import { ServiceVoices } from "./voices.ts";
import { layered, type Wishes, wishesOf } from "./wishes.ts";

/** Algorithms that hash something of the request (configuration manual 4.2, `balance`). */
const hashing = /^(source|uri|url_param|hdr|rdp-cookie|hash)\b/;
/** What is done with a service as a whole, and not what its backend is like; or has a field of its own. */
const notOfBackend: ReadonlySet<string> = new Set([
  "enable",
  "mode",
  "listen",
  "balance",
  "panic",
  "admit",
  "address",
  "failover",
]);
export interface ServiceBackend {
  readonly backend: Backend;
  /**
   * The same servers once more in mode tcp, named `<name>:tcp`: where a service is reached both by HTTP and by a port
   * whose bytes are passed on.
   */
  readonly tcp?: Backend;
  /** What is wanted of routes. Those of Fabio's tags stand behind the others. */
  readonly claims: readonly Claim[];
  readonly listens: readonly ListenClaim[];
  /** Names that HAProxy is to be registered under in Consul. Sorted. */
  readonly registers: readonly string[];
  readonly excluded: readonly Exclusion[];
}

/** By backend name. */
export type TrustOf = (backend: string) => Trust;

/**
 * What one service comes to: its backend with its instances as servers, what it wants of routes and ports, and what had
 * to be left out. Nothing where it is not to be reached.
 */
export function serviceBackend(
  service: CatalogService,
  settings: Pick<Settings, "services" | "http">,
  trustOf: TrustOf,
  override?: Override,
): ServiceBackend | undefined {
  const { name: serviceName } = service.key;
  const speakers = speakersOf(service);
  const layers = layersOf(serviceName, settings.services, override);
  const { asks, excluded: overruled } = serviceAsks(serviceName, speakers, layers);
  if (!isExposed(service, settings.services, asks.options.enable)) return undefined;

  const name = safeName(serviceName);
  const optionsOf = instanceOptionsOf(layers, service.key.datacenter, settings.services);
  const wishes = {
    places: placesOf(service, settings.services, asks.options),
    panic: asks.options.panic ?? settings.services.panic,
    admit: asks.options.admit ?? settings.services.admit,
    optionsOf,
  };
  const serversIn = (mode: Backend["mode"], backend: string): readonly [Backend, ServiceServers] => {
    const shape = backendShape(asks, settings.services, mode);
    const servers = serversOf(service, wishes, shape, trustOf(backend));
    return [{ name: backend, sources: [service.key], ...shape, servers: servers.servers }, servers];
  };

  const ports = [...new Set(asks.options.listen ?? [])].sort((a, b) => a - b);
  const wanted = asks.options.mode ?? "http";
  // Names of servers depend on no mode.
  const [http, made] = serversIn("http", name);
  // Those elsewhere stand in for these and carry what these do.
  const here = new Map(service.instances.flatMap((one) => nameOf(made.names, one)));
  const hereNames = new Set(here.values());
  const fabio = fabioClaims(service, name, here, settings.services);
  const voices = new ServiceVoices(speakers, layers);
  const { claims, excluded: unreachable } =
    wanted === "tcp"
      ? { claims: guardedClaims(fabio.claims, voices.base), excluded: [] }
      : serviceClaims(
          serviceName,
          speakers,
          voices,
          hasDomain(service, speakers, settings.services, override) ? settings.http.domain : undefined,
          ports,
          fabio.claims,
          {
            backend: name,
            servers: new Map(http.servers.flatMap((one) => (hereNames.has(one.name) ? [[one.name, one]] : []))),
            serverOf: new Map([...here].map(([{ node, id }, server]) => [`${node}/${id}`, server])),
          },
        );
  const passesOn = wanted === "tcp" || fabio.listens.some(({ mode }) => mode === "tcp");
  // Both ways to reach it make two backends; one of bytes alone has the plain name.
  const bytes = claims.length > 0 ? tcpName(name) : name;
  const [tcp, madeTcp] = passesOn ? serversIn("tcp", bytes) : [undefined, made];
  const own = serviceListens(serviceName, wanted, ports, speakers, voices, asks, wanted === "tcp" ? bytes : name);
  const alone = tcp !== undefined && claims.length === 0;
  return {
    backend: alone ? tcp : http,
    ...(tcp !== undefined && !alone && { tcp }),
    claims,
    listens: [...own.listens, ...listensOfFabio(fabio, voices.base, name, bytes)],
    registers: fabio.registers,
    excluded: [
      ...(alone ? madeTcp : made).excluded,
      ...unreadable(serviceName, speakers, override, settings.services),
      ...overruled,
      ...fabio.problems,
      ...unreachable,
      ...own.excluded,
    ],
  };
}

/** What could not be read of tags, meta and the override. */
function unreadable(
  service: string,
  speakers: readonly Speaker[],
  override: Override | undefined,
  { overrides }: Pick<Settings["services"], "overrides">,
): readonly Exclusion[] {
  const code = "option-unusable";
  return [
    ...speakers.flatMap(({ instance: { node, id }, words }) =>
      words.problems.map((reason) => ({ service, instance: `${node}/${id}`, code, reason }) as const),
    ),
    ...(override?.problems ?? []).map((it) => ({ service, code, reason: `${overrides}/${service}: ${it}` }) as const),
  ];
}

/** What holds for an instance's server line: its own words go before Fabio's tags, the override before both. */
function instanceOptionsOf({ below, above }: Layers, datacenter: string, settings: Settings["services"]) {
  const known = new Map<Instance, ReturnType<typeof instanceScope>>();
  return (instance: Instance) => {
    let options = known.get(instance);
    if (options === undefined) {
      const fabio = wishesOf(fabioInstanceOptions(instance, datacenter, settings), "fabio", settings.fabioPrefix);
      options = instanceScope(layered(below, fabio, ownWords(carriedValues(instance)).base, above).options);
      known.set(instance, options);
    }
    return options;
  };
}

function backendShape(asks: Wishes, settings: Settings["services"], mode: Backend["mode"]) {
  const asked = asks.options.balance ?? settings.balance;
  // HAProxy would balance in turn as well, and warn of it.
  const balance = mode === "tcp" && isOfRequests("balance", { balance: asked }) ? "roundrobin" : asked;
  const options: Record<string, unknown> = {};
  for (const key of Object.keys(serviceOptions) as (keyof ServiceOptions)[]) {
    if (notOfBackend.has(key) || (mode === "tcp" && isOfRequests(key, {}))) continue;
    if (asks.options[key] !== undefined) options[key] = asks.options[key];
  }
  return {
    mode,
    balance,
    consistent: hashing.test(balance),
    options: options as ServiceOptions,
    // Whether routes name servers is known when those of all services are put together.
    picks: false,
  };
}

/** With the backend they lead to, and kept from whom the service keeps all else. */
function listensOfFabio({ listens }: FabioClaims, base: Wishes, http: string, tcp: string): readonly ListenClaim[] {
  return listens.map(({ allow, deny, ...listen }) => {
    const given = { ...(allow !== undefined && { allow: [...allow] }), ...(deny !== undefined && { deny: [...deny] }) };
    const { allow: allowed, deny: denied } = withOverall(given, base);
    return {
      ...listen,
      backend: listen.mode === "tcp" ? tcp : http,
      ...(allowed !== undefined && { allow: allowed }),
      ...(denied !== undefined && { deny: denied }),
    };
  });
}

function nameOf(names: ReadonlyMap<Instance, string>, instance: Instance): readonly (readonly [Instance, string])[] {
  const name = names.get(instance);
  return name === undefined ? [] : [[instance, name]];
}
