import { existsSync } from "node:fs";
import path from "node:path";
import { SluiceError } from "../support/errors.ts";
import { consulEnvironment, type Environment, type NamedValue, sluiceEnvironment, valueOfText } from "./environment.ts";
import { type SettingKey, settingAt, settingKeys, treeOf } from "./keys.ts";
import { messagesOf, type SettingProblem } from "./problem.ts";
import { type Settings, settingsSchema } from "./schema.ts";
import { readSettingsFile } from "./settings-file.ts";

export type Origin = "default" | "file" | "environment" | "flag";

export interface LoadedSettings {
  readonly settings: Settings;
  /** Where each setting's value came from, by key path; every key is there. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Absolute path of the file that was read; absent where there was none. */
  readonly file?: string;
}

export interface SettingsSources {
  /** `--settings`. Not given: `SLUICE_SETTINGS`, else `sluice.yaml` in the working directory if it is there. */
  readonly file?: string | undefined;
  readonly env: Environment;
  /** Values of flags by key path (`haproxy.drainTimeout`); undefined: not given. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  /** What relative paths of settings files stand in. Default: the process's working directory. */
  readonly workingDirectory?: string;
}

/** What one source says: its values and how to name the place of each. */
interface Layer {
  readonly origin: Origin;
  readonly tree: object;
  where(key: string): string;
}

const defaultFile = "sluice.yaml";

/**
 * Settings from all sources; each stands above those before it: defaults, the file, Consul's own CONSUL_* variables,
 * SLUICE_* variables, flags. Of `consul.token` and `consul.tokenFile` only one remains: that of the higher source,
 * within one source the file.
 *
 * @throws {SluiceError} ERR_SETTINGS_UNREADABLE, or ERR_SETTINGS_INVALID with all problems at once in
 *   `details.problems` ({@link SettingProblem})
 */
export function loadSettings(sources: SettingsSources): LoadedSettings {
  const keys = settingKeys();
  const file = fileOf(sources);
  const problems: SettingProblem[] = [];
  const layers: Layer[] = [];

  if (file !== undefined) {
    const { tree, problems: yamlProblems, where } = readSettingsFile(file);
    problems.push(...yamlProblems);
    layers.push({ origin: "file", tree: withoutEmptySections(tree, keys), where });
  }
  const address = settingAt(layers[0]?.tree ?? {}, "consul.address") ?? settingsSchema.parse({}).consul.address;
  for (const { values, problems: found } of [
    consulEnvironment(sources.env, String(address)),
    sluiceEnvironment(sources.env, keys),
  ]) {
    problems.push(...found);
    layers.push(namedLayer("environment", values));
  }
  layers.push(flagLayer(sources.flags, keys));

  for (const layer of layers) problems.push(...problemsOf(layer, keys));
  if (problems.length > 0) throw invalid(problems);

  const { values, origins } = merge(layers, keys);
  const settings = settingsSchema.parse(treeOf(values));
  const { cert, key } = settings.consul.tls;
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined ? ["key", "cert"] : ["cert", "key"];
    const where = layers.findLast((layer) => settingAt(layer.tree, `consul.tls.${given}`) !== undefined);
    const message = `consul.tls.${missing} is missing; a client certificate needs both`;
    throw invalid([{ where: where?.where(`consul.tls.${given}`) ?? "", key: `consul.tls.${given}`, message }]);
  }
  return file === undefined ? { settings, origins } : { settings, origins, file };
}

/** The file to read, as an absolute path; undefined where none is named and none lies in the working directory. */
function fileOf({ file, env, workingDirectory = process.cwd() }: SettingsSources): string | undefined {
  const named = file ?? (env["SLUICE_SETTINGS"] || undefined);
  if (named !== undefined) return path.resolve(workingDirectory, named);
  const lying = path.resolve(workingDirectory, defaultFile);
  return existsSync(lying) ? lying : undefined;
}

/** `http:` with nothing or only comments below it is an empty section, not a wrong one. */
function withoutEmptySections(tree: object, keys: readonly SettingKey[], prefix = ""): object {
  const isSection = (key: string) => keys.some((one) => one.path.startsWith(`${prefix}${key}.`));
  return Object.fromEntries(
    Object.entries(tree).flatMap(([key, value]) => {
      const isDocument = keys.some(({ path, kind }) => kind === "document" && path === `${prefix}${key}`);
      if (value === null && (isDocument || isSection(key))) return [];
      if (!isSection(key)) return [[key, value]];
      const plain = typeof value === "object" && !Array.isArray(value);
      return [[key, plain ? withoutEmptySections(value, keys, `${prefix}${key}.`) : value]];
    }),
  );
}

function namedLayer(origin: Origin, values: ReadonlyMap<string, NamedValue>): Layer {
  return {
    origin,
    tree: treeOf([...values].map(([key, { value }]) => [key, value])),
    where: (key) => values.get(key)?.name ?? key,
  };
}

function flagLayer(flags: SettingsSources["flags"], keys: readonly SettingKey[]): Layer {
  const values = new Map<string, NamedValue>();
  for (const [name, text] of Object.entries(flags)) {
    const key = keys.find((one) => one.path === name);
    if (key?.flag === undefined)
      throw new SluiceError("ERR_INTERNAL", `a flag was registered for ${name}, which is no setting`);
    if (text !== undefined) values.set(name, { name: key.flag, value: valueOfText(text, key) });
  }
  return namedLayer("flag", values);
}

/** Each source is judged alone, so that a mistake shows even where a higher source hides it. */
function problemsOf(layer: Layer, keys: readonly SettingKey[]): readonly SettingProblem[] {
  const result = settingsSchema.safeParse(layer.tree);
  if (result.success) return [];
  const seen = new Map<string, SettingProblem>();
  for (const finding of result.error.issues) {
    for (const { key, message } of messagesOf(finding, layer.tree, keys)) {
      if (!seen.has(key)) seen.set(key, { where: layer.where(key), key, message });
    }
  }
  // In the order of the lines of the file.
  return [...seen.values()].sort((a, b) => a.where.localeCompare(b.where, "en", { numeric: true }));
}

function merge(layers: readonly Layer[], keys: readonly SettingKey[]) {
  const values = new Map<string, unknown>();
  const origins = new Map<string, Origin>();
  for (const { path: key } of keys) origins.set(key, "default");
  for (const { origin, tree } of layers) {
    const token = settingAt(tree, "consul.token") !== undefined;
    const tokenFile = settingAt(tree, "consul.tokenFile") !== undefined;
    for (const { path: key } of keys) {
      const value = settingAt(tree, key);
      if (value !== undefined) {
        values.set(key, value);
        origins.set(key, origin);
      }
    }
    const overruled = tokenFile ? "consul.token" : token ? "consul.tokenFile" : undefined;
    if (overruled !== undefined) {
      values.delete(overruled);
      origins.set(overruled, "default");
    }
  }
  return { values, origins };
}

function invalid(problems: readonly SettingProblem[]): SluiceError {
  const count = problems.length === 1 ? "one problem" : `${problems.length} problems`;
  const lines = problems.map(({ where, key, message }) =>
    key === undefined ? `  ${where}: ${message}` : `  ${where}: ${key}: ${message}`,
  );
  return new SluiceError("ERR_SETTINGS_INVALID", `${count} in the settings:\n${lines.join("\n")}`, {
    details: { problems },
  });
}
