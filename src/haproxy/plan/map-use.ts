import type { Config, Section } from "../config/types.ts";

/** How a section looks entries up: by path of the map file, and what else it says that may be such a path. */
interface Uses {
  /** True where each use goes through a tree. */
  readonly byTree: ReadonlyMap<string, boolean>;
  /** Words with a `/` in them, less the uses that are understood. */
  readonly others: readonly string[];
}

/** `map(<file>[,…])`, `map_beg(…)`, `map_str_int(…)`; not `set-map(…)` and its kin. */
const converter = /(?<![\w-])map(?:_([a-z]+))?(?:_[a-z]+)?\(([^),]+)/g;

/**
 * Match methods whose patterns HAProxy keeps in trees (configuration manual 7.3.1, `map_<match_type>`, and 7.1.3 to 7.1.6;
 * `map` is `map_str`): the longest beginning counts, of equal keys the first, and else no order. The others are tried one
 * by one, numbers too since they may be ranges.
 */
const trees: ReadonlySet<string | undefined> = new Set([undefined, "str", "beg", "ip"]);

/**
 * Whether it counts in which order a map's entries stand. Where a configuration uses the file in a way that is not known
 * to go through a tree, or not at all, it does.
 */
export function isOrdered(config: Config, file: string): boolean {
  let used = false;
  for (const section of config.sections) {
    const { byTree, others } = usesOf(section);
    const tree = byTree.get(file);
    if (tree === false || others.some((word) => word.includes(file))) return true;
    if (tree === true) used = true;
  }
  return !used;
}

const memory = new WeakMap<Section, Uses>();

/** Remembered per Section. */
function usesOf(section: Section): Uses {
  const known = memory.get(section);
  if (known !== undefined) return known;
  const byTree = new Map<string, boolean>();
  const others: string[] = [];
  for (const word of section.lines.flatMap(({ words }) => words)) {
    if (!word.includes("/")) continue;
    const rest = word.replace(converter, (_, match: string | undefined, file: string) => {
      byTree.set(file, trees.has(match) && byTree.get(file) !== false);
      return "";
    });
    if (rest.includes("/")) others.push(rest);
  }
  const uses = { byTree, others };
  memory.set(section, uses);
  return uses;
}
