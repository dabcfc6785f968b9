import type { Secret } from "../../support/secret.ts";
import type { Config, ListEntry } from "../config/types.ts";
import type { Capabilities, MapEntry, ObservedServer } from "../runtime/types.ts";

interface ServerRef {
  readonly backend: string;
  readonly server: string;
}

/** One step on servers of a backend that the process has. */
export type ServerOperation =
  /** Makes the server and lets it take traffic: `add server`, `enable health` where it has a check, `set server state ready`. */
  | (ServerRef & {
      readonly kind: "add-server";
      readonly address: string;
      readonly port: number;
      readonly weight: number;
      /** All words behind the address, default-server's included, `weight` excluded. */
      readonly options: readonly string[];
      /** Whether HAProxy checks it. */
      readonly check: boolean;
      /** Whether the backend's dynamic cookies have to be enabled anew before it has one. */
      readonly makeCookies?: true;
    })
  /** A leaving server that came back, or one that was added and not finished: weight, `enable health` where it has a check, `state ready`. */
  | (ServerRef & { readonly kind: "revive-server"; readonly weight: number; readonly check: boolean })
  /** Takes no new request from now on; joins the leaving set. */
  | (ServerRef & { readonly kind: "retire-server" })
  | (ServerRef & { readonly kind: "set-weight"; readonly weight: number })
  /** Puts a server that drifted back: `state ready` (ready) or `state maint` where the file says `disabled`. */
  | (ServerRef & { readonly kind: "set-state"; readonly state: "ready" | "maint" });

/** One step on a backend as a whole, where the version has dynamic backends. Until it is published no request is sent to it. */
export type BackendOperation =
  /** `add backend <name> from <named defaults>`: without servers, unpublished. */
  | { readonly kind: "add-backend"; readonly backend: string; readonly defaults: string }
  | { readonly kind: "publish-backend"; readonly backend: string }
  /** It joins the backends that are leaving. */
  | { readonly kind: "unpublish-backend"; readonly backend: string };

/** One step on the entries of a map file. Of several in a row each is sent only when all before it were done. */
export type MapOperation =
  /** Replaces a map's entries in one transaction (`prepare map`, `add map @version`, `commit map`). */
  | { readonly kind: "replace-map"; readonly file: string; readonly entries: readonly MapEntry[] }
  /** Changes single entries (`add map`, `set map`, `del map`), in this order, of a map in which their order does not count. */
  | {
      readonly kind: "edit-map";
      readonly file: string;
      /** Keys that are not there yet. */
      readonly add: readonly MapEntry[];
      /** Keys that are there with another value. Key and value can each be one word of a command. */
      readonly set: readonly MapEntry[];
      readonly delete: readonly string[];
    };

/** One step on the Runtime API. Each is checked on its own; executing one twice does no harm. */
export type RuntimeOperation = ServerOperation | BackendOperation | MapOperation;

export function isServerOperation(operation: RuntimeOperation): operation is ServerOperation {
  return "server" in operation;
}

export function isMapOperation(operation: RuntimeOperation): operation is MapOperation {
  return operation.kind === "edit-map" || operation.kind === "replace-map";
}

export function isBackendOperation(operation: RuntimeOperation): operation is BackendOperation {
  return operation.kind.endsWith("-backend");
}

/** A certificate with its key, as HAProxy has it. One with other names has another file, so that an entry never changes but in its content. */
export interface Certificate extends ListEntry {
  /** SHA-1 of the first certificate as HAProxy tells it: upper-case hex without colons. */
  readonly fingerprint: string;
  /** Of all of the content. */
  readonly digest: string;
  /** Certificate, chain and key in PEM, without empty lines, with a newline at the end. */
  readonly pem: Secret;
}

/** One step on the list of certificates. Each is checked on its own; executing one twice does no harm. */
export type CertificateOperation =
  /** Another content for an entry that is there (`set ssl cert`, `commit ssl cert`). */
  | { readonly kind: "set-certificate"; readonly certificate: Certificate }
  /** An entry that is new (`new ssl cert`, `set`, `commit`, `add ssl crt-list`). */
  | { readonly kind: "add-certificate"; readonly list: string; readonly certificate: Certificate }
  /** `del ssl crt-list`, `del ssl cert`. */
  | { readonly kind: "remove-certificate"; readonly list: string; readonly file: string };

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
  | "certificate-too-large"
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

/** A backend that was unpublished and waits, in the running process, to be deleted. */
export interface LeavingBackend {
  readonly backend: string;
  /** The named defaults it comes from; undefined where it comes from none. */
  readonly defaults: string | undefined;
}

/** Names a server of a backend, as HAProxy's commands do: `backend/server`. */
export type ServerPath = `${string}/${string}`;

export interface PlanInput {
  /** What the process loaded, with every change made to it since. */
  readonly current: Desired;
  readonly wanted: Desired;
  readonly capabilities: Capabilities;
  readonly leaving: ReadonlyMap<ServerPath, LeavingServer>;
  /** By name. Default: none. */
  readonly leavingBackends?: ReadonlyMap<string, LeavingBackend>;
  /** What was read back from the process, by backend. Where a backend is not in it, `current` is believed. */
  readonly observed?: ObservedBackends;
}

export type ObservedBackends = ReadonlyMap<string, readonly ObservedServer[]>;

export interface Desired {
  readonly config: Config;
  /**
   * Map files by path, in the order of the template's `mapFile` calls: entries of one may name, by ids of their content,
   * entries of those before it.
   */
  readonly maps: ReadonlyMap<string, string>;
}
