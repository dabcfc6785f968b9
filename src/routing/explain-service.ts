import type { CatalogService, Health, Instance, Override } from "../catalog/types.ts";
import type { Hold, Quarantined } from "../guard/types.ts";
import type { LeavingServer } from "../haproxy/plan/types.ts";
import type { OptionKey } from "../settings/options/table.ts";
import type { Settings } from "../settings/schema.ts";
import { isExposed, saysFabio } from "./exposure.ts";
import { patternText } from "./pattern-text.ts";
import { serviceAsks } from "./service-asks.ts";
import { shown } from "./shown.ts";
import { layersOf, speakersOf } from "./speakers.ts";
import type { Backend, LoadBalancer, Server } from "./types.ts";

/** What HAProxy says of one server now. */
export interface SeenServer {
  readonly weight: number;
  readonly maintenance: boolean;
  /** Whether it takes requests by HAProxy's own check. */
  readonly up: boolean;
}

/** A check as Consul has it at the moment of asking. */
export interface SeenCheck {
  readonly name: string;
  readonly status: string;
  readonly output: string;
}

/** All that an answer is made of. */
export interface ServiceFacts {
  readonly name: string;
  /** As the guard let it through; undefined where it is not among the services that are served. */
  readonly accepted: CatalogService | undefined;
  /** As the catalog has it now. */
  readonly listed: CatalogService | undefined;
  /** Whether the catalog lists it and it is not selected, or selected and not watched. */
  readonly aside?: "unselected" | "unwatched";
  readonly override: Override | undefined;
  readonly settings: Settings["services"];
  readonly loadBalancer: LoadBalancer;
  readonly holds: readonly Hold[];
  readonly quarantined: readonly Quarantined[];
  readonly leaving: readonly LeavingServer[];
  /** By `<backend>/<server>`; undefined where HAProxy could not be asked. */
  readonly seen: ReadonlyMap<string, SeenServer> | undefined;
  /** By `<node>/<id>`; undefined where Consul could not be asked. */
  readonly checks: ReadonlyMap<string, readonly SeenCheck[]> | undefined;
}

export interface InstanceExplanation {
  /** `<node>/<id>` */
  readonly instance: string;
  readonly address: string;
  readonly health: Health | "not listed";
  readonly server?: string;
  readonly weight?: number;
  /** Whether it is given requests now, as far as is known. */
  readonly serves: boolean;
  /** Why it gets none, or less or otherwise than one would think. */
  readonly why: readonly string[];
}

export interface ServiceExplanation {
  readonly kind: "service";
  readonly service: string;
  /** Whether anybody is served by it. */
  readonly serves: boolean;
  readonly selected: { readonly yes: boolean; readonly why: string };
  readonly options: readonly { readonly key: string; readonly value: unknown; readonly source: string }[];
  readonly backends: readonly { readonly name: string; readonly mode: string; readonly servers: number }[];
  readonly routes: readonly { readonly pattern: string; readonly share: number }[];
  readonly instances: readonly InstanceExplanation[];
  /** What was left out of it, or lost against others. */
  readonly problems: readonly string[];
}

/** Why a service, and each of its instances, gets requests or gets none. */
export function explainService(facts: ServiceFacts): ServiceExplanation {
  const { name, loadBalancer, settings, override } = facts;
  const backends = loadBalancer.backends.filter(({ sources }) => sources.some((source) => source.name === name));
  const instances = explainInstances(facts, backends);
  const speaking = facts.accepted ?? facts.listed;
  const speakers = speaking === undefined ? [] : speakersOf(speaking);
  const { asks } = serviceAsks(name, speakers, layersOf(name, settings, override));
  const names = new Set(backends.map((backend) => backend.name));
  return {
    kind: "service",
    service: name,
    serves: instances.some(({ serves }) => serves),
    selected: selection(facts, asks.options.enable, backends.length > 0),
    options: (Object.keys(asks.options) as OptionKey[]).sort().map((key) => ({
      key,
      value: asks.options[key],
      source: sourceText(asks.said[key]),
    })),
    backends: backends.map((backend) => ({ name: backend.name, mode: backend.mode, servers: backend.servers.length })),
    routes: loadBalancer.routes.flatMap((route) => {
      const share = route.targets.reduce((sum, target) => sum + (names.has(target.backend) ? target.share : 0), 0);
      const meant = route.targets.some(({ backend }) => names.has(backend));
      return meant ? [{ pattern: patternText(route), share }] : [];
    }),
    instances,
    problems: [
      ...loadBalancer.excluded
        .filter((one) => one.service === name && one.instance === undefined)
        .map(({ code, reason }) => `${code}: ${reason}`),
      ...(override?.problems ?? []).map((problem) => `override: ${problem}`),
      ...facts.quarantined
        .filter((one) => one.name === name && one.instances.length === 0)
        .map(({ reason }) => `quarantined as a whole: ${reason}`),
    ],
  };
}

function sourceText(said: { readonly kind: string; readonly text: string } | undefined): string {
  return said === undefined ? "settings" : `${said.kind} ${shown(said.text)}`;
}

function selection(facts: ServiceFacts, enable: boolean | undefined, backend: boolean): ServiceExplanation["selected"] {
  const { accepted, listed, settings } = facts;
  if (facts.aside === "unwatched") {
    return { yes: false, why: "it is selected, but nothing is known of it yet: no answer, or no connection left" };
  }
  const service = accepted ?? listed;
  if (service === undefined) {
    const why =
      facts.aside === "unselected"
        ? `Consul lists it, and nothing exposes it: register a tag such as haproxy.enable=true, or set services.expose: all`
        : "Consul lists no service of this name";
    return { yes: false, why };
  }
  if (enable === false) return { yes: false, why: "the option enable is false" };
  if (!isExposed(service, settings, enable)) {
    return { yes: false, why: "no instance has a tag or meta that exposes it, such as haproxy.enable=true" };
  }
  if (!backend) return { yes: false, why: "it is exposed, but has no backend: see what was left out" };
  if (enable === true) return { yes: true, why: "the option enable is true" };
  if (settings.expose === "all") return { yes: true, why: "services.expose is all" };
  if (service.instances.length === 0) return { yes: true, why: "it had instances; its routes are remembered" };
  const fabio = service.instances.some((instance) => saysFabio(instance, settings.fabioPrefix));
  return { yes: true, why: fabio ? `a tag begins with ${settings.fabioPrefix}` : "a haproxy.* tag or haproxy_* meta" };
}

/** Every instance anybody knows of: those accepted, those the catalog lists, those that leave. Sorted by name. */
function explainInstances(facts: ServiceFacts, backends: readonly Backend[]): readonly InstanceExplanation[] {
  const all = new Map<string, Instance>();
  for (const service of [facts.listed, facts.accepted]) {
    for (const instance of [...(service?.instances ?? []), ...(service?.elsewhere ?? [])]) {
      all.set(instanceName(instance), instance);
    }
  }
  const explained = [...all].map(([name, instance]) => explainInstance(name, instance, facts, backends));
  const known = new Set(backends.map(({ name }) => name));
  const leaving = facts.leaving
    .filter(({ backend }) => known.has(backend))
    .map(({ server, address, port }): InstanceExplanation => {
      const why = ["it left, and finishes what it has begun; takes nothing new"];
      return { instance: server, address: `${address}:${port}`, health: "not listed", server, serves: false, why };
    });
  return [...explained.sort((a, b) => (a.instance < b.instance ? -1 : 1)), ...leaving];
}

function explainInstance(
  name: string,
  instance: Instance,
  facts: ServiceFacts,
  backends: readonly Backend[],
): InstanceExplanation {
  const found = serverOf(name, backends);
  const listed = [...(facts.listed?.instances ?? []), ...(facts.listed?.elsewhere ?? [])].find(
    (one) => instanceName(one) === name,
  );
  const seen = found === undefined ? undefined : facts.seen?.get(`${found.backend.name}/${found.server.name}`);
  const health: InstanceExplanation["health"] = listed?.health ?? "not listed";
  const why = [
    ...reasonsOfCatalog(name, listed, facts),
    ...facts.loadBalancer.excluded
      .filter((one) => one.service === facts.name && one.instance === name)
      .map(({ code, reason }) => `${code}: ${reason}`),
    ...(found === undefined ? [] : reasonsOfServer(found.server, seen, facts.seen !== undefined)),
  ];
  const weight = seen?.weight ?? found?.server.weight;
  const serves = found !== undefined && (weight ?? 0) > 0 && (seen === undefined || (seen.up && !seen.maintenance));
  if (found === undefined && why.length === 0) why.push("it has no server");
  return {
    instance: name,
    address: `${instance.address}:${instance.port}`,
    health,
    ...(found !== undefined && { server: `${found.backend.name}/${found.server.name}` }),
    ...(weight !== undefined && { weight }),
    serves,
    why,
  };
}

function reasonsOfCatalog(name: string, listed: Instance | undefined, facts: ServiceFacts): string[] {
  const reasons: string[] = [];
  const held = facts.holds.find(
    ({ instance }) => instanceName(instance) === name && instance.service.name === facts.name,
  );
  if (held !== undefined) {
    const cause = held.cause === "zero" ? "no other would be left" : "more than half of the catalog was lost at once";
    reasons.push(`held since ${new Date(held.since).toISOString()} against Consul's word, as ${cause}`);
  }
  for (const one of facts.quarantined) {
    if (one.name !== facts.name || !one.instances.includes(name)) continue;
    const stands = one.good === undefined ? "it is left out" : "it stands in with its last good tags and meta";
    reasons.push(`quarantined since ${new Date(one.since).toISOString()}, ${stands}: ${one.reason}`);
  }
  if (listed?.health === "maintenance") reasons.push("in maintenance by Consul: weight 0");
  if (listed?.health === "critical" || listed?.health === "warning") {
    const bad = (facts.checks?.get(name) ?? []).filter(({ status }) => status !== "passing");
    for (const { name: check, status, output } of bad) {
      reasons.push(`Consul's check ${shown(check)} is ${status}: ${shown(output.trim())}`);
    }
    if (bad.length === 0) reasons.push(`${listed.health} by Consul's checks`);
    if (listed.health === "warning" && listed.weights.warning === 0) reasons.push("its weight while warning is 0");
  }
  return reasons;
}

function reasonsOfServer(server: Server, seen: SeenServer | undefined, asked: boolean): string[] {
  const reasons: string[] = [];
  if (server.joining) reasons.push("joining: waits for HAProxy's first good check");
  else if (server.weight === 0) reasons.push("weight 0: takes nothing new");
  if (server.options.backup === true) reasons.push("backup: takes requests only where no other server can");
  if (asked && seen === undefined) reasons.push("HAProxy does not have it yet");
  if (seen?.maintenance === true) reasons.push("HAProxy has it in maintenance");
  else if (seen?.up === false) reasons.push("HAProxy's own check finds it down");
  return reasons;
}

function serverOf(name: string, backends: readonly Backend[]) {
  for (const backend of backends) {
    const server = backend.servers.find(({ instance }) => `${instance.node}/${instance.id}` === name);
    if (server !== undefined) return { backend, server };
  }
  return undefined;
}

function instanceName({ node, id }: Pick<Instance, "node" | "id">): string {
  return `${node}/${id}`;
}
