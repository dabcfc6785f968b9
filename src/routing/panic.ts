import type { Instance } from "../catalog/types.ts";
import type { Settings } from "../settings/schema.ts";
import { shown } from "./shown.ts";

/** What a service answers whose instances are all critical: 503, or whatever they do. */
export type Panic = Settings["services"]["panic"];

const tagPrefix = "haproxy.panic=";
const metaKey = "haproxy_panic";

export interface PanicChoice {
  readonly panic: Panic;
  /** Values that cannot be used, each with the instance that has it. */
  readonly problems: readonly { readonly instance: Instance; readonly reason: string }[];
}

/**
 * What the service's own instances ask for, by the tag `haproxy.panic=serve|refuse` or the meta `haproxy_panic`; the
 * setting where none does. Where they disagree it is `refuse`: trying what is known to be sick must be meant.
 */
export function panicOf(instances: readonly Instance[], fallback: Panic): PanicChoice {
  const asked = new Set<Panic>();
  const problems: { instance: Instance; reason: string }[] = [];
  for (const instance of instances) {
    const take = (value: string, what: string) => {
      if (value === "serve" || value === "refuse") asked.add(value);
      else
        problems.push({
          instance,
          reason: `${what} ${shown(value)} is neither serve nor refuse; register one of them`,
        });
    };
    for (const tag of instance.tags) {
      if (tag.startsWith(tagPrefix)) take(tag.slice(tagPrefix.length), "tag haproxy.panic =");
    }
    const meta = Object.hasOwn(instance.meta, metaKey) ? instance.meta[metaKey] : undefined;
    if (meta !== undefined) take(meta, "meta haproxy_panic =");
  }
  const panic = asked.has("refuse") ? "refuse" : asked.has("serve") ? "serve" : fallback;
  return { panic, problems };
}

/**
 * The instances of which servers are made. Critical ones are none, but in panic: where every instance is critical, or
 * in maintenance, and `serve` is asked for, the critical ones are taken for passing; HAProxy's own checks decide.
 */
export function eligible(instances: readonly Instance[], panic: Panic): readonly Instance[] {
  const others = instances.filter(({ health }) => health !== "critical");
  if (panic === "refuse" || others.some(({ health }) => health !== "maintenance")) return others;
  return instances.map((one) => (one.health === "critical" ? inPanic(one) : one));
}

const panicking = new WeakMap<Instance, Instance>();

/** The same object each time, as what is remembered by object depends on it. */
function inPanic(instance: Instance): Instance {
  let passing = panicking.get(instance);
  if (passing === undefined) {
    passing = { ...instance, health: "passing" };
    panicking.set(instance, passing);
  }
  return passing;
}
