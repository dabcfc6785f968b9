import { structureOf } from "../../src/haproxy/config/global-lines.ts";
import { parseConfig } from "../../src/haproxy/config/parse.ts";
import { serverLines } from "../../src/haproxy/config/servers.ts";
import { backendOf, mapEntries } from "../../src/haproxy/plan/maps.ts";
import { isPool, poolNames } from "../../src/haproxy/plan/pools.ts";
import {
  type BackendOperation,
  isBackendOperation,
  isMapOperation,
  type RuntimeOperation,
} from "../../src/haproxy/plan/types.ts";
import type { Capabilities, MapEntry, ObservedServer, WorkerInfo } from "../../src/haproxy/runtime/types.ts";
import type {
  DeleteResult,
  Observation,
  OperationResult,
  ProcessPort,
  RuntimePort,
  Verdict,
} from "../../src/reconciler/ports.ts";
import { SluiceError } from "../../src/support/errors.ts";
import { executeMap, mapEditText } from "./fake-maps.ts";
import { FakeStore } from "./fake-store.ts";

interface FakeServer {
  address: string;
  port: number;
  weight: number;
  maintenance: boolean;
  drain: boolean;
  check: ObservedServer["check"];
  /** Its checks have found it dead. The last one's result reads "none" while the next is under way. */
  down?: boolean;
  /** Added, and its checks never enabled. Nothing that is read back tells. */
  checksOff?: boolean;
}

interface Worker {
  readonly pid: number;
  readonly structure: string | undefined;
  readonly backends: Map<string, Map<string, FakeServer>>;
  /** No request is sent to them. */
  readonly unpublished: Set<string>;
  /** Names of `defaults` sections. */
  readonly defaults: ReadonlySet<string>;
  readonly maps: Map<string, readonly MapEntry[]>;
}

/** A step that can be held up. */
export type SlowStep = "validate" | "preflight" | "reload" | "start" | "apply" | "answer" | "observe";

const versionText = "2.6.12-fake";

/**
 * HAProxy as the reconciler sees it: a master with one worker, in memory. It loads haproxy.cfg and maps from the store,
 * changes by operations, and loses those at a reload. Each worker is a thing of its own: the warm connection goes on
 * talking to the one it was made to until `reconnect`.
 */
export class FakeHaproxy implements RuntimePort, ProcessPort {
  readonly store: FakeStore;
  /** Servers, as `backend/server`, that carry a connection: they cannot be deleted but by force. */
  readonly busy = new Set<string>();
  /** Servers that HAProxy will not delete at all, as one that others track. */
  readonly undeletable = new Set<string>();
  /** Each time a map named a backend that is not loaded, on the disk or in the process. */
  readonly violations: string[] = [];
  /** Whether `haproxy -c` ends without a verdict. */
  failCheck = false;
  /** Whether `haproxy -c` does not say which line it is that it refuses. */
  pointless = false;
  /** Whether it is one that makes backends at run time. */
  dynamicBackends = false;
  /** Backends, unpublished and empty, that it will not delete. */
  readonly undeletableBackends = new Set<string>();
  failPreflight = false;
  failReload = false;
  failStart = false;
  /** Whether it is only waited for, until `startByHand`. */
  startedByOthers = false;
  /** Workers that finish their connections. */
  leftBehind: readonly { readonly pid: number; readonly connections: number }[] = [];
  /** What HAProxy's check of a server that is new, or loaded anew, has found. */
  firstCheck: ObservedServer["check"] = "none";
  private halfMade = 0;
  private readonly journal: string[];
  private readonly failing: RegExp[] = [];
  private readonly refusing: { kind: RuntimeOperation["kind"]; times: number }[] = [];
  private readonly held = new Map<SlowStep, Promise<void>>();
  private readonly exitListeners = new Set<(detail: string) => void>();
  private worker: Worker | undefined;
  private warm: Worker | undefined;
  private everConnected = false;
  private nextPid = 1000;

  /** @param journal where it writes down what it was asked, in one order with the store */
  constructor(journal: string[]) {
    this.journal = journal;
    this.store = new FakeStore(journal, () => this.checkFiles());
  }

  // What a test does to it.

  /** The next `times` operations of this kind are refused. */
  refuseNext(kind: RuntimeOperation["kind"], times = 1): void {
    this.refusing.push({ kind, times });
  }

  /** The connection is lost between the first and the second command of the next `add-server`. */
  breakOffNextAdd(): void {
    this.halfMade += 1;
  }

  /** `haproxy -c` refuses files with a line like this, until `mend`. */
  failValidation(pattern: RegExp): void {
    this.failing.push(pattern);
  }

  /** Takes back all refusals and failures. */
  mend(): void {
    this.failing.length = 0;
    this.refusing.length = 0;
    this.halfMade = 0;
    this.failCheck = false;
    this.failPreflight = false;
    this.failReload = false;
    this.failStart = false;
  }

  /** Makes a step wait. Returns the function that lets it go on. */
  hold(step: SlowStep): () => void {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = () => {
        if (this.held.get(step) === held) this.held.delete(step);
        resolve();
      };
    });
    this.held.set(step, held);
    return release;
  }

  /** The process ends, unasked. */
  kill(): void {
    if (this.worker === undefined) return;
    this.worker = undefined;
    this.warm = undefined;
    for (const listener of [...this.exitListeners]) listener("killed");
  }

  /** Somebody else starts it on the files that are there. */
  startByHand(): void {
    this.worker = this.load();
  }

  /** The process ends and nobody is told. */
  vanish(): void {
    this.worker = undefined;
    this.warm = undefined;
  }

  /** Somebody else reloads it on the files that are there. */
  replaceWorker(): void {
    if (this.worker !== undefined) this.worker = this.load();
  }

  /** Somebody else has started it, on another text than the store's. */
  startOn(text: string): void {
    this.worker = this.load(text);
  }

  /** Somebody else changes a server, or deletes it. */
  drift(backend: string, server: string, change: Partial<FakeServer> | "delete"): void {
    const servers = this.worker?.backends.get(backend);
    const found = servers?.get(server);
    if (found === undefined) throw new Error(`no server ${backend}/${server} to change`);
    if (change === "delete") servers?.delete(server);
    else Object.assign(found, change);
  }

  /** Somebody else adds a server. */
  addByHand(backend: string, server: string, place: { readonly address: string; readonly port: number }): void {
    const added = { ...place, weight: 1, maintenance: false, drain: false, check: "none" } as const;
    this.worker?.backends.get(backend)?.set(server, { ...added });
  }

  /** Somebody else sets the entries of a map. */
  setMap(file: string, entries: readonly MapEntry[]): void {
    this.worker?.maps.set(file, entries);
  }

  passCheck(backend: string, server: string): void {
    this.drift(backend, server, { check: "passed", down: false });
  }

  /** All checks pass from now on. */
  passChecks(): void {
    this.firstCheck = "passed";
    for (const servers of this.worker?.backends.values() ?? [])
      for (const one of servers.values()) Object.assign(one, { check: "passed", down: false });
  }

  // What a test sees of it.

  get pid(): number | undefined {
    return this.worker?.pid;
  }

  get listening(): number {
    return this.exitListeners.size;
  }

  /** The servers of a backend that are not in maintenance, with their weights. */
  serving(backend: string): Readonly<Record<string, number>> | undefined {
    const servers = this.worker?.backends.get(backend);
    if (servers === undefined) return undefined;
    const rows = [...servers].filter(([, { maintenance }]) => !maintenance).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(rows.map(([name, { weight }]) => [name, weight]));
  }

  /** The servers in maintenance, as `backend/server`. */
  inMaintenance(): readonly string[] {
    const found: string[] = [];
    for (const [backend, servers] of this.worker?.backends ?? []) {
      for (const [name, { maintenance }] of servers) if (maintenance) found.push(`${backend}/${name}`);
    }
    return found.sort();
  }

  /** The servers that serve without ever being checked, as `backend/server`. */
  unchecked(): readonly string[] {
    const all = [...(this.worker?.backends ?? [])].flatMap(([backend, servers]) =>
      [...servers].map(([name, server]) => ({ path: `${backend}/${name}`, ...server })),
    );
    return all.filter(({ checksOff, maintenance }) => checksOff === true && !maintenance).map(({ path }) => path);
  }

  backends(): readonly string[] {
    return [...(this.worker?.backends.keys() ?? [])].sort();
  }

  addressOf(backend: string, server: string): string | undefined {
    return this.worker?.backends.get(backend)?.get(server)?.address;
  }

  mapOf(file: string): readonly MapEntry[] | undefined {
    return this.worker?.maps.get(file);
  }

  // RuntimePort

  capabilities(): Capabilities | undefined {
    if (!this.everConnected) return undefined;
    const { dynamicBackends } = this;
    return { versionText, version: [2, 6, 12], wait: false, dynamicBackends, needsPoolKeywords: true };
  }

  async apply(operations: readonly RuntimeOperation[]): Promise<readonly OperationResult[]> {
    this.journal.push(`apply ${operations.map(summary).join(", ")}`);
    await this.held.get("apply");
    const worker = this.connected();
    // As the client does: what relies on something that was not done is not sent.
    let failed = false;
    const missing = new Set<string>();
    const results = operations.map((operation): OperationResult => {
      const relies = isMapOperation(operation) || operation.kind === "unpublish-backend";
      const unsent = (relies && failed) || (operation.kind === "publish-backend" && missing.has(operation.backend));
      const answer = unsent
        ? "not sent"
        : (this.takeRefusal(operation.kind) ??
          execute(worker, operation, this.firstCheck) ??
          this.breakOff(worker, operation));
      if (isMapOperation(operation) || isBackendOperation(operation)) {
        this.check("process", worker.maps, published(worker));
        if (answer !== undefined) failed = true;
        if (answer !== undefined && operation.kind === "add-backend") missing.add(operation.backend);
      }
      return answer === undefined ? { ok: true } : { ok: false, command: summary(operation), answer };
    });
    await this.held.get("answer");
    return results;
  }

  async deleteServer(backend: string, server: string, force: boolean): Promise<DeleteResult> {
    const path = `${backend}/${server}`;
    this.journal.push(`delete ${path}${force ? " by force" : ""}`);
    const servers = this.connected().backends.get(backend);
    const found = servers?.get(server);
    if (servers === undefined || found === undefined) return { kind: "gone" };
    if (!found.maintenance) return { kind: "refused", answer: "Only servers in maintenance mode can be deleted." };
    if (this.undeletable.has(path)) return { kind: "refused", answer: "This server cannot be removed at runtime." };
    if (this.busy.has(path)) {
      // Shutting sessions takes effect a moment later.
      if (force) this.busy.delete(path);
      return { kind: "busy" };
    }
    servers.delete(server);
    return { kind: "deleted" };
  }

  async deleteBackend(backend: string): Promise<DeleteResult> {
    this.journal.push(`delete backend ${backend}`);
    const worker = this.answering();
    const servers = worker.backends.get(backend);
    if (servers === undefined) return { kind: "refused", answer: "Failed. No such backend." };
    if (!worker.unpublished.has(backend)) {
      return { kind: "refused", answer: "Backend must be unpublished prior to its deletion." };
    }
    if (servers.size > 0) return { kind: "refused", answer: "Only a backend without server can be deleted." };
    if (this.undeletableBackends.has(backend)) return { kind: "refused", answer: "This proxy cannot be removed." };
    worker.backends.delete(backend);
    worker.unpublished.delete(backend);
    return { kind: "deleted" };
  }

  async observe(backends?: readonly string[]): Promise<Observation> {
    this.journal.push(`observe ${backends?.join(" ") ?? "all"}`);
    await this.held.get("observe");
    const worker = this.answering();
    const servers: ObservedServer[] = [];
    for (const [backend, rows] of worker.backends) {
      if (backends !== undefined && !backends.includes(backend)) continue;
      for (const [name, row] of rows) {
        const up = !row.maintenance && row.down !== true;
        servers.push({ backend, name, operational: up ? 2 : 0, ...row });
      }
    }
    const all = backends === undefined && this.dynamicBackends;
    return {
      worker: info(worker),
      structure: worker.structure,
      servers,
      ...(all && { backends: new Set(worker.backends.keys()) }),
    };
  }

  async readMap(file: string): Promise<readonly MapEntry[] | undefined> {
    return this.answering().maps.get(file);
  }

  async applyCertificates(): Promise<readonly OperationResult[]> {
    return [];
  }

  /** It serves nothing over TLS. */
  async readCertificates(): Promise<undefined> {
    return undefined;
  }

  async reconnect(): Promise<Capabilities> {
    this.warm = this.answering();
    this.everConnected = true;
    return this.capabilities() as Capabilities;
  }

  // ProcessPort

  async validate(): Promise<Verdict> {
    this.journal.push("validate");
    await this.held.get("validate");
    if (this.failCheck) {
      throw new SluiceError("ERR_HAPROXY_CHECK_FAILED", "haproxy -c did not end", { retryable: true });
    }
    const text = this.store.candidate ?? "";
    const missing = mapFiles(text).find((file) => !this.store.maps.has(file));
    const at = text.split("\n").findIndex((line) => this.failing.some((pattern) => pattern.test(line)));
    if (missing === undefined && at === -1) return { ok: true, warnings: [] };
    const problem =
      missing === undefined
        ? { ...(this.pointless ? {} : { line: at + 1 }), message: "unknown keyword" }
        : { message: `no ${missing}` };
    return { ok: false, stage: "validate", problems: [problem] };
  }

  async preflight(): Promise<Verdict> {
    this.journal.push("preflight");
    await this.held.get("preflight");
    if (!this.failPreflight) return { ok: true, warnings: [] };
    return { ok: false, stage: "preflight", problems: [{ message: "port 80 is taken" }] };
  }

  async reload(): Promise<WorkerInfo> {
    this.journal.push("reload");
    await this.held.get("reload");
    this.answering();
    if (this.failReload) throw new SluiceError("ERR_HAPROXY_RELOAD", "the new worker did not start");
    this.worker = this.load();
    return info(this.worker);
  }

  async adoptOrStart(): Promise<{ readonly adopted: boolean; readonly worker: WorkerInfo }> {
    await this.held.get("start");
    if (this.worker !== undefined) {
      this.journal.push("adopt");
      return { adopted: true, worker: info(this.worker) };
    }
    if (this.startedByOthers) throw new SluiceError("ERR_HAPROXY_AWAITED", "start it", { retryable: true });
    this.journal.push("start");
    if (this.failStart) throw new SluiceError("ERR_HAPROXY_START", "it did not start", { retryable: true });
    this.worker = this.load();
    return { adopted: false, worker: info(this.worker) };
  }

  async oldWorkers(): Promise<readonly { readonly pid: number; readonly connections: number }[]> {
    this.answering();
    return this.leftBehind;
  }

  async running(): Promise<boolean> {
    return this.worker !== undefined;
  }

  onExit(listener: (detail: string) => void): () => void {
    this.exitListeners.add(listener);
    return () => this.exitListeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.vanish();
  }

  private load(text = this.store.config): Worker {
    if (text === undefined) throw new SluiceError("ERR_HAPROXY_START", "there is no haproxy.cfg", { retryable: true });
    const config = parseConfig(text);
    const backends = new Map<string, Map<string, FakeServer>>();
    for (const section of config.sections.filter(isPool)) {
      const servers = serverLines(section).map(({ name, address, port, weight, maintenance }): [string, FakeServer] => [
        name,
        { address, port, weight, maintenance, drain: false, check: this.firstCheck },
      ]);
      backends.set(section.name ?? "", new Map(servers));
    }
    const maps = new Map<string, readonly MapEntry[]>();
    for (const file of mapFiles(text)) {
      const content = this.store.maps.get(file);
      if (content === undefined) throw new SluiceError("ERR_HAPROXY_START", `there is no ${file}`, { retryable: true });
      maps.set(file, mapEntries(content));
    }
    this.nextPid += 1;
    this.check("loaded", maps, new Set(backends.keys()));
    const named = config.sections.flatMap(({ kind, name }) => (kind === "defaults" ? (name ?? []) : []));
    const structure = structureOf(config);
    return { pid: this.nextPid, structure, backends, maps, unpublished: new Set(), defaults: new Set(named) };
  }

  /** Whether the files in the store would do for a process that is started on them now. */
  private checkFiles(): void {
    if (this.store.config === undefined) return;
    const maps = [...this.store.maps].map(([file, text]): [string, readonly MapEntry[]] => [file, mapEntries(text)]);
    this.check("disk", new Map(maps), poolNames(parseConfig(this.store.config)));
  }

  private check(where: string, maps: ReadonlyMap<string, readonly MapEntry[]>, loaded: ReadonlySet<string>): void {
    for (const [file, entries] of maps) {
      const lost = entries.find(({ value }) => !loaded.has(backendOf(value)));
      if (lost !== undefined) this.violations.push(`${where}: ${file} sends ${lost.key} to ${lost.value}`);
    }
  }

  private breakOff(worker: Worker, operation: RuntimeOperation): string | undefined {
    if (operation.kind !== "add-server" || this.halfMade === 0) return undefined;
    this.halfMade -= 1;
    const server = worker.backends.get(operation.backend)?.get(operation.server);
    if (server !== undefined) Object.assign(server, { maintenance: true, checksOff: operation.check });
    return "connection lost";
  }

  private takeRefusal(kind: RuntimeOperation["kind"]): string | undefined {
    const found = this.refusing.find((one) => one.kind === kind && one.times > 0);
    if (found === undefined) return undefined;
    found.times -= 1;
    return "refused by the test";
  }

  /** The worker the warm connection was made to, which may be on its way out. */
  private connected(): Worker {
    if (this.warm === undefined) throw unreachable();
    return this.warm;
  }

  /** The worker a new connection reaches. */
  private answering(): Worker {
    if (this.worker === undefined) throw unreachable();
    return this.worker;
  }
}

/** @returns HAProxy's refusal; undefined when it is done */
function execute(worker: Worker, operation: RuntimeOperation, check: FakeServer["check"]): string | undefined {
  if (isMapOperation(operation)) return executeMap(worker.maps, operation);
  if (isBackendOperation(operation)) return executeBackend(worker, operation);
  const servers = worker.backends.get(operation.backend);
  if (servers === undefined) return "No such backend.";
  const found = servers.get(operation.server);
  if (operation.kind === "add-server") {
    if (found !== undefined) return "Already exists a server with the same name in backend.";
    const { address, port, weight } = operation;
    servers.set(operation.server, { address, port, weight, maintenance: false, drain: false, check });
    return undefined;
  }
  if (found === undefined) return "No such server.";
  if (operation.kind === "revive-server") {
    Object.assign(found, { maintenance: false, drain: false, weight: operation.weight });
    if (operation.check) found.checksOff = false;
  } else if (operation.kind === "retire-server") found.maintenance = true;
  else if (operation.kind === "set-weight") found.weight = operation.weight;
  else Object.assign(found, { maintenance: operation.state === "maint", drain: false });
  return undefined;
}

/** Backends that requests can be sent to. */
function published({ backends, unpublished }: Worker): ReadonlySet<string> {
  return new Set([...backends.keys()].filter((name) => !unpublished.has(name)));
}

function executeBackend({ backends, unpublished, defaults }: Worker, operation: BackendOperation): string | undefined {
  const { backend } = operation;
  if (operation.kind === "add-backend") {
    if (backends.has(backend)) {
      return `Error during backend creation : name is already used by other proxy 'backend ${backend}'.`;
    }
    if (!defaults.has(operation.defaults)) return `Cannot find default proxy '${operation.defaults}'.`;
    backends.set(backend, new Map());
    unpublished.add(backend);
    return undefined;
  }
  if (!backends.has(backend)) return "No such backend.";
  if (operation.kind === "publish-backend") unpublished.delete(backend);
  else unpublished.add(backend);
  return undefined;
}

function summary(operation: RuntimeOperation): string {
  switch (operation.kind) {
    case "replace-map": {
      const file = operation.file.slice(operation.file.lastIndexOf("/") + 1);
      return `map ${file} [${operation.entries.map(({ key }) => key).join(" ")}]`;
    }
    case "edit-map": {
      const file = operation.file.slice(operation.file.lastIndexOf("/") + 1);
      return `map ${file} ${mapEditText(operation)}`;
    }
    case "add-backend":
    case "publish-backend":
    case "unpublish-backend":
      return `${operation.kind.replace("-backend", "")} ${operation.backend}`;
    case "add-server":
      return `add ${operation.backend}/${operation.server} weight ${operation.weight}`;
    case "revive-server":
      return `revive ${operation.backend}/${operation.server}`;
    case "retire-server":
      return `retire ${operation.backend}/${operation.server}`;
    case "set-weight":
      return `weight ${operation.backend}/${operation.server} ${operation.weight}`;
    case "set-state":
      return `state ${operation.backend}/${operation.server} ${operation.state}`;
  }
}

/** The files of `map(<file>)` in a configuration. */
function mapFiles(text: string): readonly string[] {
  return [...text.matchAll(/\bmap\(([^),]+)\)/g)].map((match) => match[1] ?? "");
}

function info({ pid }: Worker): WorkerInfo {
  return { pid, versionText, stopping: false, uptimeSeconds: 0 };
}

function unreachable(): SluiceError {
  return new SluiceError("ERR_HAPROXY_UNREACHABLE", "nothing answers on HAProxy's socket", { retryable: true });
}
