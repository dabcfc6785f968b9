import type {
  DeleteResult,
  Observation,
  ObservedCertificate,
  OperationResult,
  RuntimePort,
} from "../../reconciler/ports.ts";
import { type BackoffPolicy, backoffMs } from "../../support/backoff.ts";
import type { Clock } from "../../support/clock.ts";
import { SluiceError, toSluiceError } from "../../support/errors.ts";
import type { Logger } from "../../support/logger.ts";
import type { CertificateOperation, RuntimeOperation } from "../plan/types.ts";
import { isAccepted, isBusy, isExpired, isGone, isRemovable, isUnknownMap } from "./answers.ts";
import { capabilitiesOf } from "./capabilities.ts";
import { executeCertificates } from "./certificate-commands.ts";
import { type Command, escapeWord } from "./command-text.ts";
import { serverPath } from "./commands.ts";
import { RuntimeConnection } from "./connection.ts";
import { executeOperations } from "./execute-operations.ts";
import { isUnknownBackend, parseBackends, parseEnv, parseInfo, parseMap, parseServersState } from "./observe.ts";
import { observeCertificates } from "./observe-certificates.ts";
import type { Capabilities, MapEntry } from "./types.ts";

export interface RuntimeClientOptions {
  /** Path of HAProxy's stats socket; level admin. */
  readonly socketPath: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long a batch of commands may take. Default: 5000 ms. */
  readonly deadlineMs?: number;
}

/** Between two tries to connect again when HAProxy closed the connection. */
const reconnects: BackoffPolicy = { baseMs: 20, maxMs: 1_000 };
const structureVariable = "SLUICE_STRUCTURE";

/**
 * HAProxy's Runtime API. Operations go over a connection that is kept open and made anew at once when HAProxy closes it
 * (3.0 and newer do so after `stats timeout`), so that an operation pays neither for connecting nor for probing. What
 * is read back comes over a new connection: an old one may belong to a worker on its way out.
 */
export class RuntimeClient implements RuntimePort {
  readonly #options: RuntimeClientOptions;
  readonly #closeListeners = new Set<() => void>();
  readonly #closed = new AbortController();
  #warm: RuntimeConnection | undefined;
  #capabilities: Capabilities | undefined;
  /** The connection that is being made, if any: nobody makes a second one. */
  #connecting: Promise<RuntimeConnection> | undefined;

  constructor(options: RuntimeClientOptions) {
    this.#options = options;
  }

  capabilities(): Capabilities | undefined {
    return this.#capabilities;
  }

  /**
   * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE when there is no connection and none can be made. One that breaks on
   *   the way makes failed results: what was not answered may or may not have been done
   */
  async apply(operations: readonly RuntimeOperation[], signal?: AbortSignal): Promise<readonly OperationResult[]> {
    signal?.throwIfAborted();
    // No await before the write when the connection stands.
    const connection = this.#usable() ?? (await this.#connect(signal));
    return executeOperations(connection, operations, this.#known(), signal);
  }

  /** @throws {SluiceError} ERR_HAPROXY_UNREACHABLE when it is not known what became of it */
  async deleteServer(backend: string, server: string, force: boolean): Promise<DeleteResult> {
    const path = serverPath(backend, server);
    const shutdown: readonly Command[] = force ? [{ line: `shutdown sessions server ${path}` }] : [];
    const connection = this.#usable() ?? (await this.#connect());
    // Shutting sessions takes effect a moment later: "busy" to the first try is usual, and the next one succeeds.
    const { answers, failure } = await connection.execute([...shutdown, { line: `del server ${path}` }]);
    if (failure !== undefined) throw failure;
    const answer = answers.at(-1) ?? "";
    if (isAccepted("server-deleted", answer)) return { kind: "deleted" };
    if (isGone(answer)) return { kind: "gone" };
    return isBusy(answer) ? { kind: "busy" } : { kind: "refused", answer };
  }

  /**
   * Asks first whether it carries anything any more, over a connection of its own: `wait` holds up what comes behind it.
   *
   * @throws {SluiceError} ERR_HAPROXY_UNREACHABLE when it is not known what became of it
   */
  async deleteBackend(backend: string, signal?: AbortSignal): Promise<DeleteResult> {
    const name = escapeWord(backend);
    const [waited = ""] = await this.#askAnew([`wait 20ms be-removable ${name}`], signal);
    if (isExpired(waited)) return { kind: "busy" };
    if (!isRemovable(waited)) return { kind: "refused", answer: waited };
    const [answer = ""] = await this.#askAnew([`del backend ${name}`], signal);
    return isAccepted("backend-deleted", answer) ? { kind: "deleted" } : { kind: "refused", answer };
  }

  /** @throws {SluiceError} ERR_HAPROXY_UNREACHABLE; ERR_HAPROXY_ANSWER where an answer is not understood */
  async observe(backends?: readonly string[], signal?: AbortSignal): Promise<Observation> {
    const wanted = backends?.map((backend) => `show servers state ${escapeWord(backend)}`) ?? ["show servers state"];
    const named = backends === undefined && this.#capabilities?.dynamicBackends === true;
    const lines = ["show info", `show env ${structureVariable}`, ...wanted, ...(named ? ["show backend"] : [])];
    const [info = "", env = "", ...states] = await this.#askAnew(lines, signal);
    const names = named ? parseBackends(states.pop() ?? "") : undefined;
    return {
      ...(names !== undefined && { backends: names }),
      worker: parseInfo(info),
      structure: parseEnv(env, structureVariable),
      servers: states.filter((answer) => !isUnknownBackend(answer)).flatMap((answer) => [...parseServersState(answer)]),
    };
  }

  /** @throws {SluiceError} ERR_HAPROXY_UNREACHABLE; ERR_HAPROXY_ANSWER where the answer is not understood */
  async readMap(file: string, signal?: AbortSignal): Promise<readonly MapEntry[] | undefined> {
    const [answer = ""] = await this.#askAnew([`show map ${escapeWord(file)}`], signal);
    return isUnknownMap(answer) ? undefined : parseMap(answer);
  }

  /** @throws {SluiceError} as `apply` */
  async applyCertificates(
    operations: readonly CertificateOperation[],
    signal?: AbortSignal,
  ): Promise<readonly OperationResult[]> {
    return executeCertificates(this.#usable() ?? (await this.#connect(signal)), operations, signal);
  }

  /** @throws {SluiceError} ERR_HAPROXY_UNREACHABLE */
  async readCertificates(list: string, signal?: AbortSignal): Promise<readonly ObservedCertificate[] | undefined> {
    const connection = await this.#openOnce(signal);
    try {
      return await observeCertificates(connection, list, signal);
    } finally {
      connection.close();
    }
  }

  /** @throws {SluiceError} ERR_HAPROXY_UNREACHABLE; ERR_HAPROXY_TOO_OLD below 2.6 */
  async reconnect(signal?: AbortSignal): Promise<Capabilities> {
    this.#drop();
    // One that is being made may have reached the old worker before it left.
    await this.#connecting?.catch(() => undefined);
    this.#drop();
    await this.#connect(signal);
    return this.#known();
  }

  /** Called each time HAProxy closes the warm connection: its worker may have ended. Returns the function that unsubscribes. */
  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /**
   * Drops the connection until somebody needs one. A worker that was told to end waits for its connections, ours among
   * them.
   */
  disconnect(): void {
    this.#drop();
  }

  /** Drops the connection and makes no more. */
  close(): void {
    this.#closed.abort(new SluiceError("ERR_HAPROXY_UNREACHABLE", "the client of HAProxy's socket was closed"));
    this.#drop();
  }

  #drop(): void {
    const connection = this.#warm;
    // First, so that its end is no loss.
    this.#warm = undefined;
    connection?.close();
  }

  /** Whoever has connected has asked. */
  #known(): Capabilities {
    if (this.#capabilities !== undefined) return this.#capabilities;
    throw new SluiceError("ERR_INTERNAL", "connected to HAProxy without having asked it what it can do");
  }

  #usable(): RuntimeConnection | undefined {
    return this.#warm?.open === true ? this.#warm : undefined;
  }

  #connect(signal?: AbortSignal): Promise<RuntimeConnection> {
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined;
    });
    return signal === undefined ? this.#connecting : abortable(this.#connecting, signal);
  }

  async #open(): Promise<RuntimeConnection> {
    const connection = await this.#openOnce(this.#closed.signal);
    try {
      const info = parseInfo(await connection.ask("show info"));
      if (this.#capabilities?.versionText !== info.versionText) {
        this.#capabilities = capabilitiesOf(info.versionText, await connection.ask("help"));
      }
      this.#closed.signal.throwIfAborted();
    } catch (thrown) {
      connection.close();
      throw thrown;
    }
    this.#warm = connection;
    connection.onClose(() => this.#lost(connection));
    if (!connection.open) this.#lost(connection);
    return connection;
  }

  #openOnce(signal?: AbortSignal): Promise<RuntimeConnection> {
    const { socketPath, clock, deadlineMs } = this.#options;
    return RuntimeConnection.open({ path: socketPath, clock, deadlineMs, signal });
  }

  async #askAnew(lines: readonly string[], signal?: AbortSignal): Promise<readonly string[]> {
    const connection = await this.#openOnce(signal);
    try {
      const { answers, failure } = await connection.execute(
        lines.map((line) => ({ line })),
        signal,
      );
      if (failure !== undefined) throw failure;
      return answers;
    } finally {
      connection.close();
    }
  }

  #lost(connection: RuntimeConnection): void {
    if (this.#warm !== connection) return;
    this.#warm = undefined;
    if (this.#closed.signal.aborted) return;
    for (const listener of [...this.#closeListeners]) listener();
    void this.#restore();
  }

  /** Connects again until there is a connection, whoever made it. */
  async #restore(): Promise<void> {
    const { clock, logger, socketPath } = this.#options;
    const { signal } = this.#closed;
    for (let attempt = 0; !signal.aborted && this.#warm === undefined; attempt += 1) {
      try {
        await this.#connect();
        return;
      } catch (thrown) {
        if (attempt === 0)
          logger.debug({ socketPath, error: toSluiceError(thrown) }, "no connection to HAProxy; trying on");
        await clock.sleep(backoffMs(reconnects, attempt), signal).catch(() => undefined);
      }
    }
  }
}

/** Rejects with the signal's reason when it aborts before the promise settles; the work itself goes on. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    // Also when nobody waits any more: a failure without a handler would end the operator.
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
