import type { z } from "zod";
import { nearest } from "../../settings/nearest.ts";
import { commaList } from "../../support/comma-list.ts";
import { SluiceError } from "../../support/errors.ts";
import {
  type CheckKind,
  type RegisterOption,
  type RegisterOptionName,
  registerOptions,
  variableOf,
} from "./options.ts";

/** What is to be registered, and how. All times in ms. */
export interface Register {
  readonly name: string;
  readonly port: number;
  readonly id: string;
  /** Left out: found out by {@link addressFor}. */
  readonly address?: string;
  /** Where the process listens; without a host: 127.0.0.1, or whichever address of this host answers. */
  readonly listen: { readonly host?: string; readonly port: number };
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly check: {
    readonly kind: CheckKind;
    /** Of http: begins with `/`. Of grpc: a service's name, empty for the server as a whole. */
    readonly path: string;
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly deregisterAfterMs?: number;
  };
  readonly tries: number;
  readonly retryIntervalMs: number;
  readonly waitMs: number;
  readonly drainMs: number;
  /** Stats pages, as given: they may hold a user and a password. */
  readonly haproxy: readonly string[];
  readonly graceMs: number;
  readonly stopSignal?: NodeJS.Signals;
  readonly once: boolean;
}

export interface RegisterSources {
  /** By name of the option; undefined: not given. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The host's name. */
  readonly host: string;
  /** The wrapped command; empty: none. */
  readonly command: readonly string[];
}

type Values = { [Name in RegisterOptionName]?: z.output<(typeof registerOptions)[Name]["schema"]> };

const defaultForgetMs = 90_000;

/**
 * The options of `sluice register`, from flags and environment. A flag stands above its variable, and a variable of our
 * own (`SLUICE_REGISTER_…`) above the names people have.
 *
 * @throws {SluiceError} ERR_USAGE with all problems at once
 */
export function readRegister(sources: RegisterSources): Register {
  const problems: string[] = [...unknownVariables(sources.env)];
  const one = <Name extends RegisterOptionName>(name: Name) => readOne(name, sources, problems)[0] as Values[Name];
  const name = one("name");
  const port = one("port");
  const check = one("check");
  const once = one("once") ?? false;
  const wantedTags = tagsOf(sources, problems);
  const meta = Object.fromEntries(readOne("meta", sources, problems) as readonly (readonly [string, string])[]);
  const values = {
    id: one("id"),
    address: one("address"),
    listen: one("listen"),
    path: one("checkPath"),
    intervalMs: one("checkInterval"),
    timeoutMs: one("checkTimeout"),
    forgetMs: one("deregisterAfter"),
    tries: one("retries"),
    retryIntervalMs: one("retryInterval"),
    waitMs: one("wait"),
    drainMs: one("drain"),
    haproxy: one("haproxy"),
    graceMs: one("grace"),
    stopSignal: one("stopSignal"),
  };
  const kind = check ?? (once ? "tcp" : "ttl");
  const isGiven = (option: RegisterOption) => placeOf(option, sources) !== undefined;
  if (!isGiven(registerOptions.name)) problems.push("the service's name is missing: --name, or APP_NAME");
  if (!isGiven(registerOptions.port)) problems.push("the service's port is missing: --port, or APP_PORT");
  if (once && sources.command.length > 0) problems.push("--once registers what runs elsewhere: leave out the command");
  if (!once && sources.command.length === 0) problems.push("the command is missing: sluice register … -- COMMAND");
  if (once && kind === "ttl")
    problems.push("--once leaves nobody who could keep a TTL: --check tcp, http, grpc or none");
  if (values.path !== undefined && kind !== "http" && kind !== "grpc") {
    problems.push(`--check-path is for --check http and grpc, not for ${kind}`);
  }
  if (problems.length > 0 || name === undefined || port === undefined) {
    throw new SluiceError("ERR_USAGE", problems.join("\n  "), { details: { problems } });
  }
  const forgetMs = values.forgetMs ?? (once ? 0 : defaultForgetMs);
  return {
    name,
    port,
    id: values.id ?? `${sources.host}-${name}-${port}`,
    ...(values.address !== undefined && { address: values.address }),
    listen: values.listen ?? { port },
    tags: wantedTags,
    meta,
    check: {
      kind,
      path: pathOf(kind, values.path),
      intervalMs: values.intervalMs as number,
      timeoutMs: values.timeoutMs as number,
      ...(forgetMs > 0 && { deregisterAfterMs: forgetMs }),
    },
    tries: values.tries as number,
    retryIntervalMs: values.retryIntervalMs as number,
    waitMs: values.waitMs as number,
    drainMs: values.drainMs as number,
    haproxy: values.haproxy ?? [],
    graceMs: values.graceMs as number,
    ...(values.stopSignal !== undefined && { stopSignal: values.stopSignal }),
    once,
  };
}

/**
 * The environment with what people have said as CONSUL_PORT, the port of the agent on 127.0.0.1, where nothing more
 * exact is said. A container runtime that knows a service of that name sets it too, to `tcp://…` (Docker: "Legacy
 * container links"; Kubernetes: "Service", environment variables): that is not meant.
 */
export function withConsulPort(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  const { CONSUL_PORT: port = "", CONSUL_HTTP_ADDR: exact, SLUICE_CONSUL_ADDRESS: own } = env;
  if ((exact ?? "") !== "" || (own ?? "") !== "" || !/^\d{1,5}$/.test(port)) return env;
  return { ...env, CONSUL_HTTP_ADDR: `127.0.0.1:${port}` };
}

function pathOf(kind: CheckKind, path: string | undefined): string {
  if (kind !== "http") return path ?? "";
  return path === undefined ? "/" : path.startsWith("/") ? path : `/${path}`;
}

/** Flags of both kinds together, or else the variables. */
function tagsOf(sources: RegisterSources, problems: string[]): readonly string[] {
  const lists = () =>
    (readOne("tags", sources, problems) as readonly string[]).flatMap((written) => [...commaList(written)]);
  const single = readOne("tag", sources, problems) as readonly string[];
  const flagged = (name: RegisterOptionName) => sources.flags[name] !== undefined;
  const all = flagged("tag") && !flagged("tags") ? single : [...single, ...lists()];
  return [...new Set(all)];
}

/** What is said of an option: where, and its texts. */
function placeOf(option: RegisterOption, { flags, env }: RegisterSources) {
  const name = Object.entries(registerOptions).find(([, one]) => one === option)?.[0] ?? "";
  const flag = flags[name];
  if (flag !== undefined) {
    const texts = Array.isArray(flag) ? flag.map(String) : [String(flag)];
    return { where: option.flag, texts };
  }
  for (const variable of [variableOf(option), ...(option.known ?? [])]) {
    const value = env[variable];
    if (value === undefined || value === "") continue;
    return { where: variable, texts: option.repeats === true ? [...commaList(value)] : [value] };
  }
  return undefined;
}

function readOne(name: RegisterOptionName, sources: RegisterSources, problems: string[]): readonly unknown[] {
  const option: RegisterOption = registerOptions[name];
  const place =
    placeOf(option, sources) ??
    (option.default === undefined ? undefined : { where: option.flag, texts: [option.default] });
  if (place === undefined) return [];
  return place.texts.flatMap((written) => {
    const result = option.schema.safeParse(written);
    if (result.success) return [result.data];
    const shown = JSON.stringify(written.replaceAll(/\/\/[^@/,]*@/g, "//***@"));
    problems.push(`${place.where}: ${shown} is ${result.error.issues[0]?.message ?? "not right"}`);
    return [];
  });
}

function unknownVariables(env: RegisterSources["env"]): readonly string[] {
  const known = Object.values(registerOptions).map(variableOf);
  return Object.keys(env)
    .filter((name) => name.startsWith("SLUICE_REGISTER_") && !known.includes(name))
    .sort()
    .map((name) => {
      const near = nearest(name, known);
      return `${name}: unknown variable${near === undefined ? "" : `; did you mean ${near}?`}`;
    });
}
