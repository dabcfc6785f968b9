import type { ChildProcess } from "node:child_process";

/** How a child ended. */
export interface ChildExit {
  /** Undefined while it runs. */
  how(): string | undefined;
  /** Calls back once it has ended, at once if it has already. */
  onEnd(listener: (how: string) => void): void;
  forget(): void;
}

/** Watches for the end of a child; what ended before is not seen. */
export function exitOf(child: ChildProcess): ChildExit {
  let ended: string | undefined;
  let tell: ((how: string) => void) | undefined;
  child.once("exit", (code, signal) => {
    ended = signal === null ? `exit code ${code}` : `ended by ${signal}`;
    tell?.(ended);
  });
  return {
    how: () => ended,
    onEnd: (listener) => {
      tell = listener;
      if (ended !== undefined) listener(ended);
    },
    forget: () => {
      tell = undefined;
    },
  };
}
