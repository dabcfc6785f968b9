import { setTimeout as sleep } from "node:timers/promises";

/** Waits until the condition holds, by real time. The limit is for a test that fails, not a measure of speed. */
export async function eventually(condition: () => boolean, what = "the condition", limitMs = 20_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true within ${limitMs} ms`);
    await sleep(2);
  }
}
