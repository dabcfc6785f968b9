import type { ServiceBackend } from "./backend.ts";
import { shown } from "./shown.ts";
import type { Claim, Exclusion } from "./types.ts";

interface Claiming {
  /** The name below the domain that is the service's own; undefined where it is not to be reached by one. */
  readonly own: string | undefined;
  /** Hosts that its instances ask for. */
  readonly hosts: ReadonlySet<string>;
}

/** A list of claims less those on names of others. */
interface Kept {
  readonly foreign: string;
  readonly claims: readonly Claim[];
  readonly excluded: readonly Exclusion[];
}

/**
 * Makes the function that takes from each service's claims those on the own name (`<service>.<domain>`) of another one:
 * a longer path or a method would take a part of it from whoever guards it as a whole. What the operator writes, in the
 * settings or an override, is meant. Pure; lists that lose nothing are the very same.
 */
export function createOwnNames(): (services: readonly ServiceBackend[]) => {
  readonly lists: readonly (readonly Claim[])[];
  readonly excluded: readonly Exclusion[];
} {
  const known = new WeakMap<readonly Claim[], Claiming>();
  const kept = new WeakMap<readonly Claim[], Kept>();
  const look = (claims: readonly Claim[]): Claiming => {
    const found = known.get(claims) ?? claimingOf(claims);
    known.set(claims, found);
    return found;
  };
  return (services) => {
    const owners = new Map<string, readonly Claim[]>();
    for (const { claims } of services) {
      const { own } = look(claims);
      if (own !== undefined && !owners.has(own)) owners.set(own, claims);
    }
    const excluded: Exclusion[] = [];
    const lists = services.map(({ claims }) => {
      const foreign = [...look(claims).hosts].filter((host) => (owners.get(host) ?? claims) !== claims);
      if (foreign.length === 0) return claims;
      const before = kept.get(claims);
      const key = foreign.join(" ");
      const now = before?.foreign === key ? before : without(claims, new Set(foreign), key);
      kept.set(claims, now);
      excluded.push(...now.excluded);
      return now.claims;
    });
    return { lists, excluded };
  };
}

function claimingOf(claims: readonly Claim[]): Claiming {
  const own = claims.find(({ origin, pattern }) => origin.kind === "domain" && pattern.listen === undefined);
  return { own: own?.pattern.host, hosts: new Set(claims.filter(isInstances).map(({ pattern }) => pattern.host)) };
}

function without(claims: readonly Claim[], foreign: ReadonlySet<string>, key: string): Kept {
  const taking = (claim: Claim) => isInstances(claim) && foreign.has(claim.pattern.host);
  const excluded = claims.filter(taking).map(
    ({ origin, pattern: { host } }): Exclusion => ({
      service: origin.service,
      code: "route-conflict",
      reason: `${origin.kind} ${shown(origin.text)}: ${shown(host)} is another service's own name, below the domain; choose another host`,
    }),
  );
  const once = [...new Map(excluded.map((one) => [one.reason, one])).values()];
  return { foreign: key, claims: claims.filter((claim) => !taking(claim)), excluded: once };
}

function isInstances({ origin, pattern }: Claim): boolean {
  const { kind } = origin;
  return pattern.listen === undefined && pattern.host !== "" && (kind === "tag" || kind === "meta" || kind === "fabio");
}
