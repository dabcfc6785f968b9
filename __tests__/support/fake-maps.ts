import type { MapOperation } from "../../src/haproxy/plan/types.ts";
import type { MapEntry } from "../../src/haproxy/runtime/types.ts";

/** @returns HAProxy's refusal, of the first command that it would not carry out; what stood before it is done */
export function executeMap(maps: Map<string, readonly MapEntry[]>, operation: MapOperation): string | undefined {
  const entries = maps.get(operation.file);
  if (entries === undefined) return "Unknown map identifier. Please use #<id> or <file>.";
  if (operation.kind === "replace-map") {
    maps.set(operation.file, operation.entries);
    return undefined;
  }
  let now = [...entries, ...operation.add];
  let refusal: string | undefined;
  for (const { key, value } of operation.set) {
    if (!now.some((entry) => entry.key === key)) refusal ??= "entry not found.";
    now = now.map((entry) => (entry.key === key ? { key, value } : entry));
  }
  for (const key of operation.delete) {
    if (!now.some((entry) => entry.key === key)) refusal ??= "Key not found.";
    now = now.filter((entry) => entry.key !== key);
  }
  maps.set(operation.file, now);
  return refusal;
}

/** `+added key`, `~changed key`, `-deleted key` */
export function mapEditText(edit: Extract<MapOperation, { readonly kind: "edit-map" }>): string {
  const entry = ({ key, value }: MapEntry) => `${key} ${value}`;
  return [
    ...edit.add.map((one) => `+${entry(one)}`),
    ...edit.set.map((one) => `~${entry(one)}`),
    ...edit.delete.map((key) => `-${key}`),
  ].join(", ");
}
