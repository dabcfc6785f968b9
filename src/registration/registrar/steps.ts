import type { CheckStatus, Registered, RegisteredCheck, Registration } from "../agent-client.ts";
import { containerKey, madeBy, type Wanted } from "./wanted.ts";

/** What an agent has: all of it, others' services too. */
export interface AgentState {
  readonly services: readonly Registered[];
  readonly checks: readonly RegisteredCheck[];
}

/** What is wanted of one id. */
export interface WantedState extends Wanted {
  /** Why it is to be in maintenance; undefined: it is not. */
  readonly maintenance?: string;
}

export type Step =
  | { readonly kind: "maintain"; readonly id: string; readonly on: boolean; readonly reason: string }
  /** Registering ends maintenance: `maintenance` is the reason of what is to be set again. */
  | {
      readonly kind: "register";
      readonly id: string;
      readonly registration: Registration;
      readonly container: string;
      readonly maintenance?: string;
    }
  | { readonly kind: "ttl"; readonly id: string; readonly status: CheckStatus; readonly output: string }
  | { readonly kind: "deregister"; readonly id: string; readonly name: string };

/** An id that is wanted and cannot be had, and why, in words. */
export interface Conflict {
  readonly container: string;
  readonly problem: string;
}

/** Before the reason of maintenance that is ours: maintenance that somebody else has set is not ended. */
const ownReason = `${madeBy}: `;

export interface StepsOptions {
  readonly host: string;
  /** Take over ids that are wanted and that nobody is said to have made. */
  readonly adopt: boolean;
  /** Whether what was said last of a service's TTL check has to be said again. */
  readonly isDue: (id: string) => boolean;
  /** Whether maintenance is not to be ended although it is ours: a registrar before us may have had its reasons. */
  readonly keepsMaintenance: (id: string) => boolean;
  /** Containers that are there and of which nothing is known: what they are registered as stays. */
  readonly unknown: readonly string[];
}

/**
 * What is to be done so that an agent has what is wanted. Ids that this host's registrar did not make are not touched.
 * What takes out of the load comes first, what is forgotten last.
 *
 * @param wanted by id
 */
export function stepsTo(
  wanted: ReadonlyMap<string, WantedState>,
  { services, checks }: AgentState,
  { host, adopt, isDue, keepsMaintenance, unknown }: StepsOptions,
): { readonly steps: readonly Step[]; readonly conflicts: readonly Conflict[] } {
  const there = new Map(services.map((one) => [one.id, one]));
  const statusOf = new Map(checks.map(({ id, status }) => [id, status]));
  const maintenanceOf = new Map(
    checks.flatMap(({ id, serviceId, notes }) =>
      id === `_service_maintenance:${serviceId}` ? [[serviceId, notes] as const] : [],
    ),
  );
  const conflicts: Conflict[] = [];
  const maintain: Step[] = [];
  const register: Step[] = [];
  const ttl: Step[] = [];
  for (const [id, { registration, container, maintenance, ttl: said }] of wanted) {
    const known = there.get(id);
    if (known !== undefined && known.meta[madeBy] !== host && !(adopt && known.meta[madeBy] === undefined)) {
      const maker = known.meta[madeBy];
      const who = maker === undefined ? "somebody else" : `the registrar of ${maker}`;
      conflicts.push({ container, problem: `its id ${id} is one that ${who} has registered; it is not touched` });
      continue;
    }
    const set = maintenanceOf.get(id);
    const kept = set !== undefined && (keepsMaintenance(id) || !set.startsWith(ownReason)) ? set : undefined;
    const reason = kept ?? (maintenance === undefined ? undefined : `${ownReason}${maintenance}`);
    const checkStatus = statusOf.get(`service:${id}`);
    const hasCheck = registration.check === undefined || checkStatus !== undefined;
    if (!isSame(known, registration) || !hasCheck) {
      register.push({
        kind: "register",
        id,
        registration,
        container,
        ...(reason !== undefined && { maintenance: reason }),
      });
    } else if (reason !== set && (reason === undefined || set === undefined)) {
      maintain.push({ kind: "maintain", id, on: reason !== undefined, reason: reason ?? "" });
    }
    if (said === undefined) continue;
    const isNew = register.at(-1)?.id === id;
    // What is said lives on over a restart of the agent, and what it was registered with does not: so it is said at once.
    if (isNew || checkStatus !== said.status || isDue(id)) ttl.push({ kind: "ttl", id, ...said });
  }
  const isKept = (digits: string | undefined) => digits !== undefined && unknown.some((id) => id.startsWith(digits));
  const deregister = services.flatMap(({ id, name, meta }): readonly Step[] =>
    meta[madeBy] === host && !wanted.has(id) && !isKept(meta[containerKey]) ? [{ kind: "deregister", id, name }] : [],
  );
  return { steps: [...maintain, ...register, ...ttl, ...deregister], conflicts };
}

function isSame(known: Registered | undefined, wanted: Registration): boolean {
  if (known === undefined) return false;
  const { name, address = "", port, tags = [], meta } = wanted;
  const keys = Object.keys(meta);
  return (
    known.name === name &&
    known.address === address &&
    known.port === port &&
    known.tags.length === tags.length &&
    known.tags.every((tag, index) => tag === tags[index]) &&
    keys.length === Object.keys(known.meta).length &&
    keys.every((key) => known.meta[key] === meta[key])
  );
}
