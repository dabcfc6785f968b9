import fc from "fast-check";
import type { Status } from "./model-services.ts";

/** A change of the catalog. Numbers pick by remainder among what is there, so that every step fits every state. */
export type CatalogStep =
  | { readonly kind: "join"; readonly pick: number }
  | { readonly kind: "leave"; readonly pick: number }
  | { readonly kind: "weight"; readonly pick: number; readonly passing: number; readonly warning: number }
  | { readonly kind: "check"; readonly pick: number; readonly status: Status }
  | { readonly kind: "maintenance"; readonly pick: number; readonly on: boolean }
  | { readonly kind: "new-service" }
  | { readonly kind: "empty-service"; readonly pick: number };

/** What somebody does to HAProxy by its own socket, past the operator. */
export type Drift = "weight" | "maintenance" | "deletion" | "server" | "route";

/** What befalls the operator and HAProxy. */
export type FaultStep =
  | { readonly kind: "operator-kill" }
  | { readonly kind: "haproxy-kill"; readonly who: "master" | "worker" }
  | { readonly kind: "haproxy-freeze" }
  | { readonly kind: "foreign-reload" }
  | { readonly kind: "drift"; readonly what: Drift; readonly pick: number }
  | { readonly kind: "socket-away" };

type OtherStep =
  | { readonly kind: "consul-restart" }
  | { readonly kind: "consul-freeze" }
  | { readonly kind: "template" };

/** One change of the world, and how long it is left alone afterwards. */
export type Step = { readonly pauseMs: number } & (CatalogStep | FaultStep | OtherStep);

const pick = fc.nat({ max: 59 });
const pauseMs = fc.nat({ max: 120 });

/** Steps as often as they are to come: most are of the catalog, of the faults a handful comes in each sequence. */
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("join"), pick, pauseMs }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("leave"), pick, pauseMs }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("weight"),
      pick,
      passing: fc.constantFrom(1, 2, 10, 100, 256, 1_000),
      warning: fc.constantFrom(0, 1, 5),
      pauseMs,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("check"),
      pick,
      status: fc.constantFrom("passing", "warning", "critical"),
      pauseMs,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("maintenance"), pick, on: fc.boolean(), pauseMs }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("new-service"), pauseMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("empty-service"), pick, pauseMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("template"), pauseMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("operator-kill"), pauseMs }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("haproxy-kill"), who: fc.constantFrom("master", "worker"), pauseMs }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("haproxy-freeze"), pauseMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("foreign-reload"), pauseMs }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("drift"),
      what: fc.constantFrom("weight", "maintenance", "deletion", "server", "route"),
      pick,
      pauseMs,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("socket-away"), pauseMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("consul-restart"), pauseMs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("consul-freeze"), pauseMs }) },
);

/** The one a step picks; undefined where there is none. */
export function pickOf<T>(from: readonly T[], pick: number): T | undefined {
  return from.length === 0 ? undefined : from[pick % from.length];
}
