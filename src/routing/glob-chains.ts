import { globChain, globPrefix, type HostGlob } from "./scopes.ts";

/** By the glob as it stands in a key (`globPrefix` of the entry points): what `globChain` says of it. */
export type GlobChains = ReadonlyMap<string, readonly HostGlob[]>;

/**
 * Makes the function that says of each glob which others are looked at behind it. Each of the globs is held against each
 * other once: later on only those that come are, so that a change costs no more than its own comparisons. A chain that
 * stays as it was is the very same list.
 *
 * The function is given all globs, each once, in the order they are tried.
 */
export function createGlobChains(): (globs: readonly HostGlob[]) => GlobChains {
  let chains: GlobChains = new Map();
  return (globs) => {
    const names = new Set(globs.map(nameOf));
    const come = globs.filter((glob) => !chains.has(nameOf(glob)));
    const gone = new Set([...chains.keys()].filter((name) => !names.has(name)));
    if (come.length + gone.size === 0) return chains;
    const after = (glob: HostGlob): readonly HostGlob[] => {
      const before = chains.get(nameOf(glob));
      if (before === undefined) return globChain(glob, globs);
      const more = globChain(glob, come);
      if (more.length === 0 && !before.some((one) => gone.has(nameOf(one)))) return before;
      const kept = new Set([...before, ...more].map(nameOf));
      return globs.filter((one) => kept.has(nameOf(one)));
    };
    chains = new Map(globs.map((glob) => [nameOf(glob), after(glob)]));
    return chains;
  };
}

function nameOf(glob: HostGlob): string {
  return globPrefix(0, glob);
}
