import type { ServiceKey } from "../catalog/types.ts";
import type { InstanceOptions, RouteOptions, ServiceOptions } from "../settings/options/table.ts";

/** What HAProxy should look like, before any template: the template's view is made of this. */
export interface LoadBalancer {
  /** Sorted by name. */
  readonly backends: readonly Backend[];
  /** Sorted: by listener, host, path, then as they are tried. */
  readonly routes: readonly Route[];
  /** Ports of HAProxy's own besides the HTTP entry point, sorted by port. */
  readonly listeners: readonly Listener[];
  /** What the routes are at run time: rows of map files. */
  readonly maps: RouteMaps;
  /** Names that HAProxy is to be registered under in Consul, sorted. */
  readonly registers: readonly string[];
  /** The backend of `http.defaultService`; absent while no such service is known. */
  readonly defaultBackend?: string;
  /** Whether `http.defaultService` is set and no such service is known: it may come at any time. */
  readonly defaultAwaited?: true;
  /** What was left out, and why. Sorted. */
  readonly excluded: readonly Exclusion[];
}

/**
 * Which servers have been let in before, by backend. A server that is not among them waits for HAProxy's first good
 * check when no check of Consul vouches for it. The sets are never changed in place: a new set tells a change.
 */
export type Admitted = ReadonlyMap<string, ReadonlySet<string>>;

/*
 * The same form says which servers are doubted: HAProxy's checks found them down, so that they wait for the next good
 * one whoever vouches for them. A reload would take them for up.
 */

/** A group of servers requests are balanced over. */
export interface Backend {
  /** Safe for haproxy.cfg: letters, digits, `_`, `.`, `:`, `-`. */
  readonly name: string;
  /** The services whose instances it holds. */
  readonly sources: readonly ServiceKey[];
  readonly mode: "http" | "tcp";
  /** HAProxy's algorithm, as the word or words behind `balance`. */
  readonly balance: string;
  /** True when the algorithm is a consistent hash: servers then carry an explicit id. */
  readonly consistent: boolean;
  /** Sorted by name. */
  readonly servers: readonly Server[];
  /** What the service asks for, by all its sources; only keys that are set. `mode`, `balance` are above. */
  readonly options: ServiceOptions;
  /** True where a route leads to some of its servers only: the request then names the one it wants. */
  readonly picks: boolean;
}

/** One server of a backend. */
export interface Server {
  /** `<label>_<address>:<port>`, safe for haproxy.cfg. Depends on the instance alone. */
  readonly name: string;
  /** IPv4 or IPv6 without brackets. */
  readonly address: string;
  /** 1..65535 */
  readonly port: number;
  /** 0..256; 0 = drain: no new requests but those that stick to it. */
  readonly weight: number;
  /** 1..2147483647, only in a backend with a consistent hash. */
  readonly id?: number;
  /** Words of its own on the server line; only keys that are set. */
  readonly options: InstanceOptions;
  /** True while it waits for HAProxy's first good check (its weight is 0 until then). */
  readonly joining: boolean;
  readonly instance: { readonly node: string; readonly id: string };
  /** Sorted; of one line each. Still data of strangers. */
  readonly tags: readonly string[];
  /** Values of one line. Still data of strangers. */
  readonly meta: Readonly<Record<string, string>>;
}

/** A condition on a request's headers (a cookie is one of them). */
export type Condition =
  | { readonly on: "header"; readonly name: string; readonly is: "present" }
  /** `value` is the whole value, or a regular expression somewhere in it. The name is in lower case. */
  | { readonly on: "header"; readonly name: string; readonly is: "equal" | "like"; readonly value: string }
  | { readonly on: "cookie"; readonly name: string; readonly value: string };

/** What a request must look like. */
export interface RoutePattern {
  /** Own port of HAProxy; left out: the HTTP entry point. */
  readonly listen?: number;
  /** Lower case, without port. Empty: any; with `*` or another sign of a glob: those that it matches. */
  readonly host: string;
  /** The port the Host header must have; left out: any or none. */
  readonly hostPort?: number;
  /** Begins with `/`; compared with the request's path, decoded. */
  readonly path: string;
  /** `prefix`: the path begins so; `segments`: the same, up to a `/`; `exact`: it is this one. */
  readonly match: "prefix" | "segments" | "exact";
  /** One of these; empty: any. Sorted. */
  readonly methods: readonly string[];
  /** All of these. Sorted. */
  readonly conditions: readonly Condition[];
}

/** Where a route, or an option, was asked for. */
export interface Origin {
  /** Service name as Consul has it. */
  readonly service: string;
  readonly kind: "domain" | "fabio" | "tag" | "meta" | "override" | "settings";
  /** What was written there. */
  readonly text: string;
}

/** That a service wants requests of a pattern, and what is to be done with them on the way. */
export interface Claim {
  readonly pattern: RoutePattern;
  /** What is done on the way. Never what is a pattern's (host, path, method, header) or a share's (canary). */
  readonly options: RouteOptions;
  readonly priority: number;
  readonly backend: string;
  /** Names of the servers of the backend whose instances ask for it, sorted; `all` where each of them does. */
  readonly carriers: "all" | readonly string[];
  /** How many instances ask for it: without shares of their own, services share a route by their numbers. */
  readonly count: number;
  /** 0..1, what each instance (`each`) or all of them together (`together`) get of the route; left out: an equal part. */
  readonly share?: { readonly part: number; readonly of: "each" | "together" };
  readonly sticky: boolean;
  /** Consul's index at the oldest registration that asks for it: the smaller, the older. */
  readonly since: number;
  readonly origin: Origin;
}

/** One place requests of a route go to. */
export interface RouteTarget {
  readonly backend: string;
  /** The one server that is meant; left out: any of the backend. */
  readonly server?: string;
  /** 0..1; those of a route add up to 1. */
  readonly share: number;
  readonly options: RouteOptions;
  readonly origins: readonly Origin[];
  /** Which side of a share that sticks it belongs to: what the client's cookie says; only where the route is sticky. */
  readonly side?: string;
}

/** A pattern, and where its requests go. */
export interface Route extends RoutePattern {
  /** Not empty; sorted by backend, server. The first with the largest share is where a request goes when in doubt. */
  readonly targets: readonly RouteTarget[];
  readonly priority: number;
  readonly sticky: boolean;
}

/** A port of HAProxy's own, asked for by services. */
export interface Listener {
  readonly port: number;
  readonly mode: "http" | "tcp";
  /** True where TLS clients' SNI tells where a connection goes; what matches no name goes where the port goes. */
  readonly sni: boolean;
}

/** That a service wants the connections of a port: all of them, or those of one name. */
export interface ListenClaim {
  readonly port: number;
  readonly mode: "http" | "tcp";
  /** Lower case; empty: all; `*.` before it: every name below. */
  readonly sni: string;
  readonly backend: string;
  readonly priority: number;
  readonly since: number;
  /** As a `Claim` has them. Without a count the port is not shared: its first claim has it. */
  readonly count?: number;
  readonly share?: Claim["share"];
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly origin: Origin;
}

export interface MapRow {
  readonly key: string;
  readonly value: string;
}

/** The map files, by what they say. Each list is sorted by key but for `hosts` and `conditions`, which are tried in their order. */
export interface RouteMaps {
  /** `<list>/4<address in hex>`, `<list>/6…` → `+` for who is let in, `!` for who is not; by the longest beginning. */
  readonly clients: readonly MapRow[];
  /** `<share>/1dddd` → a route's value; looked up by the longest beginning. */
  readonly shares: readonly MapRow[];
  /** Regular expressions over `<set> <method> <headers>` → a route's value. */
  readonly conditions: readonly MapRow[];
  /** Regular expressions over `<id> <path>` → the path it becomes. */
  readonly rewrites: readonly MapRow[];
  /** Regular expressions over host names → the glob they stand for. */
  readonly hosts: readonly MapRow[];
  /** `[@<port>!]<host or glob>[:<port>]<path>[?]` → a route's value; looked up by the longest beginning. */
  readonly routes: readonly MapRow[];
  /**
   * `<port>=` or `<port>/<name>=`, and behind it the beginning of a number where it is shared → backend, and behind a
   * `|` the list of clients; for connections that are passed on as they are.
   */
  readonly listeners: readonly MapRow[];
}

/** An instance, or part of a service, that cannot be carried into HAProxy. */
export interface Exclusion {
  /** Service name as Consul has it. */
  readonly service: string;
  /** `<node>/<id>`; absent when the whole service is meant. */
  readonly instance?: string;
  readonly code:
    | "address-unusable"
    | "port-unusable"
    | "name-conflict"
    | "host-unusable"
    | "duplicate"
    | "value-unusable"
    /** A tag, a meta value or an override that cannot be read: it costs itself only. */
    | "option-unusable"
    /** Its claim on a route or port does not go together with another's, which has it. */
    | "route-conflict"
    /** A port that may not be opened. */
    | "listen-refused";
  /** What is wrong, with the value, in words a person understands. */
  readonly reason: string;
}
