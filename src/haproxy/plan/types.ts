import type { Config } from "../config/types.ts";
import type { Capabilities, MapEntry, ObservedServer } from "../runtime/types.ts";

interface ServerRef {
  readonly backend: string;
  readonly server: string;
}

/** One step on the Runtime API. Each is checked on its own; executing one twice does no harm. */
export type RuntimeOperation =
  /** Makes the server and lets it take traffic: `add server`, `enable health` where it has a check, `set server state ready`. */
  | (ServerRef & {
      readonly kind: "add-server";
      readonly address: string;
      readonly port: number;
      readonly weight: number;
      /** All words behind the address, default-server's included, `weight` excluded. */
      readonly options: readonly string[];
      /** Whether `check` is among the options. */
      readonly check: boolean;
    })
  /** A leaving server that came back, or one that was added and not finished: weight, `enable health` where it has a check, `state ready`. */
  | (ServerRef & { readonly kind: "revive-server"; readonly weight: number; readonly check: boolean })
  /** Takes no new request from now on; joins the leaving set. */
  | (ServerRef & { readonly kind: "retire-server" })
  | (ServerRef & { readonly kind: "set-weight"; readonly weight: number })
  /** Puts a server that drifted back: `state ready` (ready) or `state maint` where the file says `disabled`. */
  | (ServerRef & { readonly kind: "set-state"; readonly state: "ready" | "maint" })
  /** Replaces a map's entries in one transaction (`prepare map`, `add map @version`, `commit map`). */
  | { readonly kind: "replace-map"; readonly file: string; readonly entries: readonly MapEntry[] };

/** Why a reload is due. One per difference, in words a person understands. */
export interface ReloadReason {
  readonly code: ReloadCode;
  /** What it is about: `backend web`, `frontend sluice_http`, `defaults`… */
  readonly subject: string;
  readonly sentence: string;
}

export type ReloadCode =
  | "process-started"
  | "section-added"
  | "section-removed"
  | "section-changed"
  | "backend-added"
  | "backend-removed"
  | "server-options-changed"
  | "server-not-dynamic"
  | "balance-not-dynamic"
  | "map-added"
  | "structure-unknown";

/** One line for a person: what changed. */
export interface Change {
  readonly subject: string;
  readonly sentence: string;
}

export interface Plan {
  /** A digest of what it does: the same differences give the same id. */
  readonly id: string;
  /** What can be done at once on the running process, in this order. */
  readonly operations: readonly RuntimeOperation[];
  /** Present and non-empty when the structure differs. */
  readonly reload?: readonly ReloadReason[];
  readonly changes: readonly Change[];
}

/** A server that was put in maintenance and waits, in the running process, to be deleted. */
export interface LeavingServer {
  readonly backend: string;
  readonly server: string;
  /** Empty where it is not known: a server met in a process that was adopted. Its name carries its address. */
  readonly address: string;
  readonly port: number;
  /** The words it runs with; undefined where that is not known (met in a process that was adopted). */
  readonly options: readonly string[] | undefined;
  /** Wall-clock ms at which it was put in maintenance. */
  readonly since: number;
}

/** Names a server of a backend, as HAProxy's commands do: `backend/server`. */
export type ServerPath = `${string}/${string}`;

export interface PlanInput {
  /** What the process loaded, with every change made to it since. */
  readonly current: Desired;
  readonly wanted: Desired;
  readonly capabilities: Capabilities;
  readonly leaving: ReadonlyMap<ServerPath, LeavingServer>;
  /** What was read back from the process, by backend. Where a backend is not in it, `current` is believed. */
  readonly observed?: ObservedBackends;
}

export type ObservedBackends = ReadonlyMap<string, readonly ObservedServer[]>;

export interface Desired {
  readonly config: Config;
  /** Map files by path. */
  readonly maps: ReadonlyMap<string, string>;
}
