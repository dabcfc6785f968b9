import { z } from "zod";
import { formatDuration } from "./duration.ts";
import { type Settings, settingsSchema } from "./schema.ts";

/** One setting that holds a value (a section like `haproxy` is none), as the schema has it. */
export interface SettingKey {
  /** Its place in the file: `haproxy.drainTimeout`. */
  readonly path: string;
  /** `SLUICE_HAPROXY_DRAIN_TIMEOUT`; undefined for a document, which is written in the file alone. */
  readonly environment: string | undefined;
  /** `--haproxy-drain-timeout`; undefined for a document. */
  readonly flag: string | undefined;
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
  readonly kind: "text" | "duration" | "number" | "boolean" | "list" | "document";
  /** Of a document: the keys each of its entries may have, where they can be listed. */
  readonly entryKeys?: readonly string[];
}

/** What is read of a JSON schema: `z.toJSONSchema` describes the input without the reach into zod's inside. */
interface Node {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly additionalProperties?: boolean | Node;
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
    const document = kind === "document";
    const value = document ? undefined : settingAt(defaults, path);
    const entryKeys = document ? entryKeysOf(node) : undefined;
    return {
      path,
      environment: document ? undefined : environmentOf(path),
      flag: document ? undefined : flagOf(path),
      description: node.description ?? "",
      default: value === undefined ? undefined : kind === "duration" ? formatDuration(Number(value)) : String(value),
      choices: choicesOf(node),
      expected: expectedOf(node, kind),
      sensitive: node.sensitive === true,
      kind,
      ...(entryKeys !== undefined && { entryKeys }),
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
  if (node.type === "object") return "document";
  return node.type === "array" ? "list" : "text";
}

function entryKeysOf({ additionalProperties: entry }: Node): readonly string[] | undefined {
  if (typeof entry !== "object" || entry.properties === undefined) return undefined;
  return Object.keys(entry.properties);
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
    case "document":
      return "a section with a section for each name";
    case "text":
      return "a text";
  }
}
