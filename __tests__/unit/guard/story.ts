import type { CatalogService, Instance, Snapshot } from "../../../src/catalog/types.ts";
import { judge } from "../../../src/guard/accept.ts";
import { holdKey } from "../../../src/guard/instances.ts";
import type { Accepted, GuardPolicy, Judgement, Probes } from "../../../src/guard/types.ts";
import { byKey, instance } from "../routing/fixtures.ts";

export const policy: GuardPolicy = { windowMs: 30_000, holdForMs: 300_000, rememberMs: 1_000_000 };
export const noProbes: Probes = new Map();
export const web = "dc1////web";
export const start = 5_000_000;

export function snapshot(
  services: readonly CatalogService[],
  unselected: readonly string[] = [],
  unwatched: readonly string[] = [],
  departed: readonly string[] = [],
): Snapshot {
  return {
    services: byKey(services),
    unselected: new Set(unselected),
    unwatched: new Set(unwatched),
    departed: new Set(departed),
    sequence: 1,
    takenAt: 0,
    answeredAt: 0,
  };
}

/** Instances of `web` by their numbers. */
export const fleet = (...numbers: readonly number[]) => numbers.map((number) => instance("web", number));

/** Instances of a service, `1` to `count`, that all say the same more. */
export const some = (service: string, count: number, more: Partial<Instance> = {}) =>
  [...Array(count).keys()].map((at) => instance(service, at + 1, more));

export const cutOff: Partial<Instance> = { health: "critical", nodeCritical: true };

export const probe = (alive: boolean, ...instances: readonly Instance[]): Probes =>
  new Map(instances.map((one) => [holdKey(`dc1////${one.service.name}`, one), alive]));

interface Seen {
  readonly at?: number;
  readonly probes?: Probes;
  readonly unselected?: readonly string[];
  readonly departed?: readonly string[];
  readonly policy?: GuardPolicy;
}

/** One run of the guard after another; each step gets what came before it. */
export function story() {
  let accepted: Accepted | undefined;
  let last: Judgement | undefined;
  return {
    see(services: readonly CatalogService[], given: Seen = {}) {
      const { at = start, probes = noProbes, unselected = [], departed = [] } = given;
      const next = snapshot(services, unselected, [], departed);
      last = judge(accepted, next, probes, given.policy ?? policy, at);
      accepted = last.accepted;
      return accepted;
    },
    /** Ids that serve of `web`, all that is held and suspected. */
    state() {
      return {
        web: accepted?.services.get(web)?.instances.map(({ id }) => id),
        held: accepted?.holds.map((hold) => hold.instance.id),
      };
    },
    suspects: () => accepted?.suspects.map(({ instance: { id } }) => id),
    losses: () =>
      accepted?.losses.map(({ instance: { id }, how, over }) => `${id} ${how}${over === true ? " over" : ""}`),
    causes: () => accepted?.holds.map(({ instance: { id }, cause }) => `${id} ${cause}`),
    released: () => last?.released.map(({ hold, why }) => `${hold.instance.id} ${why}`),
    health: (service = web) => accepted?.services.get(service)?.instances.map(({ id, health }) => `${id} ${health}`),
  };
}
