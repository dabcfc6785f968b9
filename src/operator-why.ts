import type { WhyAnswer, WhyQuery } from "./admin/why.ts";
import { readChecks } from "./catalog/read-checks.ts";
import { nameOfKey } from "./catalog/service-key.ts";
import type { CatalogService, Snapshot } from "./catalog/types.ts";
import type { RuntimePort } from "./reconciler/ports.ts";
import type { Reconciler } from "./reconciler/reconciler.ts";
import { explainRequest } from "./routing/explain-request.ts";
import { explainService, type SeenCheck, type SeenServer, type ServiceExplanation } from "./routing/explain-service.ts";
import { readRequest } from "./routing/read-request.ts";
import type { LoadBalancer } from "./routing/types.ts";
import { nearest } from "./settings/nearest.ts";
import type { Clock } from "./support/clock.ts";

export interface WhySources {
  readonly reconciler: Pick<Reconciler, "wish" | "accepted" | "state" | "trial" | "isolation">;
  readonly catalog: { latest(): Snapshot | undefined };
  readonly runtime: Pick<RuntimePort, "observe">;
  readonly clock: Clock;
}

const nothing: LoadBalancer = {
  backends: [],
  routes: [],
  listeners: [],
  maps: { clients: [], shares: [], conditions: [], rewrites: [], hosts: [], routes: [], listeners: [] },
  excluded: [],
  registers: [],
};

/** How long Consul and HAProxy have to answer; without them the answer is what is known here. */
const patienceMs = 3_000;

/** Where a request goes and why, or why a service or an instance gets none: asked of what is wanted and of what runs. */
export async function answerWhy(query: WhyQuery, sources: WhySources): Promise<WhyAnswer> {
  const { target } = query;
  const loadBalancer = sources.reconciler.wish?.loadBalancer ?? nothing;
  const names = knownNames(sources);
  const [service = "", ...instance] = target.split("/");
  if (names.has(target) || (names.has(service) && !/^[/:]|:\/\//.test(target))) {
    return one(await ofService(names.has(target) ? target : service, loadBalancer, sources), instance.join("/"));
  }
  const request = readRequest(query);
  if (request === undefined) {
    const near = nearest(service, names);
    return { kind: "unknown", target, near: near === undefined ? [] : [near] };
  }
  const settings = sources.reconciler.trial.inForce.settings;
  return explainRequest(request, { loadBalancer, settings, seen: await seenServers(sources) });
}

/** The explanation of one instance: the others are left out. */
function one(answer: ServiceExplanation, instance: string): ServiceExplanation {
  if (instance === "") return answer;
  const instances = answer.instances.filter(
    (each) => each.instance === instance || each.instance.endsWith(`/${instance}`),
  );
  if (instances.length === 0) {
    const known = answer.instances.map((each) => each.instance).slice(0, 20);
    const problem = `no instance ${JSON.stringify(instance)} is known${known.length === 0 ? "" : `, only ${known.join(", ")}`}`;
    return { ...answer, instances, serves: false, problems: [...answer.problems, problem] };
  }
  return { ...answer, instances, serves: instances.some(({ serves }) => serves) };
}

async function ofService(name: string, loadBalancer: LoadBalancer, sources: WhySources): Promise<ServiceExplanation> {
  const { reconciler, catalog } = sources;
  const { settings } = reconciler.trial.inForce;
  const snapshot = catalog.latest();
  const [seen, checks] = await Promise.all([seenServers(sources), checksOf(name, sources)]);
  const aside = asideOf(name, snapshot);
  return explainService({
    name,
    accepted: byName(reconciler.accepted?.services, name),
    listed: byName(snapshot?.services, name),
    ...(aside !== undefined && { aside }),
    override: snapshot?.overrides?.get(name),
    settings: settings.services,
    loadBalancer,
    holds: reconciler.accepted?.holds ?? [],
    quarantined: reconciler.isolation.quarantine.list(),
    leaving: [...reconciler.state.leaving.values()],
    seen,
    checks,
  });
}

function byName(services: ReadonlyMap<string, CatalogService> | undefined, name: string): CatalogService | undefined {
  for (const service of services?.values() ?? []) if (service.key.name === name) return service;
  return undefined;
}

function asideOf(name: string, snapshot: Snapshot | undefined): "unselected" | "unwatched" | undefined {
  for (const [aside, keys] of [
    ["unselected", snapshot?.unselected],
    ["unwatched", snapshot?.unwatched],
  ] as const) {
    for (const key of keys ?? []) if (nameOfKey(key) === name) return aside;
  }
  return undefined;
}

function knownNames({ reconciler, catalog }: WhySources): ReadonlySet<string> {
  const snapshot = catalog.latest();
  const keys = [...(snapshot?.unselected ?? []), ...(snapshot?.unwatched ?? [])].map(nameOfKey);
  const services = [...(reconciler.accepted?.services.values() ?? []), ...(snapshot?.services.values() ?? [])];
  return new Set([...keys, ...services.map(({ key }) => key.name)]);
}

async function seenServers({ runtime, clock }: WhySources): Promise<ReadonlyMap<string, SeenServer> | undefined> {
  try {
    const { servers } = await runtime.observe(undefined, deadline(clock));
    return new Map(
      servers.map(({ backend, name, weight, maintenance, operational }) => [
        `${backend}/${name}`,
        { weight, maintenance, up: operational !== 0 },
      ]),
    );
  } catch {
    return undefined;
  }
}

async function checksOf(
  name: string,
  { reconciler, clock }: WhySources,
): Promise<ReadonlyMap<string, readonly SeenCheck[]> | undefined> {
  try {
    return await readChecks(reconciler.trial.inForce.settings.consul, name, deadline(clock), clock);
  } catch {
    return undefined;
  }
}

function deadline(clock: Clock): AbortSignal {
  const controller = new AbortController();
  void clock.sleep(patienceMs).then(() => controller.abort());
  return controller.signal;
}
