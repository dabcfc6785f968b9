import type { ServiceKey } from "../catalog/types.ts";

/** What HAProxy should look like, before any template: the template's view is made of this. */
export interface LoadBalancer {
  /** Sorted by name. */
  readonly backends: readonly Backend[];
  /** Sorted by host. */
  readonly routes: readonly Route[];
  /** The backend of `http.defaultService`; absent while no such service is known. */
  readonly defaultBackend?: string;
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
  /** True while it waits for HAProxy's first good check (its weight is 0 until then). */
  readonly joining: boolean;
  readonly instance: { readonly node: string; readonly id: string };
  /** Sorted; of one line each. Still data of strangers. */
  readonly tags: readonly string[];
  /** Values of one line. Still data of strangers. */
  readonly meta: Readonly<Record<string, string>>;
}

/** A host name that leads to a backend. */
export interface Route {
  /** Lower case, without port. */
  readonly host: string;
  readonly backend: string;
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
    | "value-unusable";
  /** What is wrong, with the value, in words a person understands. */
  readonly reason: string;
}
