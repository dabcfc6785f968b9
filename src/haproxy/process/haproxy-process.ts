import type { ProcessPort } from "../../reconciler/ports.ts";

/** A HAProxy as the operator has it, whoever starts it and however it is reloaded. */
export interface HaproxyProcess extends ProcessPort {
  /** A connection to HAProxy broke: looks at once whether it still runs, instead of waiting to be told. */
  suspect(): void;
  /** Lets go of the process without touching it: nothing of it keeps the operator from ending. */
  release(): void;
}
