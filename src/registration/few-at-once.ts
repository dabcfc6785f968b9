/** So many requests at a time keep a machine busy and nobody waiting. */
const lanes = 8;

/**
 * Does the same for each, a few at a time, and gives what came of it in the order of the items.
 *
 * @throws what the first that fails throws, when those under way have ended; none is begun after that
 */
export async function fewAtOnce<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  const rest = items.entries();
  const lane = async () => {
    for (const [index, item] of rest) {
      if (failures.length > 0) return;
      try {
        results[index] = await work(item);
      } catch (thrown) {
        failures.push(thrown);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
