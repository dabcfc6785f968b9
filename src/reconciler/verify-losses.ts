import { holdKey, serves } from "../guard/instances.ts";
import type { Accepted, Loss } from "../guard/types.ts";

/**
 * Says which services are to be read anew because of what was lost of them; each loss once. A service that fell to zero
 * because its instances vanished is not among them: the catalog has made sure of that before it said so.
 */
export class LossVerification {
  /** Hold keys of what is held or suspected, and was dealt with. */
  private seen: ReadonlySet<string> = new Set();

  /** @returns key strings, sorted */
  due(accepted: Accepted): readonly string[] {
    const { holds, losses, suspects } = accepted;
    const before = this.seen;
    if (holds.length + suspects.length === 0) {
      if (before.size > 0) this.seen = new Set();
      return [];
    }
    const seen = new Set<string>();
    const services = new Set<string>();
    const vanished = new Set<string>();
    for (const loss of losses) if (loss.how === "vanished") vanished.add(keyOf(loss));
    const atZero = createAtZero(accepted);
    for (const one of [...holds, ...suspects]) {
      const key = keyOf(one);
      seen.add(key);
      if (!before.has(key) && !(vanished.has(key) && atZero(one.service))) services.add(one.service);
    }
    this.seen = seen;
    return [...services].sort();
  }
}

/** Whether a service has nobody that serves but what is held. */
function createAtZero({ services, holds }: Accepted): (service: string) => boolean {
  const held = new Set(holds.map(({ instance }) => instance));
  const known = new Map<string, boolean>();
  return (service) => {
    let zero = known.get(service);
    if (zero === undefined) {
      const serving = services.get(service)?.instances.some((one) => serves(one) && !held.has(one));
      zero = serving !== true;
      known.set(service, zero);
    }
    return zero;
  };
}

function keyOf({ service, instance }: Pick<Loss, "service" | "instance">): string {
  return holdKey(service, instance);
}
