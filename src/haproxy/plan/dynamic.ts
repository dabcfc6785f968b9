import type { Config, Section } from "../config/types.ts";
import type { Capabilities } from "../runtime/types.ts";

/**
 * The one table of what HAProxy lets change at run time.
 * Sources: management guide 9.3 (`add server`), configuration manual 4.2 (`balance`, `hash-type`) and 5.2; measured on
 * 2.6.12, 3.0.11, 3.2 and 3.4.0.
 */

/** Words of a server line that `add server` refuses in every version ("option is not accepted for dynamic server"). */
const refusedWords: ReadonlySet<string> = new Set([
  "init-addr",
  "resolvers",
  "resolve-prefer",
  "resolve-opts",
  "resolve-net",
  "redir",
  "namespace",
  "socks4",
  "log-proto",
  "non-stick",
  "no-check",
  "no-ssl",
  "tcp-ut",
  "max-reuse",
]);

/** Words that came after 2.6, with the first version whose `add server` takes them. */
const wordsSince: ReadonlyMap<string, readonly [number, number]> = new Map([
  ["shard", [2, 8]],
  ["cookie", [3, 0]],
  ["guid", [3, 0]],
  ["hash-key", [3, 0]],
  ["pool-conn-name", [3, 0]],
  ["set-proxy-v2-tlv-fmt", [3, 0]],
  ["init-state", [3, 2]],
  ["strict-maxconn", [3, 2]],
  ["idle-ping", [3, 2]],
  ["check-reuse-pool", [3, 2]],
]);

/** The most words HAProxy reads of one command; up to 3.0 it drops the rest without a word. */
export const maxCommandWords = 64;

/** Why a server with these words cannot be added at run time, or undefined where it can. */
export function wordsNotDynamic(words: readonly string[], capabilities: Capabilities): string | undefined {
  for (const word of words) {
    const known = word.replace(/\(.*$/, "");
    if (refusedWords.has(known)) return `HAProxy does not take "${known}" from a server that is added at run time`;
    const since = wordsSince.get(known);
    if (since !== undefined && !atLeast(capabilities.version, since)) {
      return `HAProxy ${capabilities.version.join(".")} does not take "${known}" from a server that is added at run time (${since.join(".")} does)`;
    }
  }
  return undefined;
}

function atLeast(version: Capabilities["version"], least: readonly [number, number]): boolean {
  return version[0] > least[0] || (version[0] === least[0] && version[1] >= least[1]);
}

const dynamicAlgorithms: ReadonlySet<string> = new Set(["roundrobin", "leastconn", "first", "random"]);

/** What a backend's way of balancing lets happen at run time. */
export interface Balance {
  /** Why servers cannot come, and weights cannot be set to anything but 0; undefined where they can. */
  readonly obstacle: string | undefined;
  /** True where servers hold places on a ring of hashes. */
  readonly ring: boolean;
}

/** `balance` and `hash-type` are looked up in the section, then in its defaults. */
export function balanceOf(config: Config, section: Section): Balance {
  const balance = directive(config, section, "balance")?.[1] ?? "roundrobin";
  const algorithm = balance.replace(/\(.*$/, "");
  if (dynamicAlgorithms.has(algorithm)) return { obstacle: undefined, ring: false };
  if (algorithm === "static-rr") {
    return { obstacle: "balance static-rr has a fixed set of servers and weights; roundrobin has not", ring: false };
  }
  if (directive(config, section, "hash-type")?.[1] === "consistent") return { obstacle: undefined, ring: true };
  return {
    obstacle: `balance ${balance} needs "hash-type consistent" to take servers and weights at run time`,
    ring: false,
  };
}

/**
 * Whether a server that is added without an `id` gets a wrong share of the ring, as measured on 2.6: 345, 0 and 581 of
 * 2000 requests for three servers.
 */
export function ringNeedsIds(capabilities: Capabilities): boolean {
  return !atLeast(capabilities.version, [3, 0]);
}

/**
 * Whether servers that are added get no cookie of a `cookie … dynamic` (configuration manual 4.2) until it is enabled
 * anew, as measured on 2.6: clients then stay nowhere.
 */
export function cookiesWait(config: Config, section: Section, capabilities: Capabilities): boolean {
  if (atLeast(capabilities.version, [3, 0])) return false;
  return directive(config, section, "cookie")?.includes("dynamic") === true;
}

/** The last line of a section, else of the defaults it inherits from, that begins with this word. */
function directive(config: Config, section: Section, word: string): readonly string[] | undefined {
  const own = section.lines.findLast((line) => line.words[0] === word);
  if (own !== undefined) return own.words;
  const defaults = defaultsOf(config, section);
  return defaults === undefined ? undefined : directive(config, defaults, word);
}

/** What it inherits from stands above it (configuration manual, chapter 4). Above one that is to be added all do. */
function defaultsOf({ sections }: Config, section: Section): Section | undefined {
  if (section.kind === "defaults" && section.from === undefined) return undefined;
  const place = sections.indexOf(section);
  for (let at = (place === -1 ? sections.length : place) - 1; at >= 0; at -= 1) {
    const other = sections[at];
    if (other?.kind === "defaults" && (section.from === undefined || other.name === section.from)) return other;
  }
  return undefined;
}
