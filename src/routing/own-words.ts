import type { Instance } from "../catalog/types.ts";
import { type OptionTarget, targetOf } from "../settings/options/read-document.ts";
import { isOptionKey, optionKeys, optionOfMeta, readOption } from "../settings/options/read-options.ts";
import { metaKeyOf, type OptionKey, type Options, optionTable } from "../settings/options/table.ts";
import { shown } from "./shown.ts";
import type { Said, Wishes } from "./wishes.ts";
import { layered, normalised, noWishes } from "./wishes.ts";

/** What an instance says in Sluice's own grammar. */
export interface OwnWords {
  /** Whether it says anything at all, be it wrong. */
  readonly speaks: boolean;
  /** All that is said, as it is written: who says the same has the same text. */
  readonly text: string;
  readonly base: Wishes;
  /** Named routes, each with what is said of it alone. */
  readonly routes: ReadonlyMap<string, Wishes>;
  /** What could not be read: each cost itself only. */
  readonly problems: readonly string[];
}

/** Whose words are read. */
export type Speaking = Pick<Instance, "tags" | "meta">;

const tagBeginning = "haproxy.";
const metaBeginning = "haproxy_";
const silent: OwnWords = { speaks: false, text: "", base: noWishes, routes: new Map(), problems: [] };
const known = new WeakMap<Instance["tags"], { readonly meta: Instance["meta"]; readonly words: OwnWords }>();

/**
 * Tags `haproxy.<key>=<value>` and meta `haproxy_<key>`; a tag goes before a meta value. A list is made longer by
 * repeating the tag, or by meta keys with `_2`, `_3`… behind them. `haproxy.route.<name>.<key>` speaks of a named
 * route. Remembered for as long as tags and meta are the very same objects.
 */
export function ownWords({ tags, meta }: Speaking): OwnWords {
  const before = known.get(tags);
  if (before?.meta === meta) return before.words;
  const words = read(tags, meta);
  known.set(tags, { meta, words });
  return words;
}

/** Whether it says anything in Sluice's own grammar, be it wrong. */
export function saysOwn({ tags, meta }: Speaking): boolean {
  return (
    tags.some((tag) => tag.startsWith(tagBeginning)) || Object.keys(meta).some((key) => key.startsWith(metaBeginning))
  );
}

function read(tags: readonly string[], meta: Speaking["meta"]): OwnWords {
  const ofTags = tags.filter((tag) => tag.startsWith(tagBeginning));
  const ofMeta = Object.keys(meta).filter((key) => key.startsWith(metaBeginning));
  if (ofTags.length + ofMeta.length === 0) return silent;
  const text = JSON.stringify([ofTags, ofMeta.map((key) => [key, meta[key]])]);
  const problems: string[] = [];
  const fromTags = new Source("tag", problems);
  for (const tag of [...ofTags].sort()) {
    const at = tag.indexOf("=");
    const key = tag.slice(tagBeginning.length, at === -1 ? undefined : at).trim();
    const target = targetOf(key);
    // `haproxy.enable` alone is how one is tempted to write it.
    const value = at === -1 ? (key === "enable" ? "true" : undefined) : tag.slice(at + 1);
    if (value === undefined && target.kind !== "problem" && isOptionKey(target.key)) {
      const example = `${tagBeginning}${key}=${optionTable[target.key].example}`;
      problems.push(`tag ${shown(tag)} has no value; write one such as ${example}`);
    } else fromTags.take(target, value ?? "", tag, tagBeginning + key);
  }
  const fromMeta = new Source("meta", problems);
  for (const key of ofMeta.sort(byNumber)) {
    const target = targetOfMeta(key);
    fromMeta.take(target, meta[key] ?? "", `${key}=${meta[key] ?? ""}`, key);
  }
  const routes = new Map<string, Wishes>();
  for (const name of [...new Set([...fromMeta.routes.keys(), ...fromTags.routes.keys()])].sort()) {
    routes.set(name, layered(wishes(fromMeta.routes.get(name)), wishes(fromTags.routes.get(name))));
  }
  const base = normalised(layered(wishes(fromMeta.base), wishes(fromTags.base)));
  return { speaks: true, text, base, routes, problems };
}

interface Draft {
  readonly options: Record<string, unknown>;
  readonly said: Partial<Record<OptionKey, Said>>;
}

/** The tags, or the meta, of one instance. */
class Source {
  readonly base: Draft = { options: {}, said: {} };
  readonly routes = new Map<string, Draft>();
  readonly #kind: "tag" | "meta";
  readonly #problems: string[];

  constructor(kind: "tag" | "meta", problems: string[]) {
    this.#kind = kind;
    this.#problems = problems;
  }

  take(target: OptionTarget, value: string, text: string, written: string): void {
    const read = target.kind === "problem" ? target : readOption(target.key, value);
    if (read.kind === "problem") {
      this.#problems.push(`${this.#kind} ${shown(text)}: ${shown(written)} ${read.problem}`);
      return;
    }
    const draft = target.kind === "route" ? this.#route(target.name) : this.base;
    const before = draft.said[read.key];
    if (before === undefined) {
      draft.options[read.key] = read.value;
      draft.said[read.key] = { kind: this.#kind, text };
      return;
    }
    const held = draft.options[read.key];
    if (Array.isArray(held) && Array.isArray(read.value)) {
      draft.options[read.key] = [...held, ...read.value];
      draft.said[read.key] = { kind: this.#kind, text: `${before.text} ${text}` };
    } else if (JSON.stringify(held) !== JSON.stringify(read.value)) {
      this.#problems.push(
        `${this.#kind} ${shown(text)} contradicts ${shown(before.text)}, which counts; leave one out`,
      );
    }
  }

  #route(name: string): Draft {
    const draft = this.routes.get(name) ?? { options: {}, said: {} };
    this.routes.set(name, draft);
    return draft;
  }
}

function wishes(draft: Draft | undefined): Wishes {
  return draft === undefined ? noWishes : { options: draft.options as Options, said: draft.said };
}

const metaKeysOfRoutes: ReadonlyMap<string, OptionKey> = new Map(
  optionKeys.map((key) => [metaKeyOf(key).slice(metaBeginning.length), key]),
);

/** `haproxy_host`, `haproxy_host_2`, `haproxy_route_api_host`: as Consul allows neither dots nor colons in its keys. */
function targetOfMeta(key: string): OptionTarget {
  for (const one of [key, key.replace(/_\d{1,3}$/, "")]) {
    const option = optionOfMeta(one);
    if (option !== undefined) return { kind: "option", key: option };
    const [, name = "", rest = ""] = /^haproxy_route_([^_]+)_(.+)$/.exec(one) ?? [];
    const ofRoute = metaKeysOfRoutes.get(rest);
    if (ofRoute !== undefined) return targetOf(`route.${name}.${ofRoute}`);
  }
  return { kind: "option", key: key.slice(metaBeginning.length).replaceAll("_", ".") };
}

/** `_10` behind `_9`: the order of a list is that in which it was numbered. */
function byNumber(a: string, b: string): number {
  const [, stemA = a, numberA = "1"] = /^(.+)_(\d{1,3})$/.exec(a) ?? [];
  const [, stemB = b, numberB = "1"] = /^(.+)_(\d{1,3})$/.exec(b) ?? [];
  return stemA === stemB ? Number(numberA) - Number(numberB) : stemA < stemB ? -1 : 1;
}
