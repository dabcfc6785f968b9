import type { Snapshot } from "../catalog/types.ts";
import type { Accepted, Quarantined } from "../guard/types.ts";
import type { ListEntry } from "../haproxy/config/types.ts";
import type { Certificate, CertificateOperation, LeavingServer, RuntimeOperation } from "../haproxy/plan/types.ts";
import type { Capabilities, MapEntry, ObservedServer, WorkerInfo } from "../haproxy/runtime/types.ts";
import type { Rendered } from "../render/types.ts";
import type { LoadBalancer } from "../routing/types.ts";
import type { Settings } from "../settings/schema.ts";

/** The catalog as the reconciler sees it: the newest snapshot, and a word when there is a newer one. */
export interface CatalogPort {
  /** The newest snapshot; undefined until every selected watch has answered once. */
  latest(): Snapshot | undefined;
  /** Called on each newer snapshot. Returns the function that unsubscribes. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void;
  /**
   * Reads these services (key strings) anew, past any streaming view, since what was said of them is hard to believe.
   * Returns at once; what comes of it is a newer snapshot.
   */
  reread(services: readonly string[]): void;
}

/** The outcome of one runtime operation, judged by HAProxy's own answer. */
export type OperationResult =
  | { readonly ok: true }
  /** HAProxy refused, or gave an answer that is not on the list for this command: nothing may be assumed. */
  | { readonly ok: false; readonly command: string; readonly answer: string };

/** What became of deleting a server that was put in maintenance, or a backend that was unpublished. */
export type DeleteResult =
  | { readonly kind: "deleted" | "gone" | "busy" }
  | { readonly kind: "refused"; readonly answer: string };

/** The running HAProxy, seen through its Runtime API. Throws SluiceError when the socket does not answer. */
export interface RuntimePort {
  /** Undefined before the first connection. */
  capabilities(): Capabilities | undefined;
  /** Runs the operations in order on the warm connection, pipelined; one result per operation. */
  apply(operations: readonly RuntimeOperation[], signal?: AbortSignal): Promise<readonly OperationResult[]>;
  /** `del server` on a server in maintenance; with `force`, its sessions are shut first. */
  deleteServer(backend: string, server: string, force: boolean): Promise<DeleteResult>;
  /** `del backend` on one that was unpublished and has no server any more. */
  deleteBackend(backend: string, signal?: AbortSignal): Promise<DeleteResult>;
  /** Reads back over a new connection: which worker answers, and its servers (of these backends, or of all). */
  observe(backends?: readonly string[], signal?: AbortSignal): Promise<Observation>;
  /** `show map`: undefined where the file is not loaded. */
  readMap(file: string, signal?: AbortSignal): Promise<readonly MapEntry[] | undefined>;
  /** Runs the operations in order; one result per operation. Nothing of a certificate's content is in a result. */
  applyCertificates(
    operations: readonly CertificateOperation[],
    signal?: AbortSignal,
  ): Promise<readonly OperationResult[]>;
  /** The certificates of a list, over a new connection: undefined where the list is not loaded. */
  readCertificates(list: string, signal?: AbortSignal): Promise<readonly ObservedCertificate[] | undefined>;
  /** Drops the warm connection (it may belong to a worker that is on its way out) and makes a new one, probing again. */
  reconnect(signal?: AbortSignal): Promise<Capabilities>;
}

/** An entry of the list of certificates as the process has it. */
export interface ObservedCertificate extends ListEntry {
  /** As HAProxy tells it; empty where it has no content yet. */
  readonly fingerprint: string;
}

/** The certificates that clients should get. */
export interface CertificatesPort {
  /** Path of the list (`crt-list`) they stand in. */
  readonly list: string;
  /** In the order of the list, whose first is for clients that ask for no known name. The same object while nothing changed. */
  latest(): readonly Certificate[];
  /** Called on each change. Returns the function that unsubscribes. */
  subscribe(listener: () => void): () => void;
}

export interface Observation {
  readonly worker: WorkerInfo;
  /** Value of SLUICE_STRUCTURE in the process's environment; undefined when it is not set. */
  readonly structure: string | undefined;
  readonly servers: readonly ObservedServer[];
  /** Names of all backends; only of a process that makes them at run time, where all servers were asked for. */
  readonly backends?: ReadonlySet<string>;
}

/** What `haproxy -c` or the preflight said. */
export type Verdict =
  | { readonly ok: true; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly stage: "validate" | "preflight"; readonly problems: readonly ConfigProblem[] };

export interface ConfigProblem {
  /** 1-based line of the candidate file; undefined where HAProxy names none. */
  readonly line?: number;
  /** The port that cannot be listened on, where that is the problem. */
  readonly port?: number;
  readonly message: string;
}

/** The HAProxy process: its life, its validation, its reload. */
export interface ProcessPort {
  /** True where it is not ours to start and to end: `adoptOrStart` only waits, a while. Default: false. */
  readonly startedByOthers?: boolean;
  /** `haproxy -c` on the candidate file. */
  validate(candidatePath: string, signal?: AbortSignal): Promise<Verdict>;
  /** What `-c` cannot see: new binds free, chroot and socket directories there. `runningText` undefined: nothing of ours runs. */
  preflight(candidateText: string, runningText: string | undefined, signal?: AbortSignal): Promise<Verdict>;
  /** Reloads and resolves when a new worker answers on a new connection. Throws ERR_HAPROXY_RELOAD when the old one goes on. */
  reload(signal?: AbortSignal): Promise<WorkerInfo>;
  /**
   * Adopts the HAProxy that runs on our sockets, or starts one on the live file. Resolves when its worker answers. Throws
   * ERR_HAPROXY_AWAITED where somebody else has yet to start it.
   */
  adoptOrStart(signal?: AbortSignal): Promise<{ readonly adopted: boolean; readonly worker: WorkerInfo }>;
  /**
   * The workers that reloads replaced and that still finish their connections; `connections` undefined where how many
   * cannot be known. Throws SluiceError when the master does not tell.
   */
  oldWorkers(
    signal?: AbortSignal,
  ): Promise<readonly { readonly pid: number; readonly connections: number | undefined }[]>;
  /** Whether HAProxy answers on our socket right now: its master, or the process itself where it has none. */
  running(): Promise<boolean>;
  /** Called when the process was seen to have ended. Returns the function that unsubscribes. */
  onExit(listener: (detail: string) => void): () => void;
  /** Ends HAProxy. */
  stop(): Promise<void>;
}

/** The sources of a template, all read at one moment: what is rendered can neither change nor go while it is used. */
export interface TemplateSource {
  /** Path of the main template, for messages. */
  readonly path: string;
  /** The same for the same sources. */
  readonly digest: string;
  /** Text by name relative to the main template's directory. */
  readonly sources: Readonly<Record<string, string>>;
}

/** Throws ERR_TEMPLATE_FAILED or ERR_VALUE_UNSAFE, naming file and line. */
export interface RenderPort {
  render(loadBalancer: LoadBalancer, settings: Settings, template: TemplateSource): Rendered;
}

/** What survives the operator: the live file and its maps, the last good snapshot, the leaving set. */
export interface StorePort {
  readConfig(): Promise<string | undefined>;
  writeConfig(text: string): Promise<void>;
  /** Returns the path of the candidate. */
  writeCandidate(text: string): Promise<string>;
  /** By absolute path. */
  readMaps(): Promise<ReadonlyMap<string, string>>;
  writeMap(path: string, text: string): Promise<void>;
  removeMap(path: string): Promise<void>;
  /** Certificates and their list, by absolute path. */
  readCertificates(): Promise<ReadonlyMap<string, string>>;
  writeCertificate(path: string, text: string): Promise<void>;
  removeCertificate(path: string): Promise<void>;
  writeAsset(path: string, text: string): Promise<void>;
  pruneAssets(keep: ReadonlySet<string>): Promise<unknown>;
  saveState(change: { readonly generation: number; readonly leaving: readonly LeavingServer[] }): Promise<void>;
  writeAccepted(accepted: Accepted): Promise<void>;
  writeTemplate(template: TemplateSource): Promise<void>;
  writeQuarantine(kept: KeptQuarantine): Promise<void>;
}

/** What is in quarantine, and with which HAProxy it was found: another one may take it. */
export interface KeptQuarantine {
  /** HAProxy's version; undefined where it was not known. */
  readonly haproxy: string | undefined;
  readonly entries: readonly Quarantined[];
}

/** Whether something accepts a TCP connection there within `timeoutMs`; only `refuses` is proof that nobody does. */
export interface ProbePort {
  probe(address: string, port: number, timeoutMs: number): Promise<"accepts" | "refuses" | "silent">;
}
