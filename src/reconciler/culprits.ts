/** Asks whether all is well with these parts withheld. */
export type Trial<T> = (withheld: readonly T[]) => Promise<boolean>;

/**
 * The parts that have to be withheld so that the rest is taken, as few as can be: by halving, so that it takes about
 * 2·k·log2(n/k) trials to find k of n (the scheme is known as QuickXplain). Known beforehand: nothing withheld is not
 * taken, all of `suspects` withheld is.
 */
export async function findCulprits<T>(suspects: readonly T[], taken: Trial<T>): Promise<readonly T[]> {
  return search([], suspects, taken);
}

/** Those of `suspects` that have to be withheld beside `withheld`, which alone are not enough. */
async function search<T>(withheld: readonly T[], suspects: readonly T[], taken: Trial<T>): Promise<readonly T[]> {
  if (suspects.length <= 1) return suspects;
  const half = Math.ceil(suspects.length / 2);
  const [first, second] = [suspects.slice(0, half), suspects.slice(half)];
  if (await taken([...withheld, ...first])) return search(withheld, first, taken);
  if (await taken([...withheld, ...second])) return search(withheld, second, taken);
  const ofSecond = await search([...withheld, ...first], second, taken);
  const ofFirst = await search([...withheld, ...ofSecond], first, taken);
  return [...ofFirst, ...ofSecond];
}
