import { systemErrorCode } from "./errors.ts";

/** open(2), socket(2): too many descriptors here or on the machine, too little memory. Not EAGAIN: a full backlog is the other's. */
const shortages: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"]);

/**
 * Whether something failed because this process or this machine has too few of what it takes to ask: that says nothing
 * of whom it was to be asked of. Looks through the causes of a `SluiceError`.
 */
export function isShortage(thrown: unknown): boolean {
  for (let one = thrown; one instanceof Error; one = one.cause) {
    if (shortages.has(systemErrorCode(one) ?? "")) return true;
  }
  return false;
}
