import { z } from "zod";
import { formatDuration } from "./duration.ts";
import { type Settings, settingsSchema } from "./schema.ts";

/** One setting that holds a value (a section like `haproxy` is none), as the schema has it. */
export interface SettingKey {
  /** Its place in the file: `haproxy.drainTimeout`. */
  readonly path: string;
  /** `SLUICE_HAPROXY_DRAIN_TIMEOUT` */
  readonly environment: string;
  /** `--haproxy-drain-timeout` */
  readonly flag: string;
  readonly description: string;
  /** The default as a person writes it (`30s`); undefined where there is none. */
  readonly default: string | undefined;
  /** The only values it takes, where they can be listed. */
  readonly choices: readonly string[] | undefined;
  /** What is expected, for messages: `a text`, `one of leave, stop`. */
  readonly expected: string;
  /** True for a password or token: its value is never printed. */
  readonly sensitive: boolean;
  /** How a text of the environment or of a flag becomes a value. */
  readonly kind: "text" | "duration" | "number" | "boolean" | "list";
}

/** What is read of a JSON schema: `z.toJSONSchema` describes the input without the reach into zod's inside. */
interface Node {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly anyOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly description?: string;
  readonly sensitive?: boolean;
  readonly unit?: string;
}

/** Every setting in the order of the schema. */
export function settingKeys(): readonly SettingKey[] {
  const defaults = settingsSchema.parse({});
  return leaves(z.toJSONSchema(settingsSchema, { io: "input" }) as Node, "").map(({ path, node }) => {
    const kind = kindOf(node);
    const value = settingAt(defaults, path);
    return {
      path,
      environment: environmentOf(path),
      flag: flagOf(path),
      description: node.description ?? "",
      default: value === undefined ? undefined : kind === "duration" ? formatDuration(Number(value)) : String(value),
      choices: choicesOf(node),
      expected: expectedOf(node, kind),
      sensitive: node.sensitive === true,
      kind,
    };
  });
}

/** The variable of a key: `haproxy.drainTimeout` is `SLUICE_HAPROXY_DRAIN_TIMEOUT`. */
export function environmentOf(path: string): string {
  return `SLUICE_${words(path).join("_").toUpperCase()}`;
}

/** The flag of a key: `haproxy.drainTimeout` is `--haproxy-drain-timeout`. */
export function flagOf(path: string): string {
  return `--${words(path).join("-").toLowerCase()}`;
}

/** The value at a key path of settings, or of any tree of sections; undefined where it, or a section on the way, is absent. */
export function settingAt(settings: Settings | object, path: string): unknown {
  let value: unknown = settings;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** Puts values by key path into a tree of sections: `[["log.level", "info"]]` is `{ log: { level: "info" } }`. */
export function treeOf(values: Iterable<readonly [path: string, value: unknown]>): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const [path, value] of values) {
    const names = path.split(".");
    const last = names.pop() as string;
    let section = tree;
    for (const name of names) {
      section[name] ??= {};
      section = section[name] as Record<string, unknown>;
    }
    section[last] = value;
  }
  return tree;
}

function words(path: string): string[] {
  return path.split(".").flatMap((name) => name.split(/(?=[A-Z])/));
}

function leaves(node: Node, path: string): readonly { path: string; node: Node }[] {
  if (node.properties === undefined) return [{ path, node }];
  return Object.entries(node.properties).flatMap(([name, child]) =>
    leaves(child, path === "" ? name : `${path}.${name}`),
  );
}

function kindOf(node: Node): SettingKey["kind"] {
  if (node.unit === "duration") return "duration";
  if (node.type === "boolean") return "boolean";
  if (node.type === "number" || node.type === "integer") return "number";
  return node.type === "array" ? "list" : "text";
}

function choicesOf(node: Node): readonly string[] | undefined {
  if (node.enum !== undefined) return node.enum.map(String);
  return node.const === undefined ? undefined : [String(node.const)];
}

function expectedOf(node: Node, kind: SettingKey["kind"]): string {
  if (node.anyOf !== undefined) return node.anyOf.map((one) => expectedOf(one, kindOf(one))).join(" or ");
  const choices = choicesOf(node);
  if (choices !== undefined) return choices.length === 1 ? (choices[0] as string) : `one of ${choices.join(", ")}`;
  switch (kind) {
    case "duration":
      return "a length of time such as 250ms, 30s, 5m or 24h";
    case "boolean":
      return "true or false";
    case "number": {
      const name = node.type === "integer" ? "a whole number" : "a number";
      return node.minimum === undefined ? name : `${name} of at least ${node.minimum}`;
    }
    case "list":
      return "a list";
    case "text":
      return "a text";
  }
}
