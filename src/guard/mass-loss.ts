import type { Loss } from "./types.ts";

/** Fewer are nothing out of the ordinary, however small the catalog. */
const fewest = 3;

/**
 * Whether the catalog as a whole lost more than half of what served, and what of it counts. Instances that vanished
 * count only where two services or more have lost some: one service that is scaled down is somebody's decision. Those
 * that are critical by their nodes alone count always.
 *
 * @param losses what the window lost
 * @param serving how many instances the catalog lets serve now; asked only where it matters
 * @returns which of the losses are part of a mass loss
 */
export function massLoss(losses: readonly Loss[], serving: () => number): (loss: Loss) => boolean {
  if (losses.length < fewest) return () => false;
  const [first] = losses;
  const several = losses.some(({ service }) => service !== first?.service);
  const counts = ({ how }: Loss) => several || how === "node-critical";
  const counted = several ? losses.length : losses.filter(counts).length;
  // More than half of those that serve and those that were lost together.
  return counted >= fewest && counted > serving() ? counts : () => false;
}
