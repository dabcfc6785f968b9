import { type ClientList, clientList } from "./clients.ts";
import { type PortSettings, portRefusal } from "./own-ports.ts";
import { beginnings, shareClaims } from "./shares.ts";
import { shown } from "./shown.ts";
import type { Exclusion, ListenClaim, Listener, MapRow } from "./types.ts";

export interface MergedListeners {
  /** Sorted by port. */
  readonly listeners: readonly Listener[];
  /**
   * Rows of listeners.map, sorted by key: `<port>=` and `<port>/<name>=`, the name with `*.` before it where every name
   * below is meant, and what a connection there gets: the backend, and behind a `|` the list of clients where there is one.
   * Looked up by the longest beginning of that key with a number from 10000 to 19999 behind it, so that what is shared
   * can be written as beginnings of that number. Ports of mode http have none: their routes are in routes.map.
   */
  readonly rows: readonly MapRow[];
  /** Rows of clients.map that `rows` names; each once. */
  readonly clients: readonly MapRow[];
  readonly excluded: readonly Exclusion[];
}

/** Each port is a frontend of HAProxy's, and an open socket: nobody may fill it up. */
const mostPorts = 256;

/** What TLS clients may ask for and be told apart by; a `*` anywhere else than before a dot at the beginning is no name. */
const serverName = /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;

/**
 * Puts together what services want of ports of their own. Where two want what does not go together, the one with the
 * higher priority has it, then the one that is registered longer, then the first by name; the other one is named. HTTP
 * services go together on one port, for their routes tell them apart; HTTP and TCP do not. What Fabio's tags ask for is
 * shared among services, as Fabio does.
 *
 * @param closed ports that cannot be opened, with the reason
 */
export function mergeListeners(
  listens: readonly ListenClaim[],
  settings: PortSettings,
  closed: ReadonlyMap<number, string> = new Map(),
): MergedListeners {
  const listeners: Listener[] = [];
  const rows: MapRow[] = [];
  const clients = new Map<string, ClientList>();
  const excluded: Exclusion[] = [];
  const [wanted, tooMany] = bounded(listens);
  excluded.push(...tooMany);
  for (const [port, claims] of grouped(wanted, ({ port }) => port)) {
    const inTheWay = closed.get(port);
    const refusal = portRefusal(port, settings) ?? (inTheWay && `port ${port} cannot be opened: ${inTheWay}`);
    if (refusal !== undefined) {
      excluded.push(...oncePerService(claims).map((claim) => left(claim, "listen-refused", refusal)));
      continue;
    }
    const sorted = [...claims].sort(byPrecedence);
    const [first] = sorted;
    if (first === undefined) continue;
    const { mode } = first;
    const others = oncePerService(sorted.filter((claim) => claim.mode !== mode));
    excluded.push(...others.map((claim) => left(claim, "route-conflict", modeConflict(claim, first))));
    if (mode === "http") {
      listeners.push({ port, mode, sni: false });
      continue;
    }
    const same = sorted.filter((claim) => claim.mode === mode);
    const named = same.filter(({ sni }) => sni === "" || serverName.test(sni));
    const nameless = same.filter((claim) => !named.includes(claim));
    excluded.push(...nameless.map((claim) => left(claim, "option-unusable", nameProblem(claim))));
    if (named.length === 0) continue;
    listeners.push({ port, mode, sni: named.some(({ sni }) => sni !== "") });
    for (const [sni, wanting] of grouped(named, (claim) => claim.sni)) {
      const [winner] = wanting;
      if (winner === undefined) continue;
      const sharing = sharers(winner, wanting);
      const place = sni === "" ? `${port}` : `${port}/${sni}`;
      rows.push(...sharedRows(place, sharing, clients));
      const having = new Set(sharing.map(({ backend }) => backend));
      const losers = oncePerService(wanting.filter(({ backend }) => !having.has(backend)));
      excluded.push(...losers.map((claim) => left(claim, "route-conflict", conflict(claim, winner))));
    }
  }
  return {
    listeners: listeners.sort((a, b) => a.port - b.port),
    rows: rows.sort((a, b) => order(a.key, b.key)),
    clients: [...clients.values()].flatMap((list) => list.rows).sort((a, b) => order(a.key, b.key)),
    excluded: excluded.sort((a, b) => order(a.service, b.service) || order(a.reason, b.reason)),
  };
}

/**
 * Who has the place together with its winner: with Fabio's tags all whose tags ask for it, each backend once, but for
 * those without an instance as long as others have some; else the winner alone.
 */
function sharers(winner: ListenClaim, wanting: readonly ListenClaim[]): readonly ListenClaim[] {
  const fabio = ({ origin, count }: ListenClaim) => origin.kind === "fabio" && count !== undefined;
  if (!fabio(winner)) return [winner];
  const each = new Map<string, ListenClaim>();
  for (const claim of wanting) if (fabio(claim) && !each.has(claim.backend)) each.set(claim.backend, claim);
  const all = [...each.values()];
  const alive = all.filter(({ count }) => count !== 0);
  return alive.length > 0 ? alive : [winner];
}

function sharedRows(
  place: string,
  claims: readonly ListenClaim[],
  clients: Map<string, ClientList>,
): readonly MapRow[] {
  const shares = shareClaims(
    claims.map(({ count = 1, share }) => ({ count: Math.max(1, count), ...(share !== undefined && { share }) })),
  );
  const parts = claims.map((claim, index) => {
    const list = clientList(claim);
    if (list.id !== "") clients.set(list.id, list);
    const value = list.id === "" ? claim.backend : `${claim.backend}|${list.id}`;
    return { value, share: shares[index] ?? 0 };
  });
  return beginnings(parts.sort((a, b) => order(a.value, b.value)).filter(({ share }) => share > 0)).map(
    ({ beginning, value }) => ({ key: beginning === "" ? `${place}=` : `${place}=1${beginning}`, value }),
  );
}

/** The claims without those on more ports than a service may have: it keeps the first by number. */
function bounded(listens: readonly ListenClaim[]): readonly [readonly ListenClaim[], readonly Exclusion[]] {
  if (listens.length <= mostPorts) return [listens, []];
  const kept: ListenClaim[] = [];
  const excluded: Exclusion[] = [];
  for (const [service, claims] of grouped(listens, ({ origin }) => origin.service)) {
    const ports = [...new Set(claims.map(({ port }) => port))].sort((a, b) => a - b);
    const first = new Set(ports.slice(0, mostPorts));
    kept.push(...claims.filter(({ port }) => first.has(port)));
    if (ports.length === first.size) continue;
    const reason = `it wants ${ports.length} ports, ${mostPorts} is the most; those from ${ports[mostPorts]} on stay closed`;
    excluded.push({ service, code: "listen-refused", reason });
  }
  return [kept, excluded];
}

function grouped<K>(claims: readonly ListenClaim[], keyOf: (claim: ListenClaim) => K): Map<K, ListenClaim[]> {
  const groups = new Map<K, ListenClaim[]>();
  for (const claim of claims) {
    const key = keyOf(claim);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [claim]);
    else group.push(claim);
  }
  return groups;
}

function nameProblem({ port, sni }: ListenClaim): string {
  return `${shown(sni)} is no name that TLS clients ask for on port ${port}; write a.example.com or *.example.com`;
}

/** A service may want a port by several names, or in several words. */
function oncePerService(claims: readonly ListenClaim[]): readonly ListenClaim[] {
  return [...new Map(claims.toReversed().map((claim) => [claim.origin.service, claim])).values()];
}

function byPrecedence(a: ListenClaim, b: ListenClaim): number {
  return (
    b.priority - a.priority ||
    a.since - b.since ||
    order(a.origin.service, b.origin.service) ||
    order(a.sni, b.sni) ||
    order(a.backend, b.backend) ||
    order(a.origin.text, b.origin.text)
  );
}

function modeConflict({ port, mode }: ListenClaim, winner: ListenClaim): string {
  return `port ${port} cannot be ${mode} as well: the service ${shown(winner.origin.service)} has it for ${winner.mode}; choose another port, or give this one a higher priority`;
}

function conflict({ port, sni }: ListenClaim, winner: ListenClaim): string {
  const what = sni === "" ? `port ${port}` : `the name ${shown(sni)} on port ${port}`;
  return `${what} belongs to the service ${shown(winner.origin.service)}; choose another, or give this one a higher priority`;
}

function left({ origin }: ListenClaim, code: Exclusion["code"], reason: string): Exclusion {
  return { service: origin.service, code, reason };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
