import type { Instance } from "../catalog/types.ts";
import { shown } from "./shown.ts";

/** Longer ones are no settings of anybody's, and every part of the way has to carry them. In UTF-16 units. */
const longest = 1_024;
/** Consul's own rule for the keys of meta (Consul API: Agent, "Register Service"). */
const metaKey = /^[A-Za-z0-9_-]{1,128}$/;

/** An instance's tags and meta as far as they can be carried, and what is wrong with the rest. */
export interface Values {
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
}

const known = new WeakMap<object, Values>();

/**
 * The tags and meta that may reach a template: of one line and of a reasonable length. One that cannot be carried costs
 * itself only. Remembered for as long as the instance is the very same object.
 */
export function carriedValues(instance: Pick<Instance, "tags" | "meta">): Values {
  const before = known.get(instance);
  if (before !== undefined) return before;
  const problems: string[] = [];
  const tags = instance.tags.filter((tag) => {
    // It says nothing, and could stand nowhere.
    if (tag === "") return false;
    const problem = problemOf(tag);
    if (problem !== undefined) problems.push(`tag ${shown(tag)} ${problem}; register it without`);
    return problem === undefined;
  });
  const meta: Record<string, string> = {};
  for (const [key, value] of Object.entries(instance.meta)) {
    // `__proto__` fits Consul's rule and would not become a key of its own.
    const usable = metaKey.test(key) && key !== "__proto__";
    const problem = usable ? problemOf(value) : "has a key that cannot be carried";
    if (problem === undefined) meta[key] = value;
    else problems.push(`meta ${shown(key)} = ${shown(value)} ${problem}; register it without`);
  }
  const values = { tags: tags.length === instance.tags.length ? instance.tags : tags, meta, problems };
  known.set(instance, values);
  return values;
}

function problemOf(value: string): string | undefined {
  if (value.length > longest) return `is ${value.length} characters long, ${longest} can be carried`;
  if (!value.isWellFormed()) return "has half a character";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return /[\x00-\x1f\x7f\u2028\u2029]/.test(value) ? "has a control character" : undefined;
}
