/**
 * The one table of error codes: what each means. A code is a contract for scripts and for the runbook; the
 * message tells what happened, where, and what to do.
 */
export const errorCodes = {
  ERR_SETTINGS_INVALID: "a setting is unknown, of the wrong type or out of range",
  ERR_SETTINGS_UNREADABLE: "the settings file cannot be read",
  ERR_USAGE: "the command line is wrong",
  ERR_CONSUL_UNREACHABLE: "Consul did not answer",
  ERR_CONSUL_STATUS: "Consul answered with an error status",
  ERR_CONSUL_ANSWER_INVALID: "Consul's answer does not have the shape of its documentation",
  ERR_CONSUL_ID_INVALID: "no path of Consul's API can hold this id of a service",
  ERR_DOCKER_UNREACHABLE: "the Docker engine did not answer",
  ERR_DOCKER_STATUS: "the Docker engine answered with an error status",
  ERR_DOCKER_ANSWER_INVALID: "the Docker engine's answer does not have the shape of its documentation",
  ERR_CONSUL_TOO_MANY_WATCHES: "more services are selected than connections to Consul are allowed",
  ERR_SNAPSHOT_INVALID: "the snapshot file cannot be used",
  ERR_TEMPLATE_UNREADABLE: "the template or one of its parts cannot be read",
  ERR_TEMPLATE_FAILED: "the template cannot be rendered",
  ERR_VALUE_UNSAFE: "a value cannot be carried into haproxy.cfg",
  ERR_HAPROXY_CONFIG_INVALID: "haproxy -c refused the configuration",
  ERR_HAPROXY_CHECK_FAILED: "haproxy -c could not be run to its end",
  ERR_HAPROXY_MISSING: "the haproxy binary cannot be run",
  ERR_HAPROXY_TOO_OLD: "the haproxy binary is older than 2.6",
  ERR_HAPROXY_PREFLIGHT: "the configuration is valid but this machine cannot run it",
  ERR_HAPROXY_UNREACHABLE: "HAProxy's socket does not answer",
  ERR_HAPROXY_ANSWER: "HAProxy refused a command or gave an answer that is not known",
  ERR_HAPROXY_START: "HAProxy did not start",
  ERR_HAPROXY_AWAITED: "no HAProxy answers that somebody else has to start (haproxy.mode: external)",
  ERR_HAPROXY_RELOAD: "HAProxy did not take the new configuration; the old process goes on",
  ERR_STATE_VERSION: "the state directory was written by a newer Sluice",
  ERR_STATE_UNUSABLE: "the state directory cannot be read or written",
  ERR_STATE_LOCKED: "another operator runs on this state directory",
  ERR_NOT_HELD: "nothing of that name is held",
  ERR_REGISTER_COMMAND: "the wrapped command cannot be started",
  ERR_REGISTER_NOT_READY: "the wrapped process did not answer in time",
  ERR_REGISTER_REFUSED: "Consul's agent did not take the registration",
  ERR_ADMIN_UNREACHABLE: "no operator answers on the admin socket",
  ERR_INTERNAL: "a defect in Sluice",
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface SluiceErrorOptions {
  readonly cause?: unknown;
  /** Whether trying again without a change of input can help. Default: false. */
  readonly retryable?: boolean;
  /** Facts for logs and `--json`; never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The one error class. Tell errors apart by `code`, never by message. */
export class SluiceError extends Error {
  override readonly name = "SluiceError";
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: SluiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** Whatever was thrown, as a `SluiceError`; what is not one yet becomes ERR_INTERNAL with the cause kept. */
export function toSluiceError(thrown: unknown): SluiceError {
  if (thrown instanceof SluiceError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new SluiceError("ERR_INTERNAL", message, { cause: thrown });
}

/** The `code` of a Node system error (`ENOENT`, `ECONNREFUSED`…), if it has one. */
export function systemErrorCode(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
