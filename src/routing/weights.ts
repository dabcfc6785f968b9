import type { Instance } from "../catalog/types.ts";

/** HAProxy's greatest server weight (configuration manual 5.2, `weight`). */
const greatest = 256;

/** The weight an instance asks for in its state: Consul's passing or warning weight; 0 in maintenance. */
export function wantedWeight(instance: Pick<Instance, "health" | "weights">): number {
  switch (instance.health) {
    case "passing":
      return instance.weights.passing;
    case "warning":
      return instance.weights.warning;
    case "maintenance":
    case "critical":
      return 0;
  }
}

/**
 * The factor that brings a service's weights down to HAProxy's range: 1 while all are at most 256. It is taken over both
 * weights of all instances, so that a change of health alone does not move everybody's weight.
 */
export function weightFactor(instances: readonly Pick<Instance, "weights">[]): number {
  let most = 0;
  for (const { weights } of instances) most = Math.max(most, weights.passing, weights.warning);
  return most <= greatest ? 1 : greatest / most;
}

/** A weight in HAProxy's range. What is not 0 stays at least 1: only 0 means drain. */
export function scaledWeight(weight: number, factor: number): number {
  return weight <= 0 ? 0 : Math.min(greatest, Math.max(1, Math.round(weight * factor)));
}
