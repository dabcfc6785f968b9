import type { SettingKey } from "./keys.ts";
import { nearest } from "./nearest.ts";
import type { SettingProblem } from "./problem.ts";

/** Environment variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A value that came from a variable or a flag, and its name for messages. */
export interface NamedValue {
  readonly name: string;
  readonly value: unknown;
}

interface EnvironmentSettings {
  /** By key path. */
  readonly values: ReadonlyMap<string, NamedValue>;
  readonly problems: readonly SettingProblem[];
}

/** Variables that begin with SLUICE_ and are no setting. */
const reservedVariables: Readonly<Record<string, string>> = {
  SLUICE_SETTINGS: "the settings file, where --settings is not given",
  SLUICE_STRUCTURE: "set by haproxy.cfg in HAProxy's own environment",
  SLUICE_HAPROXY: "the haproxy binary of Sluice's own tests",
  SLUICE_CONSUL: "the consul binary of Sluice's own tests",
};

/**
 * What a kubelet tells the containers of a namespace that has a Service named sluice (Kubernetes' documentation:
 * "Service", "Environment variables"): SLUICE_SERVICE_HOST, SLUICE_SERVICE_PORT_HTTP, SLUICE_PORT_80_TCP_ADDR and so on.
 */
const kubernetesVariable = /^SLUICE_(SERVICE_(HOST|PORT)|PORT)(_|$)/;

/** The options of `sluice register`, which reads them itself; a container may hand one environment to all it runs. */
const registerVariable = /^SLUICE_REGISTER_/;

/** Consul's own variables (its documentation: "Consul Commands", environment variables) and the keys they set. */
const consulVariables: Readonly<Record<string, string>> = {
  CONSUL_HTTP_ADDR: "consul.address",
  CONSUL_HTTP_TOKEN: "consul.token",
  CONSUL_HTTP_TOKEN_FILE: "consul.tokenFile",
  CONSUL_CACERT: "consul.tls.ca",
  CONSUL_CLIENT_CERT: "consul.tls.cert",
  CONSUL_CLIENT_KEY: "consul.tls.key",
  CONSUL_TLS_SERVER_NAME: "consul.tls.serverName",
};

/** The settings among the SLUICE_ variables. An empty variable counts as not set; an unknown one is a problem. */
export function sluiceEnvironment(env: Environment, keys: readonly SettingKey[]): EnvironmentSettings {
  const byName = new Map(keys.flatMap((key) => (key.environment === undefined ? [] : [[key.environment, key]])));
  const values = new Map<string, NamedValue>();
  const problems: SettingProblem[] = [];
  for (const name of Object.keys(env).sort()) {
    if (!name.startsWith("SLUICE_") || Object.hasOwn(reservedVariables, name)) continue;
    if (kubernetesVariable.test(name) || registerVariable.test(name)) continue;
    const key = byName.get(name);
    const value = env[name];
    if (key === undefined) {
      const near = nearest(
        name.slice("SLUICE_".length),
        [...byName.keys()].map((known) => known.slice("SLUICE_".length)),
      );
      const advice =
        near === undefined ? "the documentation of settings lists those there are" : `did you mean SLUICE_${near}?`;
      problems.push({ where: name, message: `unknown variable; ${advice}` });
    } else if (value !== undefined && value !== "") {
      values.set(key.path, { name, value: valueOfText(value, key) });
    }
  }
  return { values, problems };
}

/**
 * The settings among Consul's own variables, read as Consul's client reads them: an address may lack its scheme, and
 * CONSUL_HTTP_SSL turns http into https, also for an address that comes from elsewhere.
 *
 * @param address where Consul answers by what the variables stand above: file or default
 */
export function consulEnvironment(env: Environment, address: string): EnvironmentSettings {
  const values = new Map<string, NamedValue>();
  for (const [name, path] of Object.entries(consulVariables)) {
    const value = env[name];
    if (value !== undefined && value !== "") values.set(path, { name, value });
  }
  const problems: SettingProblem[] = [];
  const named = values.get("consul.address");
  const tls = consulTls(env, problems);
  if (named !== undefined || tls) {
    const given = String(named?.value ?? address);
    const full = given.includes("://") ? given : `http://${given}`;
    const value = tls ? full.replace(/^http:/, "https:") : full;
    values.set("consul.address", { name: named?.name ?? "CONSUL_HTTP_SSL", value });
  }
  return { values, problems };
}

/** The text of a variable or flag as the value it stands for; what does not fit stays text, for the schema to refuse. */
export function valueOfText(value: string, key: Pick<SettingKey, "kind">): unknown {
  switch (key.kind) {
    case "boolean":
      return value === "true" ? true : value === "false" ? false : value;
    case "number":
      return value.trim() === "" || Number.isNaN(Number(value)) ? value : Number(value);
    case "list":
      return value.split(",").map((item) => item.trim());
    case "duration":
    case "text":
    case "document":
      return value;
  }
}

function consulTls(env: Environment, problems: SettingProblem[]): boolean {
  const value = env["CONSUL_HTTP_SSL"];
  if (value === undefined || value === "") return false;
  if (/^(1|t|true)$/i.test(value)) return true;
  if (!/^(0|f|false)$/i.test(value)) {
    problems.push({ where: "CONSUL_HTTP_SSL", message: `found ${JSON.stringify(value)}, expected true or false` });
  }
  return false;
}
